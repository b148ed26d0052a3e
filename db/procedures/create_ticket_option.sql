-- create_ticket_option(name, "desc", allocation [, option_id])
--
-- Puts something on sale, with so many tickets, and returns the option's id.
--
-- Give an option_id of your own to be able to repeat a call whose outcome you
-- did not see: the same id with the same values creates nothing again and
-- returns the id once more, also after tickets were sold.
--
-- Raises, with nothing stored:
--
--     TK003  an argument is missing or out of range: the table's constraints
--            say what may be stored, this function only says it in words
--     TK004  option_id is stored with other values

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
SET search_path = ''
AS $function$
#variable_conflict use_column
DECLARE
    broken_constraint text;
BEGIN
    INSERT INTO ticketing_private.ticket_options (id, name, description, capacity, allocation)
    VALUES (
        create_ticket_option.option_id,
        create_ticket_option.name,
        create_ticket_option."desc",
        create_ticket_option.allocation,
        create_ticket_option.allocation
    )
    ON CONFLICT (id) DO NOTHING;

    IF NOT FOUND AND NOT EXISTS (
        SELECT
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = create_ticket_option.option_id
            AND option.name = create_ticket_option.name
            AND option.description = create_ticket_option."desc"
            AND option.capacity = create_ticket_option.allocation
    ) THEN
        RAISE EXCEPTION 'ticket option % is stored with other values', option_id
            USING ERRCODE = 'TK004',
                  HINT = format('See it: select * from ticketing.get_ticket_option(%L);', option_id);
    END IF;

    RETURN option_id;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', CASE
            WHEN broken_constraint IN ('ticket_options_name_length', 'ticket_options_name_is_not_blank')
                THEN 'name must have 1 to 255 characters, and not only white space'
            WHEN broken_constraint = 'ticket_options_description_length'
                THEN 'desc must have at most 10000 characters'
            WHEN broken_constraint IN ('ticket_options_capacity_range', 'ticket_options_allocation_range')
                THEN 'allocation must be an integer from 0 to 2147483647'
            ELSE 'name, desc, allocation and option_id must not be NULL'
        END
            USING ERRCODE = 'TK003',
                  HINT = 'select create_ticket_option(name, "desc", allocation), '
                      'with a name of 1 to 255 characters and an allocation from 0 to 2147483647.';
END
$function$;

COMMENT ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid) IS
'Puts something on sale, with so many tickets, and returns the option''s id:
    select create_ticket_option(''Evening show'', ''Stalls'', 100);
Raises, with nothing stored:
    TK003  an argument is missing or out of range
    TK004  option_id is stored with other values
The same option_id with the same values may be sent again: it creates one option.';

GRANT EXECUTE ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid)
    TO ticketing_service, ticketing_operator;
