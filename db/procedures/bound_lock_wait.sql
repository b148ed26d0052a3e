-- bound_lock_wait(lock_wait_ms)
--
-- Bounds how long this transaction waits for each lock from now on: then it gets
-- 55P03, lock_not_available. 0 is a millisecond, since none would be for ever. NULL
-- leaves the bound of the session. Returns true.

CREATE OR REPLACE FUNCTION ticketing_private.bound_lock_wait(
    lock_wait_ms integer
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN lock_wait_ms IS NULL
        OR set_config('lock_timeout', greatest(1, lock_wait_ms)::text, true) IS NOT NULL;
END
$function$;

COMMENT ON FUNCTION ticketing_private.bound_lock_wait(integer) IS
'Bounds how long this transaction waits for a lock.';
