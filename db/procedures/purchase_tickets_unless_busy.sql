-- purchase_tickets_unless_busy(option_id, purchase_ids[], user_ids[], quantities[], lock_wait_ms)
--
-- Sells tickets of one option, as try_purchase_tickets.sql does, and returns the
-- outcomes alone, in order.
--
-- The release before this one calls it, and knows no other refusal than sold_out.
--
-- Raises TK003 as try_purchase_tickets.sql does, and 55P03 when it has waited for
-- the lock for too long.

CREATE OR REPLACE FUNCTION ticketing.purchase_tickets_unless_busy(
    option_id uuid,
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[],
    lock_wait_ms integer
)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    sold CONSTANT record := ticketing.try_purchase_tickets(
        option_id, purchase_ids, user_ids, quantities, lock_wait_ms
    );
BEGIN
    RETURN ticketing_private.outcomes_without_details(sold.outcomes);
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer) IS
'Sells tickets of one option to many buyers at once as purchase_tickets(uuid, uuid[], uuid[], integer[])
does, but waits for a lock on the option for at most so many milliseconds. With 0 it does not wait: every
outcome is busy, which decides nothing, where another transaction has the option locked. With more it
raises lock_not_available (55P03) when they are over.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer)
    TO ticketing_service, ticketing_operator;
