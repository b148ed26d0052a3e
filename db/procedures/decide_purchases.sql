-- decide_purchases(...)
--
-- THE rule: who gets tickets. It is arithmetic only; its callers, the functions
-- purchase_tickets, hold the options locked, look up what is stored, and write
-- what was decided.
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
--     sold_out          fewer tickets remain than were asked for
--
-- Each outcome is what deciding one by one would have given: a refused purchase
-- takes nothing, so a smaller one behind it may still be created. A purchase is
-- filled whole or not at all.

CREATE OR REPLACE FUNCTION ticketing.decide_purchases(
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
SECURITY DEFINER
SET search_path = ''
AS $function$
DECLARE
    has_repeated_ids CONSTANT boolean := (
        SELECT count(DISTINCT asked.id) < count(*)
        FROM unnest(purchase_ids) AS asked (id)
    );
    option_place integer;
    earlier integer;
BEGIN
    sold_places := '{}';

    FOR i IN 1..cardinality(purchase_ids) LOOP
        CONTINUE WHEN outcomes[i] IS NOT NULL;

        option_place := option_places[i];

        IF has_repeated_ids THEN
            SELECT sold.place
            INTO earlier
            FROM unnest(sold_places) AS sold (place)
            WHERE purchase_ids[sold.place] = purchase_ids[i]
                AND option_places[sold.place] = option_place;
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
        END IF;
    END LOOP;
END
$function$;

COMMENT ON FUNCTION ticketing.decide_purchases(
    integer[], uuid[], uuid[], integer[], text[], integer[]
) IS
'Decides who gets tickets: the rule behind every function purchase_tickets.';
