-- Compares what buyers were told with what is stored.
--
-- Returns one row per breach of the promise: what was broken, the option
-- concerned, and the details. It returns no rows if the promise was kept.
--
-- Parameters, as arrays: what was put on sale (capacity_option_ids,
-- capacities), and the purchases in the ledger, one element per request.
-- Requests by the same user are retries of the same purchase.

WITH

option AS MATERIALIZED (
    SELECT *
    FROM unnest(
        %(capacity_option_ids)s::uuid[],
        %(capacities)s::integer[]
    ) AS option (id, capacity)
),

asked AS MATERIALIZED (
    SELECT *
    FROM unnest(
        %(option_ids)s::uuid[],
        %(user_ids)s::uuid[],
        %(quantities)s::integer[],
        %(outcomes)s::text[],
        %(purchase_ids)s::uuid[]
    ) AS asked (option_id, user_id, quantity, outcome, purchase_id)
),

stored AS MATERIALIZED (
    SELECT
        purchase.ticket_option_id AS option_id,
        purchase.id AS purchase_id,
        purchase.user_id,
        purchase.quantity
    FROM ticketing.purchases AS purchase
    WHERE purchase.ticket_option_id IN (SELECT option.id FROM option)
),

-- Includes purchases whose first attempt has an unknown outcome. A refusal settles
-- all attempts, because the number of tickets left never rises.
refused AS (
    SELECT
        asked.option_id,
        asked.user_id
    FROM asked
    GROUP BY
        asked.option_id,
        asked.user_id
    HAVING bool_or(asked.outcome = 'refused')
        AND NOT bool_or(asked.outcome = 'acknowledged')
),

sold AS (
    SELECT
        stored.option_id,
        sum(stored.quantity) AS quantity
    FROM stored
    GROUP BY stored.option_id
)

SELECT
    'an acknowledged purchase is not stored as requested' AS breach,
    asked.option_id,
    concat_ws(' ', 'purchase', asked.purchase_id, 'user', asked.user_id, 'quantity', asked.quantity)
FROM asked
LEFT JOIN stored USING (option_id, purchase_id, user_id, quantity)
WHERE asked.outcome = 'acknowledged'
    AND stored.option_id IS NULL

UNION ALL
SELECT
    'a purchase is stored more than once',
    stored.option_id,
    concat_ws(' ', 'user', stored.user_id, 'stored', count(*), 'times')
FROM stored
GROUP BY
    stored.option_id,
    stored.user_id
HAVING count(*) > 1

UNION ALL
SELECT
    'a refused purchase is stored',
    stored.option_id,
    concat_ws(' ', 'purchase', stored.purchase_id, 'user', stored.user_id)
FROM stored
JOIN refused USING (option_id, user_id)

UNION ALL
SELECT
    'a purchase is stored that nobody requested',
    stored.option_id,
    concat_ws(
        ' ', 'purchase', stored.purchase_id, 'user', stored.user_id, 'quantity', stored.quantity
    )
FROM stored
LEFT JOIN (
    SELECT DISTINCT
        option_id,
        user_id,
        quantity
    FROM asked
) AS requested USING (option_id, user_id, quantity)
WHERE requested.option_id IS NULL

UNION ALL
SELECT
    'sold plus left is not the capacity',
    option.id,
    concat_ws(
        ' ', 'capacity', option.capacity, 'sold', coalesce(sold.quantity, 0),
        'left', coalesce(ticket_option.allocation::text, 'unknown: the option is gone')
    )
FROM option
LEFT JOIN ticketing.ticket_options AS ticket_option
    ON ticket_option.id = option.id
LEFT JOIN sold
    ON sold.option_id = option.id
WHERE ticket_option.allocation + coalesce(sold.quantity, 0) IS DISTINCT FROM option.capacity
    OR ticket_option.allocation < 0

UNION ALL
SELECT
    'audit_allocations() found a difference',
    difference.ticket_option_id,
    concat_ws(' ', 'missing', difference.missing)
FROM ticketing.audit_allocations() AS difference
