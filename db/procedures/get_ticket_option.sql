-- get_ticket_option(option_id)
--
-- Returns the ticket option as one row, or no row if it does not exist.
-- allocation is the number of tickets that can still be purchased; sales that
-- are not committed yet do not count.

CREATE OR REPLACE FUNCTION ticketing.get_ticket_option(
    option_id uuid
)
RETURNS TABLE (
    id uuid,
    name text,
    "desc" text,
    allocation integer
)
LANGUAGE plpgsql
STABLE
ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;
END
$function$;

COMMENT ON FUNCTION ticketing.get_ticket_option(uuid) IS
'The ticket option as one row, or no row if it does not exist:
    select * from get_ticket_option(''<option>'');
allocation is the number of tickets that can still be purchased.';

GRANT EXECUTE ON FUNCTION ticketing.get_ticket_option(uuid)
    TO ticketing_operator;
