-- expire_holds(option_id, tickets_needed, holds_max, at)
--
-- Ends holds of an option that have run out, the oldest first, and returns the
-- number of their tickets: as many holds as give the tickets that are needed, at
-- most holds_max, or all there are. The caller has the option locked, and returns
-- the tickets to it.
--
-- It costs what the holds cost that it ends, however many have run out.

CREATE OR REPLACE FUNCTION ticketing_private.expire_holds(
    option_id uuid,
    tickets_needed bigint,
    holds_max bigint,
    at timestamptz,
    OUT tickets integer,
    OUT holds integer
)
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
BEGIN
    -- A hold has at least one ticket, so no more of them than tickets are needed.
    WITH ended AS (
        UPDATE ticketing_private.holds AS hold
        SET
            state = 'expired',
            expired_at = at
        FROM (
            SELECT
                oldest.id,
                sum(oldest.quantity) OVER (
                    ORDER BY oldest.expires_at ROWS UNBOUNDED PRECEDING
                ) - oldest.quantity AS tickets_before
            FROM (
                SELECT
                    hold.id,
                    hold.quantity,
                    hold.expires_at
                FROM ticketing_private.holds AS hold
                WHERE hold.ticket_option_id = option_id
                    AND hold.state = 'held'
                    AND hold.expires_at <= at
                ORDER BY hold.expires_at
                LIMIT least(tickets_needed, holds_max)
            ) AS oldest
        ) AS oldest
        WHERE hold.ticket_option_id = option_id
            AND hold.id = oldest.id
            AND oldest.tickets_before < tickets_needed
        RETURNING hold.quantity
    )
    SELECT
        coalesce(sum(ended.quantity), 0)::integer,
        count(*)::integer
    INTO tickets, holds
    FROM ended;
END
$function$;

COMMENT ON FUNCTION ticketing_private.expire_holds(uuid, bigint, bigint, timestamptz) IS
'Ends holds that have run out, as many as give the tickets that are needed, and returns how many tickets.';
