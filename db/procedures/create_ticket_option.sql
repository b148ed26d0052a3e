-- create_ticket_option(name, "desc", allocation [, option_id])
--
-- Puts a ticket option on sale with the given number of tickets, and returns its
-- id. This is try_create_ticket_option.sql for people, who want errors rather
-- than outcomes.
--
-- Pass an option_id of your own to be able to retry a call whose outcome you did
-- not see: the same id with the same values creates nothing new and returns the
-- id again, even after tickets were sold.
--
-- Raises, with nothing stored:
--
--     TK003  an argument is missing or out of range
--     TK004  option_id already exists with different values; the hint is the call
--            with those values, which succeeds

CREATE OR REPLACE FUNCTION ticketing.create_ticket_option(
    name text,
    "desc" text,
    allocation integer,
    option_id uuid DEFAULT gen_random_uuid()
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    stored record;
BEGIN
    IF ticketing.try_create_ticket_option(option_id, name, "desc", allocation) = 'exists_different' THEN
        SELECT
            option.name,
            option.description,
            option.capacity
        INTO stored
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        RAISE EXCEPTION 'ticket option % already exists with different values', option_id
            USING ERRCODE = 'TK004',
                  HINT = format(
                      'A retry must use the stored values: '
                      'select ticketing.create_ticket_option(%L, %L, %s, %L);',
                      stored.name, stored.description, stored.capacity, option_id
                  );
    END IF;

    RETURN option_id;
END
$function$;

COMMENT ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid) IS
'Puts a ticket option on sale with the given number of tickets, and returns its id:
    select create_ticket_option(''Evening show'', ''Stalls'', 100);
Raises, with nothing stored:
    TK003  an argument is missing or out of range
    TK004  option_id already exists with different values
A call with an option_id can be retried: it creates one ticket option.';

GRANT EXECUTE ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid)
    TO ticketing_operator;
