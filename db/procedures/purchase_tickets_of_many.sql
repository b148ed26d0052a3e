-- purchase_tickets_of_many(option_ids[], purchase_ids[], user_ids[], quantities[])
--
-- Sells tickets of many options in one call, and so with one flush to disk: as
-- purchase_tickets_of_one.sql does for one option, and with the same outcomes,
-- in order, and one more:
--
--     busy  another transaction has the option locked; nothing was decided
--
-- It never waits for the lock of an option: whoever holds one locked stops no
-- other one, and calls that share options cannot deadlock. A purchase that is busy
-- is for the caller to send again, by itself. A purchase that is found stored is
-- locked FOR KEY SHARE, also when its option is locked by somebody else; why, and
-- why that does not wait, says purchase_tickets_of_one.sql.
--
-- Raises TK003 as purchase_tickets_of_one.sql does.
--
-- It has a name of its own: as one more purchase_tickets it would make calls of
-- the other one ambiguous, whose option is typed without a cast.
--
-- The statements are written for sets of options, where those of the other
-- function are written for one: a database distributed by option runs that one
-- where the option is. What is decided is decided for each option by itself.

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
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(purchase_ids), 0);
    outcomes text[] := array_fill(NULL::text, ARRAY[batch_size]);
    locked_ids uuid[];
    remaining integer[];
    option_places integer[];
    stored record;
    decided record;
BEGIN
    PERFORM ticketing.require_purchases(purchase_ids, user_ids, quantities);
    PERFORM ticketing.require_purchases(option_ids, user_ids, quantities);

    SELECT
        array_agg(locked.id ORDER BY locked.id),
        array_agg(locked.allocation ORDER BY locked.id)
    INTO locked_ids, remaining
    FROM (
        SELECT
            option.id,
            option.allocation
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = ANY (option_ids)
            AND option.allocation > 0
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked;

    -- width_bucket finds each option among the sorted ones by binary search.
    SELECT array_agg(
        CASE
            WHEN locked_ids[asked.locked_place] = asked.option_id
                THEN asked.locked_place
        END
        ORDER BY asked.place
    )
    INTO option_places
    FROM (
        SELECT
            purchase.*,
            width_bucket(purchase.option_id, locked_ids) AS locked_place
        FROM unnest(option_ids) WITH ORDINALITY AS purchase (option_id, place)
    ) AS asked;

    -- What could not be locked is sold out, is not there, or is busy. That is read
    -- before what is stored: the sale of the last tickets that is committed in
    -- between may be this very purchase, sent for the first time.
    IF array_position(option_places, NULL) IS NOT NULL THEN
        SELECT array_agg(
            CASE
                WHEN option_places[asked.place] IS NOT NULL
                    THEN NULL
                WHEN option.id IS NULL
                    THEN 'not_found'
                WHEN option.allocation = 0
                    THEN 'sold_out'
                ELSE 'busy'
            END
            ORDER BY asked.place
        )
        INTO outcomes
        FROM unnest(option_ids) WITH ORDINALITY AS asked (option_id, place)
        LEFT JOIN ticketing_private.ticket_options AS option ON option.id = asked.option_id;
    END IF;

    FOR stored IN
        SELECT
            asked.place,
            purchase.user_id = user_ids[asked.place]
                AND purchase.quantity = quantities[asked.place] AS is_same
        FROM unnest(option_ids, purchase_ids) WITH ORDINALITY AS asked (option_id, id, place)
        INNER JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = asked.option_id
            AND purchase.id = asked.id
        FOR KEY SHARE OF purchase
    LOOP
        outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
    END LOOP;

    decided := ticketing.decide_purchases(
        option_places, purchase_ids, user_ids, quantities, outcomes, remaining
    );

    IF decided.sold_places <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = left_over.allocation,
            updated_at = greatest(option.updated_at, clock_timestamp())
        FROM unnest(locked_ids, decided.remaining) AS left_over (id, allocation)
        WHERE option.id = left_over.id
            AND option.allocation <> left_over.allocation;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT
            option_ids[sold.place],
            purchase_ids[sold.place],
            user_ids[sold.place],
            quantities[sold.place]
        FROM unnest(decided.sold_places) AS sold (place);
    END IF;

    RETURN decided.outcomes;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[]) IS
'Sells tickets of many options in one call, and returns an outcome for each purchase, in order: those of
purchase_tickets(uuid, uuid[], uuid[], integer[]), and busy, which decides nothing, where another
transaction has the option locked. It never waits for a lock.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[])
    TO ticketing_service, ticketing_operator;
