-- decide_purchases(...)
--
-- THE rule: who gets tickets. It is arithmetic only; its callers, the functions
-- take_tickets, hold the options locked, look up what is stored, and write what
-- was decided. A hold is decided as a purchase is, and has expires_in_seconds.
--
-- Takes purchases in the order in which they came, and for each the place of
-- its option in remaining, the tickets that are left of each option. outcomes
-- has those that are decided already, because their id is stored, and NULL for
-- the others. Returns all outcomes, the places of the purchases that are sold,
-- and what then remains:
--
--     created           the tickets are sold
--     exists            this id is sold with this user and quantity
--     exists_different  this id is sold with another user or quantity
--     limit_reached     the user may not have as many
--     sold_out          fewer tickets remain than were asked for
--
-- An option may limit what a purchase has, and what each user has: max_quantity,
-- and left_for_users with user_places, the place of each purchase's user in it.
-- They are NULL without a limit, and are for calls for one option.
--
-- left_over has for each purchase that was refused what could have been had at
-- its turn, and broken_limits the limit, where one was reached.
--
-- Each outcome is what deciding one by one would have given: a refused purchase
-- takes nothing, so a smaller one behind it may still be created. A purchase is
-- filled whole or not at all. The time that it takes grows with the number of
-- purchases (n log n where an id is repeated), and with nothing else.

CREATE OR REPLACE FUNCTION ticketing_private.decide_purchases(
    option_places integer[],
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[],
    expires_in_seconds integer[],
    max_quantity integer,
    max_per_user integer,
    user_places integer[],
    left_for_users bigint[],
    INOUT outcomes text[],
    INOUT remaining integer[],
    OUT sold_places integer[],
    OUT left_over integer[],
    OUT broken_limits integer[]
)
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    has_limits CONSTANT boolean := max_quantity IS NOT NULL OR max_per_user IS NOT NULL;
    has_repeated_ids CONSTANT boolean := cardinality(purchase_ids) > 1 AND (
        SELECT count(DISTINCT asked.id) < count(*)
        FROM unnest(purchase_ids) AS asked (id)
    );
    -- For each purchase the place of the first one like it, with the same option and
    -- id; and at that place, the place of the one among them that is sold. Looking
    -- through sold_places for every repeat would take quadratic time.
    first_places integer[];
    sold_of_first integer[];
    option_place integer;
    earlier integer;
    left_for_user bigint;
    quantity_asked bigint;
BEGIN
    sold_places := '{}';

    -- While there is enough of an option for everybody, which is most of a sale, there
    -- is nothing to decide one by one.
    IF cardinality(remaining) = 1
        AND cardinality(purchase_ids) > 1
        AND NOT has_limits
        AND NOT has_repeated_ids
        AND num_nonnulls(VARIADIC outcomes) = 0
    THEN
        quantity_asked := (SELECT sum(asked.quantity) FROM unnest(quantities) AS asked (quantity));

        IF quantity_asked <= remaining[1] THEN
            remaining[1] := remaining[1] - quantity_asked::integer;
            outcomes := array_fill('created'::text, ARRAY[cardinality(purchase_ids)]);
            sold_places := ARRAY(SELECT generate_series(1, cardinality(purchase_ids)));
            RETURN;
        END IF;
    END IF;

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
                WHEN user_ids[earlier] = user_ids[i]
                    AND quantities[earlier] = quantities[i]
                    AND expires_in_seconds[earlier] IS NOT DISTINCT FROM expires_in_seconds[i]
                    THEN 'exists'
                ELSE 'exists_different'
            END;

            CONTINUE;
        END IF;

        IF has_limits THEN
            -- least ignores what is NULL, and so no limit.
            left_for_user := least(max_quantity, left_for_users[user_places[i]]);

            IF quantities[i] > left_for_user THEN
                outcomes[i] := 'limit_reached';
                left_over[i] := left_for_user::integer;
                broken_limits[i] := CASE
                    WHEN quantities[i] > max_quantity THEN max_quantity
                    ELSE max_per_user
                END;

                CONTINUE;
            END IF;
        END IF;

        IF quantities[i] > remaining[option_place] THEN
            outcomes[i] := 'sold_out';
            left_over[i] := remaining[option_place];
        ELSE
            outcomes[i] := 'created';
            remaining[option_place] := remaining[option_place] - quantities[i];
            sold_places := sold_places || i;

            IF max_per_user IS NOT NULL THEN
                left_for_users[user_places[i]] := left_for_users[user_places[i]] - quantities[i];
            END IF;

            IF has_repeated_ids THEN
                sold_of_first[first_places[i]] := i;
            END IF;
        END IF;
    END LOOP;
END
$function$;

COMMENT ON FUNCTION ticketing_private.decide_purchases(
    integer[], uuid[], uuid[], integer[], integer[], integer, integer, integer[], bigint[], text[], integer[]
) IS
'Decides who gets tickets: the rule behind every function that sells or holds.';
