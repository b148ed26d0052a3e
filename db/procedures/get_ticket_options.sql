-- get_ticket_options(option_ids[])
--
-- Returns those of the options that there are, a row each, in no order: what
-- get_ticket_option(option_id) returns, for many at once.

CREATE OR REPLACE FUNCTION ticketing.get_ticket_options(
    option_ids uuid[]
)
RETURNS TABLE (
    id uuid,
    name text,
    "desc" text,
    allocation integer
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = ANY (option_ids);
END
$function$;

COMMENT ON FUNCTION ticketing.get_ticket_options(uuid[]) IS
'Those of the ticket options that there are, a row each, in no order.';

GRANT EXECUTE ON FUNCTION ticketing.get_ticket_options(uuid[])
    TO ticketing_service, ticketing_operator;
