-- purchase_tickets(option_id, purchase_ids[], user_ids[], quantities[])
--
-- Sells tickets of one option, as try_purchase_tickets.sql does, for as long as it
-- takes to lock the option, and returns the outcomes alone, in order.
--
-- The release before this one calls it, and knows no other refusal than sold_out.
--
-- Raises TK003 as try_purchase_tickets.sql does.

CREATE OR REPLACE FUNCTION ticketing.purchase_tickets(
    option_id uuid,
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
    sold record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);

    sold := ticketing_private.take_tickets_of_one(
        option_id, purchase_ids, user_ids, quantities, NULL, NULL, true
    );

    RETURN ticketing_private.outcomes_without_details(sold.outcomes);
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets(uuid, uuid[], uuid[], integer[]) IS
'Sells tickets of one option to many buyers at once, and returns an outcome for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with another user or quantity
    not_found         there is no such ticket option
    not_on_sale       it is paused, or not on sale yet or any longer; nothing is taken
    limit_reached     the user may not have as many; nothing is taken
    sold_out          fewer tickets are left than were asked for; nothing is taken
Raises TK003 for arrays that differ in length or hold a NULL or a quantity below 1.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets(uuid, uuid[], uuid[], integer[])
    TO ticketing_service, ticketing_operator;
