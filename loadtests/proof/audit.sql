-- Compares what buyers and organisers were told with what is stored.
--
-- Returns one row per breach of the promise: what was broken, the option
-- concerned, and the details. It returns no rows if the promise was kept.
--
-- Parameters, as arrays: what was put on sale (capacity_option_ids,
-- capacities), and the requests in the ledger that are no reads, in order, one
-- element per request. Requests of the same kind by the same user are retries of
-- the same purchase, hold, and so on; only returns are told apart by what is to
-- remain.

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
        %(kinds)s::text[],
        %(option_ids)s::uuid[],
        %(user_ids)s::uuid[],
        %(quantities)s::integer[],
        %(outcomes)s::text[],
        %(ids)s::uuid[]
    ) WITH ORDINALITY AS asked (kind, option_id, user_id, quantity, outcome, id, place)
),

given_back AS (
    SELECT
        given_back.ticket_option_id AS option_id,
        given_back.purchase_id AS id,
        sum(given_back.quantity) AS quantity,
        count(*) AS times
    FROM ticketing.returns AS given_back
    WHERE given_back.ticket_option_id IN (SELECT option.id FROM option)
    GROUP BY
        given_back.ticket_option_id,
        given_back.purchase_id
),

-- What a purchase has now, by the rows of its returns and not by its counter.
stored AS MATERIALIZED (
    SELECT
        purchase.ticket_option_id AS option_id,
        purchase.id,
        purchase.user_id,
        purchase.purchased_quantity AS quantity,
        purchase.purchased_quantity - coalesce(given_back.quantity, 0) AS remaining,
        coalesce(given_back.times, 0) AS times_returned
    FROM ticketing.purchases AS purchase
    LEFT JOIN given_back
        ON given_back.option_id = purchase.ticket_option_id
        AND given_back.id = purchase.id
    WHERE purchase.ticket_option_id IN (SELECT option.id FROM option)
),

stored_hold AS MATERIALIZED (
    SELECT
        hold.ticket_option_id AS option_id,
        hold.id,
        hold.user_id,
        hold.quantity,
        hold.state,
        hold.expires_at,
        hold.expired_at
    FROM ticketing.holds AS hold
    WHERE hold.ticket_option_id IN (SELECT option.id FROM option)
),

-- Everything that one user asked for: what was acknowledged at any time is done.
-- Otherwise a refusal settles what was sent before it, but not what the buyer
-- sends again afterwards.
settled AS MATERIALIZED (
    SELECT
        asked.option_id,
        asked.user_id,
        asked.thing,
        CASE
            WHEN bool_or(asked.outcome = 'acknowledged') THEN 'acknowledged'
            ELSE (array_agg(asked.outcome ORDER BY asked.place DESC))[1]
        END AS outcome
    FROM (
        SELECT
            asked.*,
            CASE
                WHEN asked.kind IN ('purchase', 'hold', 'nonsense') THEN 'tickets'
                ELSE asked.kind
            END AS thing
        FROM asked
        WHERE asked.user_id IS NOT NULL
    ) AS asked
    GROUP BY
        asked.option_id,
        asked.user_id,
        asked.thing
),

refused AS (
    SELECT DISTINCT
        settled.option_id,
        settled.user_id
    FROM settled
    WHERE settled.thing IN ('tickets', 'hold purchase')
        AND settled.outcome = 'refused'
),

-- What a purchase may have left: what the last acknowledged return left, or a
-- later one with an unknown outcome. It was changed once by each of them.
kept AS (
    SELECT
        asked.option_id,
        asked.user_id,
        (array_agg(asked.quantity ORDER BY asked.place DESC) FILTER (WHERE asked.outcome = 'acknowledged'))[1]
            AS acknowledged,
        (array_agg(asked.quantity ORDER BY asked.place DESC))[1] AS last,
        count(DISTINCT asked.quantity) FILTER (WHERE asked.outcome = 'acknowledged') AS times_min,
        count(DISTINCT asked.quantity) AS times_max
    FROM asked
    WHERE asked.kind = 'return'
        AND asked.outcome <> 'refused'
    GROUP BY
        asked.option_id,
        asked.user_id
),

-- The capacity may be what was acknowledged last, or a later change with an
-- unknown outcome.
changed AS (
    SELECT
        asked.option_id,
        (array_agg(asked.quantity ORDER BY asked.place DESC) FILTER (WHERE asked.outcome = 'acknowledged'))[1]
            AS acknowledged,
        (array_agg(asked.quantity ORDER BY asked.place DESC))[1] AS last
    FROM asked
    WHERE asked.kind = 'capacity'
        AND asked.outcome <> 'refused'
    GROUP BY asked.option_id
),

sold AS (
    SELECT
        stored.option_id,
        sum(stored.remaining) AS quantity
    FROM stored
    GROUP BY stored.option_id
),

held AS (
    SELECT
        stored_hold.option_id,
        sum(stored_hold.quantity) AS quantity
    FROM stored_hold
    WHERE stored_hold.state = 'held'
    GROUP BY stored_hold.option_id
)

SELECT
    'an acknowledged purchase is not stored as requested' AS breach,
    asked.option_id,
    concat_ws(' ', 'purchase', asked.id, 'user', asked.user_id, 'quantity', asked.quantity)
FROM asked
LEFT JOIN stored USING (option_id, id, user_id, quantity)
WHERE asked.kind IN ('purchase', 'hold purchase', 'nonsense')
    AND asked.outcome = 'acknowledged'
    AND stored.option_id IS NULL

UNION ALL
SELECT
    'an acknowledged hold is not stored as requested',
    asked.option_id,
    concat_ws(' ', 'hold', asked.id, 'user', asked.user_id, 'quantity', asked.quantity)
FROM asked
LEFT JOIN stored_hold USING (option_id, id, user_id, quantity)
WHERE asked.kind = 'hold'
    AND asked.outcome = 'acknowledged'
    AND stored_hold.option_id IS NULL

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
    'a hold is stored more than once',
    stored_hold.option_id,
    concat_ws(' ', 'user', stored_hold.user_id, 'stored', count(*), 'times')
FROM stored_hold
GROUP BY
    stored_hold.option_id,
    stored_hold.user_id
HAVING count(*) > 1

UNION ALL
SELECT
    'a refused purchase is stored',
    stored.option_id,
    concat_ws(' ', 'purchase', stored.id, 'user', stored.user_id)
FROM stored
JOIN refused USING (option_id, user_id)

UNION ALL
SELECT
    'a refused hold is stored',
    stored_hold.option_id,
    concat_ws(' ', 'hold', stored_hold.id, 'user', stored_hold.user_id)
FROM stored_hold
JOIN settled USING (option_id, user_id)
WHERE settled.thing = 'tickets'
    AND settled.outcome = 'refused'

UNION ALL
SELECT
    'a purchase is stored that nobody requested',
    stored.option_id,
    concat_ws(' ', 'purchase', stored.id, 'user', stored.user_id, 'quantity', stored.quantity)
FROM stored
LEFT JOIN (
    SELECT DISTINCT
        option_id,
        user_id,
        quantity
    FROM asked
    WHERE kind IN ('purchase', 'hold purchase')
) AS requested USING (option_id, user_id, quantity)
WHERE requested.option_id IS NULL

UNION ALL
SELECT
    'a hold is stored that nobody requested',
    stored_hold.option_id,
    concat_ws(' ', 'hold', stored_hold.id, 'user', stored_hold.user_id, 'quantity', stored_hold.quantity)
FROM stored_hold
LEFT JOIN (
    SELECT DISTINCT
        option_id,
        user_id,
        quantity
    FROM asked
    WHERE kind = 'hold'
) AS requested USING (option_id, user_id, quantity)
WHERE requested.option_id IS NULL

-- A hold that nobody purchased or released may only run out.
UNION ALL
SELECT
    'a hold is not what became of it',
    stored_hold.option_id,
    concat_ws(
        ' ', 'hold', stored_hold.id, 'user', stored_hold.user_id, 'is', stored_hold.state,
        'purchase', coalesce(purchase.outcome, 'never requested'),
        'release', coalesce(release.outcome, 'never requested')
    )
FROM stored_hold
LEFT JOIN settled AS purchase
    ON purchase.option_id = stored_hold.option_id
    AND purchase.user_id = stored_hold.user_id
    AND purchase.thing = 'hold purchase'
LEFT JOIN settled AS release
    ON release.option_id = stored_hold.option_id
    AND release.user_id = stored_hold.user_id
    AND release.thing = 'release'
WHERE (stored_hold.state = 'purchased' AND coalesce(purchase.outcome, 'refused') = 'refused')
    OR (stored_hold.state <> 'purchased' AND purchase.outcome = 'acknowledged')
    OR (stored_hold.state = 'released' AND coalesce(release.outcome, 'refused') = 'refused')
    OR (stored_hold.state = 'held' AND release.outcome = 'acknowledged')
    OR stored_hold.expired_at < stored_hold.expires_at

UNION ALL
SELECT
    'a purchase has more or fewer tickets than its returns left',
    stored.option_id,
    concat_ws(
        ' ', 'purchase', stored.id, 'user', stored.user_id, 'of', stored.quantity,
        'has', stored.remaining, 'instead of', coalesce(kept.acknowledged, stored.quantity)
    )
FROM stored
LEFT JOIN kept USING (option_id, user_id)
WHERE stored.remaining <> coalesce(kept.acknowledged, stored.quantity)
    AND stored.remaining <> coalesce(kept.last, stored.quantity)

UNION ALL
SELECT
    'tickets were returned more or less often than requested',
    stored.option_id,
    concat_ws(' ', 'purchase', stored.id, 'user', stored.user_id, 'returned', stored.times_returned, 'times')
FROM stored
LEFT JOIN kept USING (option_id, user_id)
WHERE stored.times_returned NOT BETWEEN coalesce(kept.times_min, 0) AND coalesce(kept.times_max, 0)

UNION ALL
SELECT
    'the capacity was changed as nobody requested',
    change.ticket_option_id,
    concat_ws(' ', 'from', change.capacity_before, 'to', change.capacity_after)
FROM ticketing.capacity_changes AS change
JOIN option
    ON option.id = change.ticket_option_id
WHERE NOT EXISTS (
    SELECT
    FROM asked
    WHERE asked.kind = 'capacity'
        AND asked.outcome <> 'refused'
        AND asked.option_id = change.ticket_option_id
        AND asked.quantity = change.capacity_after
)

UNION ALL
SELECT
    'an acknowledged change of the capacity is not stored',
    asked.option_id,
    concat_ws(' ', 'to', asked.quantity)
FROM asked
JOIN option
    ON option.id = asked.option_id
WHERE asked.kind = 'capacity'
    AND asked.outcome = 'acknowledged'
    AND asked.quantity <> option.capacity
    AND NOT EXISTS (
        SELECT
        FROM ticketing.capacity_changes AS change
        WHERE change.ticket_option_id = asked.option_id
            AND change.capacity_after = asked.quantity
    )

UNION ALL
SELECT
    'sold, held and left are not the capacity',
    option.id,
    concat_ws(
        ' ', 'capacity', coalesce(changed.acknowledged, option.capacity),
        'sold', coalesce(sold.quantity, 0), 'held', coalesce(held.quantity, 0),
        'left', coalesce(ticket_option.allocation::text, 'unknown: the option is gone')
    )
FROM option
LEFT JOIN ticketing.ticket_options AS ticket_option
    ON ticket_option.id = option.id
LEFT JOIN changed
    ON changed.option_id = option.id
LEFT JOIN sold
    ON sold.option_id = option.id
LEFT JOIN held
    ON held.option_id = option.id
CROSS JOIN LATERAL (
    SELECT ticket_option.allocation + coalesce(sold.quantity, 0) + coalesce(held.quantity, 0)
) AS adding_up (capacity)
WHERE ticket_option.allocation IS NULL
    OR ticket_option.allocation < 0
    OR (
        adding_up.capacity <> coalesce(changed.acknowledged, option.capacity)
        AND adding_up.capacity <> coalesce(changed.last, option.capacity)
    )

UNION ALL
SELECT
    'option_history() does not end with what is left',
    ticket_option.id,
    concat_ws(' ', 'balance', history.balance, 'left', ticket_option.allocation)
FROM ticketing.ticket_options AS ticket_option
JOIN option
    ON option.id = ticket_option.id
LEFT JOIN LATERAL (
    SELECT history.balance
    FROM ticketing.option_history(ticket_option.id) WITH ORDINALITY AS history (
        happened_at, kind, id, user_id, quantity, balance, place
    )
    ORDER BY history.place DESC
    LIMIT 1
) AS history ON true
WHERE history.balance IS DISTINCT FROM ticket_option.allocation

UNION ALL
SELECT
    'audit_allocations() found a difference',
    difference.ticket_option_id,
    difference.findings
FROM ticketing.audit_allocations() AS difference
