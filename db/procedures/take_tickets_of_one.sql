-- take_tickets_of_one(option_id, ids[], user_ids[], quantities[], expires_in_seconds[],
--     resend_ids[], may_wait)
--
-- Takes tickets of one option, for purchases, or for holds where there are
-- expires_in_seconds: it locks the option, lets decide_purchases.sql decide,
-- decrements and inserts. Every sale and every hold of an option in demand is
-- made here; try_purchase_tickets.sql and try_hold_tickets.sql say what the
-- outcomes and details are.
--
-- Concurrency: purchases of one option take turns on its row lock, and each
-- statement after the lock sees what the one before committed, which READ
-- COMMITTED guarantees (a stricter isolation level gets 40001 instead, and
-- calls again). FOR NO KEY UPDATE, because the locks of foreign keys must not
-- conflict with it. When nothing asked for can be filled from what is
-- committed, there is nothing to lock: it is refused as of that moment, without
-- waiting and without a write. A caller that must not wait, and may have locked
-- the option itself, says so: then what could be filled is busy.
--
-- Holds that ran out are not in the allocation until they are ended. Whatever
-- would be sold out ends as many of them as it needs, so nobody is refused
-- because of them. They are looked for only where the option has holds.
--
-- An option's own rules (limits, a window) are read only where it has some.
--
-- Resends: an earlier sending of a call may still be on its way when a later one
-- is answered. If that one was refused, the earlier one must not be filled any
-- more, though tickets may have been given back by then. So a call that is sent
-- again (it has resend_ids, one for each request) takes the lock always, and its
-- refusal is stored; a first sending that finds one is refused_before, and a
-- resend of the same request is refused as it was. The option knows whether it has
-- any, so that a sale need not look.
--
-- Durability: a purchase that is found stored is locked FOR KEY SHARE. Its first
-- call may have committed without the synchronous standby having it yet (that
-- call is still waiting, or gave up). The lock writes to the log behind that
-- commit, so this one too is answered only when the standby has both. Nobody else
-- takes a lock that conflicts with it, so it waits for no other transaction.

CREATE OR REPLACE FUNCTION ticketing_private.take_tickets_of_one(
    option_id uuid,
    ids uuid[],
    user_ids uuid[],
    quantities integer[],
    expires_in_seconds integer[],
    resend_ids uuid[],
    may_wait boolean,
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
    is_locked boolean := false;
    is_to_be_had boolean;
    remaining integer;
    has_holds boolean;
    has_rules boolean;
    has_refused_resends boolean;
    happens_at timestamptz;
    stored record;
    earlier record;
    not_on_sale jsonb;
    max_per_purchase integer;
    max_per_user integer;
    user_places integer[];
    left_for_users bigint[];
    decided record;
    ended_tickets integer := 0;
    taken_tickets integer;
BEGIN
    outcomes := array_fill(NULL::text, ARRAY[batch_size]);

    IF may_wait THEN
        SELECT
            option.allocation,
            option.held > 0,
            option.paused OR num_nonnulls(
                option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
            ) > 0,
            option.has_refused_resends
        INTO remaining, has_holds, has_rules, has_refused_resends
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
            AND (option.allocation >= ANY (quantities) OR is_resent)
        FOR NO KEY UPDATE;

        is_locked := FOUND;
    END IF;

    happens_at := ticketing_private.clock();

    IF NOT is_locked THEN
        SELECT
            option.allocation,
            option.held > 0,
            option.paused OR num_nonnulls(
                option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
            ) > 0,
            option.allocation >= ANY (quantities)
                OR is_resent
                OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at),
            option.has_refused_resends
        INTO remaining, has_holds, has_rules, is_to_be_had, has_refused_resends
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        IF NOT FOUND THEN
            outcomes := array_fill('not_found'::text, ARRAY[batch_size]);
            RETURN;
        END IF;

        -- Tickets may have been given back meanwhile, or may be when holds are ended.
        -- Else what remains is less than anybody asked for, and nothing will be sold.
        IF is_to_be_had AND may_wait THEN
            SELECT
                option.allocation,
                option.held > 0,
                option.paused OR num_nonnulls(
                    option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                ) > 0,
                option.has_refused_resends
            INTO remaining, has_holds, has_rules, has_refused_resends
            FROM ticketing_private.ticket_options AS option
            WHERE option.id = option_id
            FOR NO KEY UPDATE;

            is_locked := true;
            happens_at := ticketing_private.clock();
        ELSIF is_to_be_had THEN
            outcomes := array_fill('busy'::text, ARRAY[batch_size]);
            RETURN;
        END IF;
    END IF;

    IF is_hold THEN
        SELECT
            array_agg(hold.id ORDER BY hold.id) AS ids,
            array_agg(hold.user_id ORDER BY hold.id) AS user_ids,
            array_agg(hold.quantity ORDER BY hold.id) AS quantities,
            array_agg(hold.lifetime ORDER BY hold.id) AS lifetimes
        INTO stored
        FROM (
            SELECT
                hold.id,
                hold.user_id,
                hold.quantity,
                hold.expires_at - hold.created_at AS lifetime
            FROM ticketing_private.holds AS hold
            WHERE hold.ticket_option_id = option_id
                AND hold.id = ANY (ids)
            FOR KEY SHARE
        ) AS hold;
    ELSE
        SELECT
            array_agg(purchase.id ORDER BY purchase.id) AS ids,
            array_agg(purchase.user_id ORDER BY purchase.id) AS user_ids,
            array_agg(purchase.quantity ORDER BY purchase.id) AS quantities,
            NULL::interval[] AS lifetimes
        INTO stored
        FROM (
            SELECT
                purchase.id,
                purchase.user_id,
                purchase.quantity
            FROM ticketing_private.purchases AS purchase
            WHERE purchase.ticket_option_id = option_id
                AND purchase.id = ANY (ids)
            FOR KEY SHARE
        ) AS purchase;
    END IF;

    IF stored.ids IS NOT NULL THEN
        -- width_bucket finds each id among the sorted ones by binary search.
        SELECT array_agg(
            CASE
                WHEN stored.ids[asked.stored_place] IS DISTINCT FROM asked.id
                    THEN NULL
                WHEN stored.user_ids[asked.stored_place] = asked.user_id
                    AND stored.quantities[asked.stored_place] = asked.quantity
                    AND (
                        NOT is_hold
                        OR stored.lifetimes[asked.stored_place] = make_interval(secs => asked.expires_in_seconds)
                    )
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
            FROM unnest(ids, user_ids, quantities, expires_in_seconds)
                WITH ORDINALITY AS purchase (id, user_id, quantity, expires_in_seconds, place)
        ) AS asked;
    END IF;

    IF has_refused_resends THEN
        details := array_fill(NULL::jsonb, ARRAY[batch_size]);

        FOR earlier IN
            SELECT
                asked.place,
                refused.resend_id = asked.resend_id AS is_same_request,
                refused.outcome,
                refused.detail
            FROM unnest(ids, resend_ids) WITH ORDINALITY AS asked (id, resend_id, place)
            INNER JOIN ticketing_private.refused_resends AS refused
                ON refused.ticket_option_id = option_id
                AND refused.id = asked.id
                AND refused.resend_id = coalesce(asked.resend_id, refused.resend_id)
        LOOP
            IF outcomes[earlier.place] IS NULL THEN
                outcomes[earlier.place] := CASE
                    WHEN earlier.is_same_request THEN earlier.outcome
                    ELSE 'refused_before'
                END;
                details[earlier.place] := CASE WHEN earlier.is_same_request THEN earlier.detail END;
            END IF;
        END LOOP;
    END IF;

    IF has_rules THEN
        SELECT
            rules.not_on_sale,
            rules.max_per_purchase,
            rules.max_per_user,
            rules.user_places,
            rules.left_for_users
        INTO not_on_sale, max_per_purchase, max_per_user, user_places, left_for_users
        FROM ticketing_private.rules_of_option(option_id, user_ids, happens_at) AS rules;

        IF not_on_sale IS NOT NULL THEN
            details := coalesce(details, array_fill(NULL::jsonb, ARRAY[batch_size]));

            FOR i IN 1..batch_size LOOP
                IF outcomes[i] IS NULL THEN
                    outcomes[i] := 'not_on_sale';
                    details[i] := not_on_sale;
                END IF;
            END LOOP;
        END IF;
    END IF;

    decided := ticketing_private.decide_purchases(
        array_fill(1, ARRAY[batch_size]), ids, user_ids, quantities, expires_in_seconds,
        max_per_purchase, max_per_user, user_places, left_for_users, outcomes, ARRAY[remaining]
    );

    IF is_locked AND has_holds AND 'sold_out' = ANY (decided.outcomes) THEN
        SELECT ended.tickets
        INTO ended_tickets
        FROM ticketing_private.expire_holds(
            option_id,
            (
                SELECT sum(asked.quantity) - decided.remaining[1]
                FROM unnest(quantities, decided.outcomes) AS asked (quantity, outcome)
                WHERE asked.outcome = 'sold_out'
            ),
            9223372036854775807,
            happens_at
        ) AS ended;

        IF ended_tickets > 0 THEN
            remaining := remaining + ended_tickets;
            decided := ticketing_private.decide_purchases(
                array_fill(1, ARRAY[batch_size]), ids, user_ids, quantities, expires_in_seconds,
                max_per_purchase, max_per_user, user_places, left_for_users, outcomes, ARRAY[remaining]
            );
        END IF;
    END IF;

    taken_tickets := remaining - decided.remaining[1];

    IF taken_tickets > 0 OR ended_tickets > 0 THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = decided.remaining[1],
            held = option.held - ended_tickets + CASE WHEN is_hold THEN taken_tickets ELSE 0 END,
            updated_at = greatest(option.updated_at, happens_at)
        WHERE option.id = option_id;
    END IF;

    IF taken_tickets > 0 AND is_hold THEN
        INSERT INTO ticketing_private.holds (
            ticket_option_id, id, user_id, quantity, created_at, expires_at
        )
        SELECT
            option_id,
            ids[taken.place],
            user_ids[taken.place],
            quantities[taken.place],
            happens_at,
            happens_at + make_interval(secs => expires_in_seconds[taken.place])
        FROM unnest(decided.sold_places) AS taken (place);
    ELSIF taken_tickets > 0 THEN
        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
        SELECT option_id, ids[sold.place], user_ids[sold.place], quantities[sold.place], happens_at
        FROM unnest(decided.sold_places) AS sold (place);
    END IF;

    outcomes := decided.outcomes;

    IF is_hold OR decided.left_over IS NOT NULL THEN
        details := ticketing_private.details_of_outcomes(
            array_fill(option_id, ARRAY[batch_size]), ids, outcomes, details,
            decided.left_over, decided.broken_limits, expires_in_seconds, happens_at
        );
    END IF;

    IF is_resent THEN
        PERFORM ticketing_private.store_refusals(option_id, ids, resend_ids, outcomes, details, happens_at);
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.take_tickets_of_one(
    uuid, uuid[], uuid[], integer[], integer[], uuid[], boolean
) IS
'Sells or holds tickets of one option: what every function that does is made of.';
