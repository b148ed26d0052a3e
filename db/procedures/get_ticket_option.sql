-- get_ticket_option(option_id)
--
-- Returns the option as one row, and no row when there is none. allocation is
-- what can still be purchased at this moment, of what is committed.

CREATE OR REPLACE FUNCTION ticketing.get_ticket_option(
    option_id uuid
)
RETURNS TABLE (
    id uuid,
    name text,
    "desc" text,
    allocation integer
)
LANGUAGE sql
STABLE
ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;
$function$;

COMMENT ON FUNCTION ticketing.get_ticket_option(uuid) IS
'The ticket option as one row, or no row when there is none:
    select * from get_ticket_option(''<option>'');
allocation is what can still be purchased at this moment.';

GRANT EXECUTE ON FUNCTION ticketing.get_ticket_option(uuid)
    TO ticketing_service, ticketing_operator;
