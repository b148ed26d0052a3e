-- try_create_ticket_option(option_id, name, "desc", allocation)
--
-- Puts a ticket option on sale that has no rules of its own: what
-- try_create_ticket_option_with_rules.sql does, with the same outcomes. The release
-- before calls it.
--
-- Raises TK003, with nothing stored, when an argument is missing or out of range.

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
BEGIN
    RETURN ticketing.try_create_ticket_option(
        option_id, name, "desc", allocation, NULL, NULL, NULL, NULL, false
    );
END
$function$;

COMMENT ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer) IS
'Puts a ticket option on sale with the given number of tickets, and returns the outcome:
    created           the option is stored
    exists            option_id was created with these values
    exists_different  option_id was created with other values; nothing was changed
Raises TK003, with nothing stored, when an argument is missing or out of range.';

GRANT EXECUTE ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer)
    TO ticketing_service, ticketing_operator;
