-- purchase_tickets(option_id, purchase_ids[], user_ids[], quantities[])
--
-- THE function that sells tickets: every sale, from HTTP or from psql, is made
-- here. It locks the option, checks, decrements and inserts.
--
-- Takes any number of purchases of one option and returns an outcome for each,
-- in their order:
--
--     created           the tickets are sold and stored
--     exists            this id is stored with this user and quantity: a call
--                       whose outcome was unknown, sent again
--     exists_different  this id is stored with another user or quantity
--     sold_out          fewer tickets are left than were asked for
--     not_found         there is no such option
--
-- Outcomes are returned, not raised, because a refused buyer must not abort
-- the others of the batch. Each outcome is what calling one by one would have
-- given: a refused purchase takes nothing, so a smaller one behind it may still
-- be created. A purchase is filled whole or not at all.
--
-- Raises TK003 when the arrays differ in length, hold a NULL or hold a quantity
-- below 1; then nothing was sold.
--
-- Concurrency: purchases of one option take turns on its row lock, and each
-- statement after the lock sees what the one before committed, which READ
-- COMMITTED guarantees (a stricter isolation level gets 40001 instead, and
-- calls again). FOR NO KEY UPDATE, because the foreign key's own lock must not
-- conflict with it. When nothing asked for can be filled from what is
-- committed, there is nothing to lock: the answer is sold_out as of that
-- moment, without waiting and without a write. (That is true for as long as
-- allocations only ever fall. A function that gives tickets back must see to
-- it that a call which is being sent again is not refused here, and then
-- filled by its first sending.)

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
SET search_path = ''
AS $function$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(purchase_ids), 0);
    smallest_quantity integer;
    has_repeated_ids boolean;
    remaining integer;
    stored record;
    earlier integer;
    outcomes text[] := array_fill(NULL::text, ARRAY[batch_size]);
    sold_ids uuid[] := '{}';
    sold_user_ids uuid[] := '{}';
    sold_quantities integer[] := '{}';
BEGIN
    IF cardinality(user_ids) IS DISTINCT FROM batch_size
        OR cardinality(quantities) IS DISTINCT FROM batch_size
        OR array_position(purchase_ids, NULL) IS NOT NULL
        OR array_position(user_ids, NULL) IS NOT NULL
        OR array_position(quantities, NULL) IS NOT NULL
        OR 1 > ANY (quantities)
    THEN
        RAISE EXCEPTION 'each purchase needs an id, a user and a quantity of at least 1'
            USING ERRCODE = 'TK003',
                  HINT = 'Give three arrays of one length, without NULL, with quantities from 1 to 2147483647.';
    END IF;

    SELECT min(asked.quantity), count(DISTINCT asked.id) < batch_size
    INTO smallest_quantity, has_repeated_ids
    FROM unnest(purchase_ids, quantities) AS asked (id, quantity);

    SELECT option.allocation
    INTO remaining
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;

    IF smallest_quantity <= remaining THEN
        SELECT option.allocation
        INTO remaining
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
        FOR NO KEY UPDATE;
    END IF;

    IF remaining IS NULL THEN
        RETURN array_fill('not_found'::text, ARRAY[batch_size]);
    END IF;

    FOR stored IN
        SELECT
            asked.place,
            purchase.user_id = user_ids[asked.place]
                AND purchase.quantity = quantities[asked.place] AS is_same
        FROM ticketing_private.purchases AS purchase
        CROSS JOIN LATERAL unnest(array_positions(purchase_ids, purchase.id)) AS asked (place)
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id = ANY (purchase_ids)
    LOOP
        outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
    END LOOP;

    FOR i IN 1..batch_size LOOP
        CONTINUE WHEN outcomes[i] IS NOT NULL;

        earlier := CASE WHEN has_repeated_ids THEN array_position(sold_ids, purchase_ids[i]) END;

        IF earlier IS NOT NULL THEN
            outcomes[i] := CASE
                WHEN sold_user_ids[earlier] = user_ids[i] AND sold_quantities[earlier] = quantities[i]
                    THEN 'exists'
                ELSE 'exists_different'
            END;
        ELSIF quantities[i] > remaining THEN
            outcomes[i] := 'sold_out';
        ELSE
            outcomes[i] := 'created';
            remaining := remaining - quantities[i];
            sold_ids := sold_ids || purchase_ids[i];
            sold_user_ids := sold_user_ids || user_ids[i];
            sold_quantities := sold_quantities || quantities[i];
        END IF;
    END LOOP;

    IF sold_ids <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = remaining,
            updated_at = greatest(option.updated_at, clock_timestamp())
        WHERE option.id = option_id;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT option_id, sold.id, sold.user_id, sold.quantity
        FROM unnest(sold_ids, sold_user_ids, sold_quantities) AS sold (id, user_id, quantity);
    END IF;

    RETURN outcomes;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets(uuid, uuid[], uuid[], integer[]) IS
'Sells tickets of one option to many buyers at once, and returns an outcome for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with another user or quantity
    sold_out          fewer tickets are left than were asked for; nothing is taken
    not_found         there is no such ticket option
Raises TK003 for arrays that differ in length or hold a NULL or a quantity below 1.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets(uuid, uuid[], uuid[], integer[])
    TO ticketing_service, ticketing_operator;
