-- purchase_tickets_of_many(option_ids[], purchase_ids[], user_ids[], quantities[])
--
-- Sells tickets of many options in one call, as try_purchase_tickets_of_many.sql
-- does, and returns the outcomes alone, in order.
--
-- The release before this one calls it, and knows no other refusal than sold_out.
--
-- It has a name of its own: as one more purchase_tickets it would make calls of
-- the other one ambiguous, whose option is typed without a cast.
--
-- Raises TK003 as try_purchase_tickets.sql does.

CREATE OR REPLACE FUNCTION ticketing.purchase_tickets_of_many(
    option_ids uuid[],
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[]
)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    sold CONSTANT record := ticketing.try_purchase_tickets_of_many(
        option_ids, purchase_ids, user_ids, quantities
    );
BEGIN
    RETURN ticketing_private.outcomes_without_details(sold.outcomes);
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[]) IS
'Sells tickets of many options in one call, and returns an outcome for each purchase, in order: those of
purchase_tickets(uuid, uuid[], uuid[], integer[]), and busy, which decides nothing, where another
transaction has the option locked. It never waits for a lock.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[])
    TO ticketing_service, ticketing_operator;
