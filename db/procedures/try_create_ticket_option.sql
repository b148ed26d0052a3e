-- try_create_ticket_option(option_id, name, "desc", allocation)
--
-- Puts a ticket option on sale with the given number of tickets, and returns the
-- outcome. Every creation is made here: over HTTP, and from psql, where
-- create_ticket_option.sql turns outcomes into errors.
--
--     created           the option is stored
--     exists            this id is stored with these values: a call whose outcome
--                       was unknown, sent again; tickets may have been sold since
--     exists_different  this id is stored with other values; nothing was changed
--
-- Raises TK003, with nothing stored, when an argument is missing or out of range:
-- the table's constraints say what may be stored, this function only says it in
-- words.
--
-- Concurrency: of two calls with one id, the second waits until the first is
-- committed or rolled back.
--
-- Durability: an option that is found stored is locked FOR KEY SHARE, so that
-- this call is answered only when the synchronous standby has it, as
-- purchase_tickets_of_one.sql says. That lock waits for no sale.

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
#variable_conflict use_column
DECLARE
    broken_constraint text;
BEGIN
    INSERT INTO ticketing_private.ticket_options (id, name, description, capacity, allocation)
    VALUES (
        try_create_ticket_option.option_id,
        try_create_ticket_option.name,
        try_create_ticket_option."desc",
        try_create_ticket_option.allocation,
        try_create_ticket_option.allocation
    )
    ON CONFLICT (id) DO NOTHING;

    IF FOUND THEN
        RETURN 'created';
    END IF;

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = try_create_ticket_option.option_id
        AND option.name = try_create_ticket_option.name
        AND option.description = try_create_ticket_option."desc"
        AND option.capacity = try_create_ticket_option.allocation
    FOR KEY SHARE;

    RETURN CASE WHEN FOUND THEN 'exists' ELSE 'exists_different' END;
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
                  HINT = 'Give a name of 1 to 255 characters, a desc of at most 10000 characters '
                      'and an allocation from 0 to 2147483647.';
END
$function$;

COMMENT ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer) IS
'Puts a ticket option on sale with the given number of tickets, and returns the outcome:
    created           the option is stored
    exists            option_id is stored with these values
    exists_different  option_id is stored with other values; nothing was changed
Raises TK003, with nothing stored, when an argument is missing or out of range.';

GRANT EXECUTE ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer)
    TO ticketing_service, ticketing_operator;
