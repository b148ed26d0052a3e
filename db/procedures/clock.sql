-- clock()
--
-- What time it is: the one place where every function asks. A test that needs
-- another time replaces this function in its own database; nothing else can.

CREATE OR REPLACE FUNCTION ticketing_private.clock()
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN clock_timestamp();
END
$function$;

COMMENT ON FUNCTION ticketing_private.clock() IS
'What time it is, for every function.';
