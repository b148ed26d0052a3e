-- depends: 0005-idle-transactions

-- The service never calls these two functions, so it may not. A new database
-- does not have them yet, and gets them without the grant.
--
-- The other functions that can no longer be called are decide_purchases and
-- require_purchases, which moved to ticketing_private. They cannot be dropped
-- here, while calls that use them are in flight: see db/retired.py.

SET LOCAL ROLE ticketing_owner;

DO $$
DECLARE
    function regprocedure;
BEGIN
    FOREACH function IN ARRAY array_remove(
        ARRAY[
            to_regprocedure('ticketing.create_ticket_option(text, text, integer, uuid)'),
            to_regprocedure('ticketing.get_ticket_option(uuid)')
        ],
        NULL
    )
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM ticketing_service', function);
    END LOOP;
END
$$;

RESET ROLE;
