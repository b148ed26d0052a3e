-- purchase_holds_of_many(option_ids[], hold_ids[], resend_ids[])
--
-- Turns holds into purchases with the same ids, of any options, without waiting
-- for a lock; try_purchase_holds.sql says what the outcomes are. A hold that runs
-- is purchased whatever became of the sale: its tickets were taken when it was
-- made, so only the hold changes hands, and the allocation does not change.
--
-- Each option is locked before its holds are looked at, so that nobody else can
-- change them. A hold that ran out is left to purchase_late_hold.sql.

CREATE OR REPLACE FUNCTION ticketing_private.purchase_holds_of_many(
    option_ids uuid[],
    hold_ids uuid[],
    resend_ids uuid[]
)
RETURNS text[]
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
    outcomes text[];
    locked_ids uuid[];
    happens_at timestamptz;
    stored record;
    sold_holds integer := 0;
BEGIN
    SELECT array_agg(locked.id ORDER BY locked.id)
    INTO locked_ids
    FROM (
        SELECT option.id
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = ANY (option_ids)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked;

    happens_at := ticketing_private.clock();

    -- width_bucket finds each option among the sorted ones by binary search.
    SELECT
        array_agg(
            CASE
                WHEN hold.state IS NULL
                    THEN 'not_found'
                WHEN hold.state = 'purchased'
                    THEN 'exists'
                WHEN hold.state = 'released'
                    THEN 'hold_released'
                WHEN locked_ids[width_bucket(asked.option_id, locked_ids)] IS DISTINCT FROM asked.option_id
                    THEN 'busy'
                WHEN hold.state = 'held' AND hold.expires_at > happens_at
                    THEN 'created'
                ELSE 'late'
            END
            ORDER BY asked.place
        ) AS outcomes,
        array_agg(hold.user_id ORDER BY asked.place) AS user_ids,
        array_agg(hold.quantity ORDER BY asked.place) AS quantities
    INTO stored
    FROM unnest(option_ids, hold_ids) WITH ORDINALITY AS asked (option_id, id, place)
    LEFT JOIN ticketing_private.holds AS hold
        ON hold.ticket_option_id = asked.option_id
        AND hold.id = asked.id;

    outcomes := stored.outcomes;

    IF 'created' = ANY (outcomes) THEN
        WITH sold AS (
            INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
            SELECT
                hold.option_id,
                hold.id,
                hold.user_id,
                hold.quantity,
                happens_at
            FROM unnest(option_ids, hold_ids, stored.user_ids, stored.quantities, outcomes)
                AS hold (option_id, id, user_id, quantity, outcome)
            WHERE hold.outcome = 'created'
            ON CONFLICT DO NOTHING
            RETURNING
                ticket_option_id,
                id,
                quantity
        ),
        purchased AS (
            UPDATE ticketing_private.holds AS hold
            SET
                state = 'purchased',
                purchased_at = happens_at
            FROM sold
            WHERE hold.ticket_option_id = sold.ticket_option_id
                AND hold.id = sold.id
        ),
        changed AS (
            UPDATE ticketing_private.ticket_options AS option
            SET
                held = option.held - total.quantity,
                updated_at = greatest(option.updated_at, happens_at)
            FROM (
                SELECT
                    sold.ticket_option_id,
                    sum(sold.quantity)::integer AS quantity
                FROM sold
                GROUP BY sold.ticket_option_id
            ) AS total
            WHERE option.id = total.ticket_option_id
        )
        SELECT count(*)::integer
        INTO sold_holds
        FROM sold;
    END IF;

    -- Some were asked for twice, or have the id of a purchase that was made otherwise.
    IF sold_holds < cardinality(array_positions(outcomes, 'created')) THEN
        SELECT array_agg(
            CASE
                WHEN asked.outcome <> 'created'
                    THEN asked.outcome
                WHEN hold.state <> 'purchased'
                    THEN 'exists_different'
                WHEN asked.earlier > 0
                    THEN 'exists'
                ELSE 'created'
            END
            ORDER BY asked.place
        )
        INTO outcomes
        FROM (
            SELECT
                hold.*,
                row_number() OVER (PARTITION BY hold.option_id, hold.id ORDER BY hold.place) - 1 AS earlier
            FROM unnest(option_ids, hold_ids, outcomes) WITH ORDINALITY AS hold (option_id, id, outcome, place)
        ) AS asked
        LEFT JOIN ticketing_private.holds AS hold
            ON hold.ticket_option_id = asked.option_id
            AND hold.id = asked.id;
    END IF;

    -- An answer that something is stored waits for the standby: take_tickets_of_one.sql.
    IF 'exists' = ANY (outcomes) THEN
        PERFORM
        FROM unnest(option_ids, hold_ids, outcomes) AS asked (option_id, id, outcome)
        INNER JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = asked.option_id
            AND purchase.id = asked.id
        WHERE asked.outcome = 'exists'
        FOR KEY SHARE OF purchase;
    END IF;

    IF 'late' = ANY (outcomes) THEN
        FOR i IN 1..cardinality(outcomes) LOOP
            IF outcomes[i] = 'late' THEN
                outcomes[i] := ticketing_private.purchase_late_hold(
                    option_ids[i], hold_ids[i], resend_ids[i], happens_at
                );
            END IF;
        END LOOP;
    END IF;

    RETURN outcomes;
END
$function$;

COMMENT ON FUNCTION ticketing_private.purchase_holds_of_many(uuid[], uuid[], uuid[]) IS
'Turns holds into purchases with the same ids: what every function that does is made of.';
