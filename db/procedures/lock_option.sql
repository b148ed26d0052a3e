-- lock_option(option_id, quantities[], is_resent, lock_wait_ms)
--
-- Bounds the wait for an option's lock in this transaction, and returns false
-- where the caller must not wait and would have to:
--
--     0     not at all: false where another transaction has the option locked,
--           and some of the quantities could be had
--     more  at most so many milliseconds, but in turn with others who wait;
--           then whoever locks the option gets 55P03, lock_not_available
--
-- That a lock wait raises, and is not caught and returned as busy, is for those
-- who are in line: a subtransaction would wake them twice for each sale.

CREATE OR REPLACE FUNCTION ticketing_private.lock_option(
    option_id uuid,
    quantities integer[],
    is_resent boolean,
    lock_wait_ms integer
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
DECLARE
    happens_at timestamptz;
BEGIN
    IF lock_wait_ms > 0 THEN
        RETURN ticketing_private.bound_lock_wait(lock_wait_ms);
    END IF;

    -- What could not be had a moment ago may be by now.
    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    happens_at := ticketing_private.clock();

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
        AND (
            option.allocation >= ANY (quantities)
            OR is_resent
            OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
        )
    FOR NO KEY UPDATE SKIP LOCKED;

    IF FOUND THEN
        RETURN true;
    END IF;

    -- What cannot be had is not locked.
    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
        AND (
            option.allocation >= ANY (quantities)
            OR is_resent
            OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
        );

    RETURN NOT FOUND;
END
$function$;

COMMENT ON FUNCTION ticketing_private.lock_option(uuid, integer[], boolean, integer) IS
'Bounds the wait for the lock of an option; false where it is locked and the caller must not wait.';
