-- rfc3339(moment)
--
-- Writes a moment as the service shows it: in UTC, to the microsecond. Neither
-- the session's time zone nor its date style has a say.

CREATE OR REPLACE FUNCTION ticketing_private.rfc3339(
    moment timestamptz
)
RETURNS text
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END
$function$;

COMMENT ON FUNCTION ticketing_private.rfc3339(timestamptz) IS
'The moment in UTC, as RFC 3339 writes it.';
