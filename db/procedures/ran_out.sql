-- ran_out(option_id, at)
--
-- Returns how many tickets of an option are in holds that have run out, and are
-- still to be returned.

CREATE OR REPLACE FUNCTION ticketing_private.ran_out(
    option_id uuid,
    at timestamptz
)
RETURNS integer
LANGUAGE sql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(sum(hold.quantity), 0)::integer
    FROM ticketing_private.holds AS hold
    WHERE hold.ticket_option_id = option_id
        AND hold.state = 'held'
        AND hold.expires_at <= at;
$function$;

COMMENT ON FUNCTION ticketing_private.ran_out(uuid, timestamptz) IS
'How many tickets of an option are in holds that have run out, and are still to be returned.';
