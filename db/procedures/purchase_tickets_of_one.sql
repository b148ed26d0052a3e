-- purchase_tickets(option_id, purchase_ids[], user_ids[], quantities[])
--
-- Sells tickets of one ticket option to many buyers: it locks the option, lets
-- decide_purchases.sql decide, decrements the allocation and inserts the
-- purchases. Sales from psql go through this function, and so do sales over
-- HTTP while their option is contended.
--
-- Takes any number of purchases and returns an outcome for each, in order:
--
--     created           the tickets are sold and stored
--     exists            this id is stored with this user and quantity: a retry
--                       of a call whose outcome was unknown
--     exists_different  this id is stored with a different user or quantity
--     sold_out          fewer tickets are left than requested
--     not_found         the ticket option does not exist
--
-- Outcomes are returned rather than raised, so that one refused buyer does not
-- abort the rest of the batch.
--
-- Raises TK003, with nothing sold, if the arrays differ in length or contain a
-- NULL or a quantity below 1.
--
-- Concurrency: purchases of the same option take turns on its row lock, and
-- each statement after the lock sees what the previous holder committed, which
-- READ COMMITTED guarantees. (A stricter isolation level gets 40001 instead,
-- and the caller retries.) The lock is FOR NO KEY UPDATE because the foreign
-- key's own lock must not conflict with it. If none of the purchases can be
-- filled from what is committed, there is nothing to lock: the outcome is
-- sold_out as of that moment, without a wait and without a write. (This holds
-- only as long as allocations never rise. A function that gives tickets back
-- must make sure that a retry is not refused here while its first attempt, still
-- in flight, goes on to be filled.)
--
-- Durability: a purchase that is already stored is locked FOR KEY SHARE. The
-- first call may have committed without the synchronous standby having it yet
-- (that call is still waiting, or was given up). The lock writes to the WAL
-- after that commit, so this call does not return before the standby has both.
-- Nothing else takes a conflicting lock, so this never waits for another
-- transaction.

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
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(purchase_ids), 0);
    outcomes text[] := array_fill(NULL::text, ARRAY[batch_size]);
    remaining integer;
    stored record;
    decided record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);

    SELECT option.allocation
    INTO remaining
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
        AND option.allocation >= ANY (quantities)
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        -- Without the lock nothing may be sold, whatever is left by now.
        remaining := 0;

        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        IF NOT FOUND THEN
            RETURN array_fill('not_found'::text, ARRAY[batch_size]);
        END IF;
    END IF;

    SELECT
        array_agg(purchase.id ORDER BY purchase.id) AS ids,
        array_agg(purchase.user_id ORDER BY purchase.id) AS user_ids,
        array_agg(purchase.quantity ORDER BY purchase.id) AS quantities
    INTO stored
    FROM (
        SELECT
            purchase.id,
            purchase.user_id,
            purchase.quantity
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id = ANY (purchase_ids)
        FOR KEY SHARE
    ) AS purchase;

    IF stored.ids IS NOT NULL THEN
        -- width_bucket finds each id among the sorted ones by binary search.
        SELECT array_agg(
            CASE
                WHEN stored.ids[asked.stored_place] IS DISTINCT FROM asked.id
                    THEN NULL
                WHEN stored.user_ids[asked.stored_place] = asked.user_id
                    AND stored.quantities[asked.stored_place] = asked.quantity
                    THEN 'exists'
                ELSE 'exists_different'
            END
            ORDER BY asked.place
        )
        INTO outcomes
        FROM (
            SELECT
                purchase.*,
                width_bucket(purchase.id, stored.ids) AS stored_place
            FROM unnest(purchase_ids, user_ids, quantities)
                WITH ORDINALITY AS purchase (id, user_id, quantity, place)
        ) AS asked;
    END IF;

    decided := ticketing_private.decide_purchases(
        array_fill(1, ARRAY[batch_size]), purchase_ids, user_ids, quantities, outcomes, ARRAY[remaining]
    );

    IF decided.sold_places <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = decided.remaining[1],
            updated_at = greatest(option.updated_at, clock_timestamp())
        WHERE option.id = option_id;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT option_id, purchase_ids[sold.place], user_ids[sold.place], quantities[sold.place]
        FROM unnest(decided.sold_places) AS sold (place);
    END IF;

    RETURN decided.outcomes;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets(uuid, uuid[], uuid[], integer[]) IS
'Sells tickets of one ticket option to many buyers, and returns an outcome for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with a different user or quantity
    sold_out          fewer tickets are left than requested; nothing is taken
    not_found         the ticket option does not exist
Raises TK003 if the arrays differ in length or contain a NULL or a quantity below 1.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets(uuid, uuid[], uuid[], integer[])
    TO ticketing_service, ticketing_operator;
