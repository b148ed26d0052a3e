-- try_create_ticket_option(option_id, name, "desc", allocation)
--
-- Puts a ticket option on sale with the given number of tickets, and returns the
-- outcome. Every ticket option is created here, whether over HTTP or from psql,
-- where create_ticket_option.sql turns outcomes into errors.
--
--     created           the option is stored
--     exists            option_id already exists with these values: a retry of a
--                       call whose outcome was unknown; tickets may have been
--                       sold since
--     exists_different  option_id already exists with different values; nothing
--                       was changed
--
-- Raises TK003, with nothing stored, if an argument is missing or out of range.
-- The table's constraints define what is in range; this function only puts it
-- into words.
--
-- Concurrency: of two calls with the same option_id, the second waits until the
-- first commits or rolls back.
--
-- Durability: an option that already exists is locked FOR KEY SHARE, so that
-- this call does not return before a synchronous standby has it;
-- purchase_tickets_of_one.sql explains how. That lock waits for no sale.

CREATE OR REPLACE FUNCTION ticketing.try_create_ticket_option(
    option_id uuid,
    name text,
    "desc" text,
    allocation integer
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    stored record;
    broken_constraint text;
BEGIN
    INSERT INTO ticketing_private.ticket_options (id, name, description, capacity, allocation)
    VALUES (option_id, name, "desc", allocation, allocation)
    ON CONFLICT (id) DO NOTHING;

    IF FOUND THEN
        RETURN 'created';
    END IF;

    SELECT
        option.name,
        option.description,
        option.capacity
    INTO stored
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR KEY SHARE;

    RETURN CASE
        WHEN (stored.name, stored.description, stored.capacity) = (name, "desc", allocation)
            THEN 'exists'
        ELSE 'exists_different'
    END;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', CASE
            WHEN broken_constraint IN ('ticket_options_name_length', 'ticket_options_name_is_not_blank')
                THEN 'name must be 1 to 255 characters long and not only white space'
            WHEN broken_constraint = 'ticket_options_description_length'
                THEN 'desc must be at most 10000 characters long'
            WHEN broken_constraint IN ('ticket_options_capacity_range', 'ticket_options_allocation_range')
                THEN 'allocation must be an integer from 0 to 2147483647'
            ELSE 'name, desc, allocation and option_id must not be NULL'
        END
            USING ERRCODE = 'TK003',
                  HINT = 'Pass a name of 1 to 255 characters, a desc of at most 10000 characters '
                      'and an allocation from 0 to 2147483647.';
END
$function$;

COMMENT ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer) IS
'Puts a ticket option on sale with the given number of tickets, and returns the outcome:
    created           the option is stored
    exists            option_id already exists with these values
    exists_different  option_id already exists with different values; nothing was changed
Raises TK003, with nothing stored, if an argument is missing or out of range.';

GRANT EXECUTE ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer)
    TO ticketing_service, ticketing_operator;
