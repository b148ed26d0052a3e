-- audit_allocations()
--
-- Returns the ticket options whose numbers do not add up: those where tickets
-- left plus tickets sold differ from the capacity. It should always return no
-- rows; a row means that somebody bypassed the functions and wrote to the
-- tables.
--
-- missing is capacity - allocation - sold: above 0, tickets were lost; below 0,
-- the option was oversold.

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
'The ticket options whose capacity is not allocation + sold, and by how much:
    select * from audit_allocations();
It should always return no rows.';

GRANT EXECUTE ON FUNCTION ticketing.audit_allocations()
    TO ticketing_operator;
