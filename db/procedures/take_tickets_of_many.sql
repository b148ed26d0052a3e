-- take_tickets_of_many(option_ids[], ids[], user_ids[], quantities[],
--     expires_in_seconds[], resend_ids[])
--
-- Takes tickets of many options in one call, and so with one flush to disk: as
-- take_tickets_of_one.sql does for one option, and with the same outcomes and
-- details, in order, and one more:
--
--     busy  another transaction has the option locked; nothing was decided
--
-- It never waits for the lock of an option: whoever holds one locked stops no
-- other one, and calls that share options cannot deadlock. What is busy is for
-- the caller to send again, by itself. A purchase that is found stored is locked
-- FOR KEY SHARE, also when its option is locked by somebody else; why, and why
-- that does not wait, says take_tickets_of_one.sql.
--
-- The statements are written for sets of options, where those of the other
-- function are written for one: a database distributed by option runs that one
-- where the option is. What is decided is decided for each option by itself. An
-- option that has rules of its own, holds that ran out or refused resends, and
-- whatever is sent again, is left to the other function: the options that are sold most are not
-- among those.

CREATE OR REPLACE FUNCTION ticketing_private.take_tickets_of_many(
    option_ids uuid[],
    ids uuid[],
    user_ids uuid[],
    quantities integer[],
    expires_in_seconds integer[],
    resend_ids uuid[],
    OUT outcomes text[],
    OUT details jsonb[]
)
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
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
    batch_size CONSTANT integer := coalesce(cardinality(ids), 0);
    is_hold CONSTANT boolean := expires_in_seconds IS NOT NULL;
    is_resent CONSTANT boolean := resend_ids IS NOT NULL;
    happens_at timestamptz := ticketing_private.clock();
    locked_ids uuid[];
    locked_specially boolean[];
    remaining integer[];
    option_places integer[];
    has_special boolean := false;
    stored record;
    decided record;
    special record;
BEGIN
    outcomes := array_fill(NULL::text, ARRAY[batch_size]);

    SELECT
        array_agg(locked.id ORDER BY locked.id),
        array_agg(locked.allocation ORDER BY locked.id),
        array_agg(locked.is_special ORDER BY locked.id),
        coalesce(bool_or(locked.is_special), false)
    INTO locked_ids, remaining, locked_specially, has_special
    FROM (
        SELECT
            option.id,
            option.allocation,
            is_resent
                OR option.has_refused_resends
                OR option.paused
                OR num_nonnulls(
                    option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                ) > 0
                OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at) AS is_special
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = ANY (option_ids)
            AND (
                option.allocation > 0
                OR is_resent
                OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
            )
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked;

    happens_at := ticketing_private.clock();

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
    IF has_special OR array_position(option_places, NULL) IS NOT NULL THEN
        SELECT
            array_agg(asked.outcome ORDER BY asked.place),
            bool_or(asked.outcome = 'special')
        INTO outcomes, has_special
        FROM (
            SELECT
                asked.place,
                CASE
                    WHEN option_places[asked.place] IS NOT NULL
                        THEN CASE WHEN locked_specially[option_places[asked.place]] THEN 'special' END
                    WHEN option.id IS NULL
                        THEN 'not_found'
                    WHEN option.allocation > 0
                        OR is_resent
                        OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
                        THEN 'busy'
                    WHEN option.paused
                        OR num_nonnulls(
                            option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                        ) > 0
                        THEN 'special'
                    ELSE 'sold_out'
                END AS outcome
            FROM unnest(option_ids) WITH ORDINALITY AS asked (option_id, place)
            LEFT JOIN ticketing_private.ticket_options AS option ON option.id = asked.option_id
        ) AS asked;
    END IF;

    IF is_hold THEN
        FOR stored IN
            SELECT
                asked.place,
                hold.user_id = user_ids[asked.place]
                    AND hold.quantity = quantities[asked.place]
                    AND hold.expires_at - hold.created_at
                        = make_interval(secs => expires_in_seconds[asked.place]) AS is_same
            FROM unnest(option_ids, ids) WITH ORDINALITY AS asked (option_id, id, place)
            INNER JOIN ticketing_private.holds AS hold
                ON hold.ticket_option_id = asked.option_id
                AND hold.id = asked.id
            FOR KEY SHARE OF hold
        LOOP
            outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
        END LOOP;
    ELSE
        FOR stored IN
            SELECT
                asked.place,
                purchase.user_id = user_ids[asked.place]
                    AND purchase.quantity = quantities[asked.place] AS is_same
            FROM unnest(option_ids, ids) WITH ORDINALITY AS asked (option_id, id, place)
            INNER JOIN ticketing_private.purchases AS purchase
                ON purchase.ticket_option_id = asked.option_id
                AND purchase.id = asked.id
            FOR KEY SHARE OF purchase
        LOOP
            outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
        END LOOP;
    END IF;

    decided := ticketing_private.decide_purchases(
        option_places, ids, user_ids, quantities, expires_in_seconds,
        NULL, NULL, NULL, NULL, outcomes, remaining
    );

    IF decided.sold_places <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = left_over.allocation,
            held = option.held + CASE WHEN is_hold THEN option.allocation - left_over.allocation ELSE 0 END,
            updated_at = greatest(option.updated_at, happens_at)
        FROM unnest(locked_ids, decided.remaining) AS left_over (id, allocation)
        WHERE option.id = left_over.id
            AND option.allocation <> left_over.allocation;

        IF is_hold THEN
            INSERT INTO ticketing_private.holds (
                ticket_option_id, id, user_id, quantity, created_at, expires_at
            )
            SELECT
                option_ids[taken.place],
                ids[taken.place],
                user_ids[taken.place],
                quantities[taken.place],
                happens_at,
                happens_at + make_interval(secs => expires_in_seconds[taken.place])
            FROM unnest(decided.sold_places) AS taken (place);
        ELSE
            INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
            SELECT
                option_ids[sold.place],
                ids[sold.place],
                user_ids[sold.place],
                quantities[sold.place],
                happens_at
            FROM unnest(decided.sold_places) AS sold (place);
        END IF;
    END IF;

    outcomes := decided.outcomes;

    IF is_hold OR 'sold_out' = ANY (outcomes) THEN
        -- Where there is nothing to lock, nothing was left.
        details := ticketing_private.details_of_outcomes(
            option_ids, ids, outcomes, NULL,
            ARRAY(
                SELECT CASE asked.outcome WHEN 'sold_out' THEN coalesce(decided.left_over[asked.place], 0) END
                FROM unnest(outcomes) WITH ORDINALITY AS asked (outcome, place)
                ORDER BY asked.place
            ),
            NULL, expires_in_seconds, happens_at
        );
    END IF;

    IF has_special THEN
        details := coalesce(details, array_fill(NULL::jsonb, ARRAY[cardinality(ids)]));

        FOR special IN
            SELECT
                asked.option_id,
                array_agg(asked.place::integer ORDER BY asked.place) AS places,
                array_agg(asked.id ORDER BY asked.place) AS ids,
                array_agg(asked.user_id ORDER BY asked.place) AS user_ids,
                array_agg(asked.quantity ORDER BY asked.place) AS quantities,
                CASE WHEN is_hold THEN array_agg(asked.seconds ORDER BY asked.place) END AS seconds,
                CASE WHEN is_resent THEN array_agg(asked.resend_id ORDER BY asked.place) END AS resend_ids
            FROM unnest(option_ids, ids, user_ids, quantities, expires_in_seconds, resend_ids)
                WITH ORDINALITY AS asked (option_id, id, user_id, quantity, seconds, resend_id, place)
            WHERE outcomes[asked.place] = 'special'
            GROUP BY asked.option_id
            ORDER BY asked.option_id
        LOOP
            SELECT
                taken.outcomes,
                taken.details
            INTO decided
            FROM ticketing_private.take_tickets_of_one(
                special.option_id, special.ids, special.user_ids, special.quantities,
                special.seconds, special.resend_ids, option_places[special.places[1]] IS NOT NULL
            ) AS taken;

            FOR i IN 1..cardinality(special.places) LOOP
                outcomes[special.places[i]] := decided.outcomes[i];
                details[special.places[i]] := decided.details[i];
            END LOOP;
        END LOOP;
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.take_tickets_of_many(
    uuid[], uuid[], uuid[], integer[], integer[], uuid[]
) IS
'Sells or holds tickets of many options, without waiting for a lock.';
