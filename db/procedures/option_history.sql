-- option_history(option_id)
--
-- Returns everything that ever changed the allocation of an option, in order, with
-- its time, by how much it changed, and the balance after it, which is the
-- allocation in the end. Read from the purchases, holds, returns and changes of
-- capacity themselves, not from the counters.
--
--     created           the option, with its tickets
--     capacity_changed
--     held              a hold was made
--     released          its tickets were given back
--     expired           it ran out, and its tickets were returned; this is when they
--                       were, which may be after it ran out
--     hold_purchased    it became a purchase; that changed no allocation
--     purchased         a purchase, or a hold that had run out, and was purchased anew
--     returned          tickets of a purchase were given back

CREATE OR REPLACE FUNCTION ticketing.option_history(
    option_id uuid
)
RETURNS TABLE (
    happened_at timestamptz,
    kind text,
    id uuid,
    user_id uuid,
    quantity integer,
    balance bigint
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan for tables that nobody has analyzed would compare each row with each other.
SET enable_nestloop = off
AS $function$
    WITH event (happened_at, rank, kind, id, user_id, quantity) AS (
        SELECT
            option.created_at,
            0,
            'created',
            option.id,
            NULL::uuid,
            coalesce(
                (
                    SELECT change.capacity_before
                    FROM ticketing_private.capacity_changes AS change
                    WHERE change.ticket_option_id = option_id
                        AND change.number = 1
                ),
                option.capacity
            )
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
        UNION ALL
        SELECT
            change.changed_at,
            4,
            'capacity_changed',
            option_id,
            NULL,
            change.capacity_after - change.capacity_before
        FROM ticketing_private.capacity_changes AS change
        WHERE change.ticket_option_id = option_id
        UNION ALL
        SELECT
            hold.created_at,
            3,
            'held',
            hold.id,
            hold.user_id,
            -hold.quantity
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
        UNION ALL
        SELECT
            hold.released_at,
            CASE
                WHEN hold.expired_at IS NOT NULL THEN 2
                WHEN hold.released_at > hold.created_at THEN 1
                ELSE 5
            END,
            'released',
            hold.id,
            hold.user_id,
            CASE WHEN hold.expired_at IS NULL THEN hold.quantity ELSE 0 END
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.released_at IS NOT NULL
        UNION ALL
        SELECT
            hold.expired_at,
            1,
            'expired',
            hold.id,
            hold.user_id,
            hold.quantity
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.expired_at IS NOT NULL
        UNION ALL
        SELECT
            purchase.created_at,
            3,
            CASE WHEN hold.expired_at IS NULL AND hold.id IS NOT NULL THEN 'hold_purchased' ELSE 'purchased' END,
            purchase.id,
            purchase.user_id,
            CASE WHEN hold.expired_at IS NULL AND hold.id IS NOT NULL THEN 0 ELSE -purchase.quantity END
        FROM ticketing_private.purchases AS purchase
        LEFT JOIN ticketing_private.holds AS hold
            ON hold.ticket_option_id = purchase.ticket_option_id
            AND hold.id = purchase.id
            AND hold.state = 'purchased'
        WHERE purchase.ticket_option_id = option_id
        UNION ALL
        SELECT
            given_back.returned_at,
            CASE WHEN given_back.returned_at > purchase.created_at THEN 1 ELSE 5 END,
            'returned',
            purchase.id,
            purchase.user_id,
            given_back.quantity
        FROM ticketing_private.returns AS given_back
        INNER JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = given_back.ticket_option_id
            AND purchase.id = given_back.purchase_id
        WHERE given_back.ticket_option_id = option_id
    )
    SELECT
        event.happened_at,
        event.kind,
        event.id,
        event.user_id,
        event.quantity,
        sum(event.quantity) OVER in_order
    FROM event
    WINDOW in_order AS (
        ORDER BY
            event.rank > 0,
            event.happened_at,
            event.rank,
            event.id,
            event.quantity
        ROWS UNBOUNDED PRECEDING
    )
    ORDER BY
        event.rank > 0,
        event.happened_at,
        event.rank,
        event.id,
        event.quantity;
$function$;

COMMENT ON FUNCTION ticketing.option_history(uuid) IS
'Everything that ever changed the allocation of a ticket option, in order, with the balance after it:
    select * from option_history(''<option>'');
The last balance is the allocation.';

GRANT EXECUTE ON FUNCTION ticketing.option_history(uuid)
    TO ticketing_operator;
