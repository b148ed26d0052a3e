-- decide_purchases(...)
--
-- THE rule: who gets tickets. It is pure arithmetic. Its callers, the functions
-- named purchase_tickets, lock the options, look up what is stored, and write
-- down what was decided.
--
-- Takes purchases in the order in which they arrived and, for each, the place
-- of its option in remaining, the tickets left of each option. outcomes holds
-- the outcomes that are known already, because the id is stored, and NULL for
-- the rest. Returns all outcomes, the places of the purchases that are sold,
-- and what then remains:
--
--     created           the tickets are sold
--     exists            this id is sold to this user with this quantity
--     exists_different  this id is sold to a different user or with a different
--                       quantity
--     sold_out          fewer tickets remain than were requested
--
-- The outcomes are those of deciding one purchase at a time: a refused purchase
-- takes nothing, so a smaller one after it may still be created. A purchase is
-- filled completely or not at all. The running time depends only on the number
-- of purchases (n log n if an id is repeated).
--
-- It runs as its caller, which is always a function that runs as the owner.

CREATE OR REPLACE FUNCTION ticketing_private.decide_purchases(
    option_places integer[],
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[],
    INOUT outcomes text[],
    INOUT remaining integer[],
    OUT sold_places integer[]
)
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    has_repeated_ids CONSTANT boolean := (
        SELECT count(DISTINCT asked.id) < count(*)
        FROM unnest(purchase_ids) AS asked (id)
    );
    -- For each purchase, the place of the first one with the same option and id; and
    -- at that place, the place of the one among them that is sold. Searching
    -- sold_places for every repeat would take quadratic time.
    first_places integer[];
    sold_of_first integer[];
    option_place integer;
    earlier integer;
BEGIN
    sold_places := '{}';

    IF has_repeated_ids THEN
        SELECT array_agg(asked.first_place ORDER BY asked.place)
        INTO first_places
        FROM (
            SELECT
                purchase.place,
                min(purchase.place::integer) OVER (
                    PARTITION BY purchase.option_place, purchase.id
                ) AS first_place
            FROM unnest(option_places, purchase_ids)
                WITH ORDINALITY AS purchase (option_place, id, place)
        ) AS asked;

        sold_of_first := array_fill(NULL::integer, ARRAY[cardinality(purchase_ids)]);
    END IF;

    FOR i IN 1..cardinality(purchase_ids) LOOP
        CONTINUE WHEN outcomes[i] IS NOT NULL;

        option_place := option_places[i];

        IF has_repeated_ids THEN
            earlier := sold_of_first[first_places[i]];
        END IF;

        IF earlier IS NOT NULL THEN
            outcomes[i] := CASE
                WHEN user_ids[earlier] = user_ids[i] AND quantities[earlier] = quantities[i]
                    THEN 'exists'
                ELSE 'exists_different'
            END;
        ELSIF quantities[i] > remaining[option_place] THEN
            outcomes[i] := 'sold_out';
        ELSE
            outcomes[i] := 'created';
            remaining[option_place] := remaining[option_place] - quantities[i];
            sold_places := sold_places || i;

            IF has_repeated_ids THEN
                sold_of_first[first_places[i]] := i;
            END IF;
        END IF;
    END LOOP;
END
$function$;

COMMENT ON FUNCTION ticketing_private.decide_purchases(
    integer[], uuid[], uuid[], integer[], text[], integer[]
) IS
'Decides who gets tickets: the rule behind every function that sells.';
