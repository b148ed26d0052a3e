-- sweep_expired_holds([holds_max])
--
-- Returns the tickets of holds that ran out to their option: of one option, at
-- most holds_max, the oldest first. Returns how many holds it ended; 0 when there
-- are none, when what there is is locked, or when another session is sweeping.
--
-- It also forgets refusals of resends that are older than a day: no sending of them
-- is still on its way.
--
-- Nobody depends on it: whoever would be refused because of such holds ends them,
-- and reads do not count them. It tidies up. So it never waits for a lock, and
-- keeps one option locked, for a transaction that the caller ends at once.

CREATE OR REPLACE FUNCTION ticketing.sweep_expired_holds(
    holds_max integer DEFAULT 1000
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $function$
DECLARE
    happens_at CONSTANT timestamptz := ticketing_private.clock();
    oldest_id uuid;
    -- Each is another search; who keeps more locked than that has the others wait.
    locked_ids uuid[] := '{}'::uuid[];
    ended record;
BEGIN
    -- Any number that nothing else in the database uses: db/lock.py has the one before.
    IF NOT pg_try_advisory_xact_lock(7163880912) THEN
        RETURN 0;
    END IF;

    DELETE FROM ticketing_private.refused_resends AS refused
    USING (
        SELECT
            old.ticket_option_id,
            old.id,
            old.resend_id
        FROM ticketing_private.refused_resends AS old
        WHERE old.refused_at < happens_at - interval '1 day'
        LIMIT 1000
    ) AS old
    WHERE refused.ticket_option_id = old.ticket_option_id
        AND refused.id = old.id
        AND refused.resend_id = old.resend_id;

    WHILE cardinality(locked_ids) < 100 LOOP
        SELECT hold.ticket_option_id
        INTO oldest_id
        FROM ticketing_private.holds AS hold
        WHERE hold.state = 'held'
            AND hold.expires_at <= happens_at
            AND hold.ticket_option_id <> ALL (locked_ids)
        ORDER BY hold.expires_at
        LIMIT 1;

        EXIT WHEN NOT FOUND;

        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = oldest_id
        FOR NO KEY UPDATE SKIP LOCKED;

        IF NOT FOUND THEN
            locked_ids := locked_ids || oldest_id;
            CONTINUE;
        END IF;

        SELECT *
        INTO ended
        FROM ticketing_private.expire_holds(oldest_id, 9223372036854775807, holds_max, happens_at);

        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = option.allocation + ended.tickets,
            held = option.held - ended.tickets,
            updated_at = greatest(option.updated_at, happens_at)
        WHERE option.id = oldest_id
            AND ended.holds > 0;

        RETURN ended.holds;
    END LOOP;

    RETURN 0;
END
$function$;

COMMENT ON FUNCTION ticketing.sweep_expired_holds(integer) IS
'Returns the tickets of holds that ran out to one option, and says how many holds; it never waits for a lock.';

GRANT EXECUTE ON FUNCTION ticketing.sweep_expired_holds(integer)
    TO ticketing_service, ticketing_operator;
