-- has_run_out(option_id, at)
--
-- Whether an option has holds that have run out, and whose tickets are still to
-- be returned.

CREATE OR REPLACE FUNCTION ticketing_private.has_run_out(
    option_id uuid,
    at timestamptz
)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $function$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.state = 'held'
            AND hold.expires_at <= at
    );
END
$function$;

COMMENT ON FUNCTION ticketing_private.has_run_out(uuid, timestamptz) IS
'Whether an option has holds that have run out, and whose tickets are still to be returned.';
