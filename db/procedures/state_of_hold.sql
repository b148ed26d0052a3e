-- state_of_hold(state, expires_at)
--
-- What state a hold is in at this moment: one that has run out is expired, also
-- while its tickets are still to be returned.

CREATE OR REPLACE FUNCTION ticketing_private.state_of_hold(
    state text,
    expires_at timestamptz
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF state = 'held' AND expires_at <= ticketing_private.clock() THEN
        RETURN 'expired';
    END IF;

    RETURN state;
END
$function$;

COMMENT ON FUNCTION ticketing_private.state_of_hold(text, timestamptz) IS
'The state of a hold at this moment.';
