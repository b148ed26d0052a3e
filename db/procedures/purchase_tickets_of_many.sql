-- purchase_tickets_of_many(option_ids[], purchase_ids[], user_ids[], quantities[])
--
-- Sells tickets of many ticket options in one call, and so with one flush to
-- disk. It does what purchase_tickets_of_one.sql does for one option, and
-- returns the same outcomes, in order, and one more:
--
--     busy  another transaction has the option locked; nothing was decided
--
-- It never waits for an option's lock: a locked option does not hold up the
-- others, and calls that share options cannot deadlock. The caller retries a
-- busy purchase in a call of its own. A purchase that is already stored is
-- locked FOR KEY SHARE, even if its option is locked by another transaction;
-- purchase_tickets_of_one.sql says why, and why that does not wait.
--
-- Raises TK003 as purchase_tickets_of_one.sql does.
--
-- It has a name of its own: as a third purchase_tickets it would make calls of
-- the one for one option ambiguous where the option's id is an untyped literal.
--
-- Its statements work on sets of options, and those of the function for one
-- option on that option alone: a database distributed by option runs the latter
-- where the option is stored. Each option is decided independently.

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
    locked_ids uuid[];
    remaining integer[];
    option_places integer[];
    stored record;
    decided record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);
    PERFORM ticketing_private.require_purchases(option_ids, user_ids, quantities);

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

    -- An option that was not locked is sold out, does not exist, or is busy. This is
    -- read before the stored purchases: the sale of the last tickets, committed in
    -- between, may be the first attempt at this very purchase.
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

    decided := ticketing_private.decide_purchases(
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
'Sells tickets of many ticket options in one call, and returns an outcome for each purchase, in order:
those of purchase_tickets(uuid, uuid[], uuid[], integer[]), and
    busy  another transaction has the ticket option locked; nothing was decided
It never waits for the lock of a ticket option.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[])
    TO ticketing_service, ticketing_operator;
