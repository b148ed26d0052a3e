-- create_ticket_option(name, "desc", allocation [, option_id [, max_per_purchase
--     [, max_per_user [, on_sale_from [, on_sale_until [, paused]]]]]])
--
-- Puts a ticket option on sale with the given number of tickets, and returns its
-- id: the face of try_create_ticket_option_with_rules.sql for people, who want
-- errors, not outcomes.
--
-- Give an option_id of your own to be able to repeat a call whose outcome you
-- did not see: the same id with the same values creates nothing again and
-- returns the id once more, also after tickets were sold.
--
-- Raises, with nothing stored:
--
--     TK003  an argument is missing or out of range
--     TK004  option_id was created with other values: the hint is the call with
--            those, which succeeds

CREATE OR REPLACE FUNCTION ticketing.create_ticket_option(
    name text,
    "desc" text,
    allocation integer,
    option_id uuid DEFAULT gen_random_uuid(),
    max_per_purchase integer DEFAULT NULL,
    max_per_user integer DEFAULT NULL,
    on_sale_from timestamptz DEFAULT NULL,
    on_sale_until timestamptz DEFAULT NULL,
    paused boolean DEFAULT false
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    outcome CONSTANT text := ticketing.try_create_ticket_option(
        option_id, name, "desc", allocation, max_per_purchase, max_per_user,
        on_sale_from, on_sale_until, paused
    );
    stored jsonb;
BEGIN
    IF outcome = 'exists_different' THEN
        SELECT coalesce(
            option.created_as,
            ticketing_private.values_of_option(
                option.name, option.description, option.capacity, option.max_per_purchase,
                option.max_per_user, option.on_sale_from, option.on_sale_until, option.paused
            )
        )
        INTO stored
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        RAISE EXCEPTION 'ticket option % already exists with different values', option_id
            USING ERRCODE = 'TK004',
                  HINT = format(
                      'A retry must use the stored values: '
                      'select ticketing.create_ticket_option(%L, %L, %s, %L%s);',
                      stored ->> 'name', stored ->> 'desc', stored ->> 'allocation', option_id,
                      (
                          SELECT string_agg(format(', %s => %L', rule.name, stored ->> rule.name), '')
                          FROM unnest(
                              ARRAY['max_per_purchase', 'max_per_user', 'on_sale_from', 'on_sale_until', 'paused']
                          ) AS rule (name)
                          WHERE coalesce(stored ->> rule.name, 'false') <> 'false'
                      )
                  );
    END IF;

    RETURN option_id;
END
$function$;

COMMENT ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid, integer, integer, timestamptz, timestamptz, boolean) IS
'Puts a ticket option on sale with the given number of tickets, and returns its id:
    select create_ticket_option(''Evening show'', ''Stalls'', 100);
    select create_ticket_option(''Evening show'', ''Stalls'', 100, max_per_user => 4);
Raises, with nothing stored:
    TK003  an argument is missing or out of range
    TK004  option_id was created with other values
The same option_id with the same values may be sent again: it creates one option.';

GRANT EXECUTE ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid, integer, integer, timestamptz, timestamptz, boolean)
    TO ticketing_operator;
