-- try_purchase_tickets(option_id, purchase_ids[], user_ids[], quantities[], lock_wait_ms [, resend_ids[]])
--
-- Sells tickets of one option to many buyers at once. Returns an outcome for
-- each, in their order, and a detail, which is NULL or has what a refusal shows:
--
--     created           the tickets are sold and stored
--     exists            this id is stored with this user and quantity: a call
--                       whose outcome was unknown, sent again
--     exists_different  this id is stored with another user or quantity
--     not_found         there is no such option
--     not_on_sale       with its reason: paused, not_yet (and on_sale_from), over
--     limit_reached     with the limit, and left_for_user
--     sold_out          fewer tickets are left than were asked for: available
--     refused_before    a resend was refused meanwhile, or for an earlier request
--     busy              the option is locked; nothing was decided
--
-- Outcomes are returned, not raised, because a refused buyer must not abort
-- the others of the batch. The first rule that applies refuses, in this order.
--
-- lock_wait_ms bounds the wait for the option's lock, as lock_option.sql says: 0
-- is not to wait, and to return busy. So a caller with few connections is not
-- held up by options that somebody keeps locked. The bound holds until the end
-- of the transaction.
--
-- A call that is sent again has resend_ids, for each purchase an id of the
-- request that it belongs to, the same in all of its resends. What was refused
-- then stays refused: a sending that comes late sells nothing any more. Another
-- request for the same purchase that is refused_before is sent again as such, and
-- decided anew.
--
-- Raises TK003 when the arrays differ in length, hold a NULL or hold a quantity
-- below 1; then nothing was sold.
--
-- It runs where the option is, and a database distributed by option can delegate
-- it. See take_tickets_of_one.sql for what it does about concurrency and durability.

CREATE OR REPLACE FUNCTION ticketing.try_purchase_tickets(
    option_id uuid,
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[],
    lock_wait_ms integer,
    resend_ids uuid[] DEFAULT NULL,
    OUT outcomes text[],
    OUT details jsonb[]
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    taken record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);

    IF resend_ids IS NOT NULL THEN
        PERFORM ticketing_private.require_resends(purchase_ids, resend_ids);
    END IF;

    IF NOT ticketing_private.lock_option(option_id, quantities, resend_ids IS NOT NULL, lock_wait_ms) THEN
        outcomes := array_fill('busy'::text, ARRAY[cardinality(purchase_ids)]);
        RETURN;
    END IF;

    -- Each of these is an expression, which costs less than a query.
    taken := ticketing_private.take_tickets_of_one(
        option_id, purchase_ids, user_ids, quantities, NULL, resend_ids, true
    );
    outcomes := taken.outcomes;
    details := taken.details;
END
$function$;

COMMENT ON FUNCTION ticketing.try_purchase_tickets(uuid, uuid[], uuid[], integer[], integer, uuid[]) IS
'Sells tickets of one option to many buyers at once, and returns an outcome and a detail for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with another user or quantity
    not_found         there is no such ticket option
    not_on_sale       it is paused, or not on sale yet or any longer; nothing is taken
    limit_reached     the user may not have as many; nothing is taken
    sold_out          fewer tickets are left than were asked for; nothing is taken
    refused_before    a resend was refused; nothing is taken
    busy              the option is locked; nothing was decided
Raises TK003 for arrays that differ in length or hold a NULL or a quantity below 1.';

GRANT EXECUTE ON FUNCTION ticketing.try_purchase_tickets(uuid, uuid[], uuid[], integer[], integer, uuid[])
    TO ticketing_service, ticketing_operator;
