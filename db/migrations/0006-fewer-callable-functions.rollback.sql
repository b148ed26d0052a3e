-- The helpers move back to ticketing, and the functions that call them follow,
-- so sales go on. Earlier rollbacks expect ticketing_private to hold no function.

SET LOCAL ROLE ticketing_owner;

DO $$
DECLARE
    helper record;
    caller regprocedure;
BEGIN
    FOR helper IN
        SELECT
            oid::regprocedure AS signature,
            proname AS name,
            pg_get_function_identity_arguments(oid) AS arguments
        FROM pg_proc
        WHERE pronamespace = 'ticketing_private'::regnamespace
    LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS ticketing.%I(%s)', helper.name, helper.arguments);
        EXECUTE format('ALTER FUNCTION %s SET SCHEMA ticketing', helper.signature);
    END LOOP;

    FOR caller IN
        SELECT oid
        FROM pg_proc
        WHERE pronamespace = 'ticketing'::regnamespace
            AND prosrc ~ 'ticketing_private\.\w+\('
    LOOP
        EXECUTE regexp_replace(
            pg_get_functiondef(caller), 'ticketing_private\.(\w+\()', 'ticketing.\1', 'g'
        );
    END LOOP;

    IF to_regprocedure('ticketing.create_ticket_option(text, text, integer, uuid)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION ticketing.create_ticket_option(text, text, integer, uuid)
            TO ticketing_service;
        GRANT EXECUTE ON FUNCTION ticketing.get_ticket_option(uuid) TO ticketing_service;
    END IF;
END
$$;

-- Whichever build migrates next applies its own procedures, all of them.
DELETE FROM ticketing_private.installed_files WHERE path LIKE 'procedures/%';

RESET ROLE;
