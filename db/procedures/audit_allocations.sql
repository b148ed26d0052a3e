-- audit_allocations()
--
-- Returns the options whose numbers do not add up, with what is wrong: where the
-- tickets left, held and sold are not the capacity, or one number that is kept says
-- something else than the rows that it is of. It returns no row, always; a row means
-- that somebody wrote to the tables around the functions. That an option is missing,
-- which no foreign key of the busy tables looks for, is found here too.
--
-- held and sold are counted from the holds, purchases and returns themselves.
-- missing is capacity - allocation - held - sold: above 0, tickets were lost; below
-- 0, tickets were sold that were never there.

CREATE OR REPLACE FUNCTION ticketing.audit_allocations()
RETURNS TABLE (
    ticket_option_id uuid,
    name text,
    capacity integer,
    allocation integer,
    held bigint,
    sold bigint,
    missing bigint,
    findings text
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan for tables that nobody has analyzed would compare each row with each other.
SET enable_nestloop = off
AS $function$
    WITH given_back AS (
        SELECT
            given_back.ticket_option_id,
            given_back.purchase_id,
            sum(given_back.quantity) AS quantity,
            max(given_back.returned_at) AS returned_at
        FROM ticketing_private.returns AS given_back
        GROUP BY
            given_back.ticket_option_id,
            given_back.purchase_id
    ),
    sale AS (
        SELECT
            purchase.ticket_option_id,
            sum(purchase.quantity - coalesce(given_back.quantity, 0)) AS quantity,
            count(*) FILTER (
                WHERE purchase.returned <> coalesce(given_back.quantity, 0)
                    OR purchase.cancelled_at IS DISTINCT FROM given_back.returned_at
            ) AS wrong_returns
        FROM ticketing_private.purchases AS purchase
        LEFT JOIN given_back
            ON given_back.ticket_option_id = purchase.ticket_option_id
            AND given_back.purchase_id = purchase.id
        GROUP BY purchase.ticket_option_id
    ),
    hold AS (
        SELECT
            hold.ticket_option_id,
            sum(hold.quantity) FILTER (WHERE hold.state = 'held') AS quantity,
            count(*) FILTER (
                WHERE hold.state = 'purchased'
                    AND (
                        purchase.user_id IS DISTINCT FROM hold.user_id
                        OR purchase.quantity IS DISTINCT FROM hold.quantity
                        OR purchase.created_at IS DISTINCT FROM hold.purchased_at
                    )
            ) AS without_purchase
        FROM ticketing_private.holds AS hold
        LEFT JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = hold.ticket_option_id
            AND purchase.id = hold.id
        GROUP BY hold.ticket_option_id
    ),
    change AS (
        SELECT
            change.ticket_option_id,
            (array_agg(change.capacity_after ORDER BY change.number DESC))[1] AS capacity,
            bool_or(change.capacity_before <> change.capacity_earlier OR change.number <> change.place) AS is_broken
        FROM (
            SELECT
                change.*,
                lag(change.capacity_after) OVER of_option AS capacity_earlier,
                row_number() OVER of_option AS place
            FROM ticketing_private.capacity_changes AS change
            WINDOW of_option AS (PARTITION BY change.ticket_option_id ORDER BY change.number)
        ) AS change
        GROUP BY change.ticket_option_id
    ),
    found AS (
        SELECT
            coalesce(option.id, sale.ticket_option_id, hold.ticket_option_id) AS id,
            option.name,
            option.capacity,
            option.allocation,
            option.id IS NULL AS is_option_missing,
            coalesce(hold.quantity, 0)::bigint AS held,
            coalesce(sale.quantity, 0)::bigint AS sold,
            (
                option.capacity::bigint - option.allocation
                - coalesce(hold.quantity, 0) - coalesce(sale.quantity, 0)
            )::bigint AS missing,
            option.held <> coalesce(hold.quantity, 0) AS is_held_wrong,
            coalesce(sale.wrong_returns, 0) AS wrong_returns,
            coalesce(hold.without_purchase, 0) AS without_purchase,
            coalesce(change.is_broken, false) OR change.capacity <> option.capacity AS is_capacity_wrong
        FROM ticketing_private.ticket_options AS option
        FULL JOIN sale ON sale.ticket_option_id = option.id
        FULL JOIN hold ON hold.ticket_option_id = coalesce(option.id, sale.ticket_option_id)
        LEFT JOIN change ON change.ticket_option_id = option.id
    )
    SELECT *
    FROM (
        SELECT
            found.id,
            found.name,
            found.capacity,
            found.allocation,
            found.held,
            found.sold,
            found.missing,
            nullif(
                concat_ws(
                    '; ',
                    CASE WHEN found.is_option_missing THEN 'the ticket option is missing' END,
                    'tickets lost: ' || nullif(greatest(found.missing, 0), 0),
                    'tickets oversold: ' || nullif(greatest(-found.missing, 0), 0),
                    CASE WHEN found.is_held_wrong THEN 'what is held is not what the holds have' END,
                    CASE WHEN found.wrong_returns > 0 THEN 'what was given back is not what the returns say' END,
                    CASE WHEN found.without_purchase > 0 THEN 'a purchased hold is not the purchase' END,
                    CASE WHEN found.is_capacity_wrong THEN 'the capacity is not what its changes say' END
                ),
                ''
            ) AS findings
        FROM found
    ) AS option
    WHERE option.findings IS NOT NULL
    ORDER BY option.id;
$function$;

COMMENT ON FUNCTION ticketing.audit_allocations() IS
'The options whose numbers do not add up, and what is wrong with them:
    select * from audit_allocations();
It returns no row, always.';

GRANT EXECUTE ON FUNCTION ticketing.audit_allocations()
    TO ticketing_operator;
