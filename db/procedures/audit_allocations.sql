-- audit_allocations()
--
-- Returns the options whose numbers do not add up: where the tickets left and
-- the tickets sold are not the capacity. It returns no row, always; a row means
-- that somebody wrote to the tables around the functions.
--
-- missing is capacity - allocation - sold: above 0, tickets were lost; below 0,
-- tickets were sold that were never there.

CREATE OR REPLACE FUNCTION ticketing.audit_allocations()
RETURNS TABLE (
    ticket_option_id uuid,
    name text,
    capacity integer,
    allocation integer,
    sold bigint,
    missing bigint
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT
        option.id,
        option.name,
        option.capacity,
        option.allocation,
        coalesce(sales.sold, 0),
        option.capacity - option.allocation - coalesce(sales.sold, 0)
    FROM ticketing_private.ticket_options AS option
    LEFT JOIN (
        SELECT
            purchase.ticket_option_id,
            sum(purchase.quantity) AS sold
        FROM ticketing_private.purchases AS purchase
        GROUP BY purchase.ticket_option_id
    ) AS sales ON sales.ticket_option_id = option.id
    WHERE option.capacity <> option.allocation + coalesce(sales.sold, 0)
    ORDER BY option.id;
$function$;

COMMENT ON FUNCTION ticketing.audit_allocations() IS
'The options where capacity <> allocation + what was sold, and by how much:
    select * from audit_allocations();
It returns no row, always.';

GRANT EXECUTE ON FUNCTION ticketing.audit_allocations()
    TO ticketing_operator;
