-- get_availability(option_id)
--
-- Returns how the capacity of an option is made up at this moment, as one row,
-- and no row when there is no such option. It is one snapshot: capacity = sold +
-- held + available. A hold that ran out is available. on_sale says whether the
-- option's window and pause allow a purchase, sold out or not.

CREATE OR REPLACE FUNCTION ticketing.get_availability(
    option_id uuid
)
RETURNS TABLE (
    capacity integer,
    sold integer,
    held integer,
    available integer,
    on_sale boolean
)
LANGUAGE plpgsql
STABLE
ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    at CONSTANT timestamptz := ticketing_private.clock();
BEGIN
    RETURN QUERY
    SELECT
        option.capacity,
        option.capacity - option.allocation - option.held,
        option.held - option.ran_out,
        option.allocation + option.ran_out,
        NOT option.paused
            AND at >= coalesce(option.on_sale_from, '-infinity')
            AND at < coalesce(option.on_sale_until, 'infinity')
    FROM (
        SELECT
            stored.*,
            CASE WHEN stored.held > 0 THEN ticketing_private.ran_out(stored.id, at) ELSE 0 END AS ran_out
        FROM ticketing_private.ticket_options AS stored
        WHERE stored.id = option_id
        OFFSET 0
    ) AS option;
END
$function$;

COMMENT ON FUNCTION ticketing.get_availability(uuid) IS
'How the capacity of a ticket option is made up at this moment, as one row:
    select * from get_availability(''<option>'');
capacity = sold + held + available.';

GRANT EXECUTE ON FUNCTION ticketing.get_availability(uuid)
    TO ticketing_service, ticketing_operator;
