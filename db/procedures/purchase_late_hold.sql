-- purchase_late_hold(option_id, hold_id, resend_id, at)
--
-- Purchases a hold that ran out, perhaps after its buyer paid: its tickets are
-- taken anew if they are still free, and the user may have them. Returns the
-- outcome, one of those of try_purchase_holds.sql. The caller has the option
-- locked.
--
-- A hold that ran out is ended first, whether or not its tickets are then taken
-- again: nothing is held any more for somebody who was told that it is not.

CREATE OR REPLACE FUNCTION ticketing_private.purchase_late_hold(
    option_id uuid,
    hold_id uuid,
    resend_id uuid,
    at timestamptz
)
RETURNS text
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
    hold record;
    earlier record;
    remaining integer;
    has_holds boolean;
    left_for_user bigint;
    ended_tickets integer := 0;
    is_purchased boolean;
BEGIN
    SELECT *
    INTO hold
    FROM ticketing_private.holds AS stored
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id;

    IF hold.state = 'purchased' THEN
        RETURN 'exists';
    END IF;

    PERFORM
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = hold_id;

    IF FOUND THEN
        RETURN 'exists_different';
    END IF;

    SELECT
        bool_or(stored.resend_id = purchase_late_hold.resend_id) AS is_this_request,
        count(*) > 0 AS is_any
    INTO earlier
    FROM ticketing_private.refused_resends AS stored
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id
        AND stored.outcome = 'hold_expired';

    IF resend_id IS NULL AND earlier.is_any THEN
        RETURN 'refused_before';
    ELSIF earlier.is_this_request THEN
        RETURN 'hold_expired';
    END IF;

    IF hold.state = 'held' THEN
        ended_tickets := hold.quantity;

        UPDATE ticketing_private.holds AS stored
        SET
            state = 'expired',
            expired_at = at
        WHERE stored.ticket_option_id = option_id
            AND stored.id = hold_id;
    END IF;

    SELECT
        option.allocation + ended_tickets,
        option.held > ended_tickets
    INTO remaining, has_holds
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;

    SELECT rules.left_for_users[1]
    INTO left_for_user
    FROM ticketing_private.rules_of_option(option_id, ARRAY[hold.user_id], at) AS rules;

    is_purchased := hold.quantity <= coalesce(left_for_user, hold.quantity);

    IF is_purchased AND hold.quantity > remaining AND has_holds THEN
        SELECT
            ended_tickets + ended.tickets,
            remaining + ended.tickets
        INTO ended_tickets, remaining
        FROM ticketing_private.expire_holds(
            option_id, hold.quantity - remaining, 9223372036854775807, at
        ) AS ended;
    END IF;

    is_purchased := is_purchased AND hold.quantity <= remaining;

    IF is_purchased OR ended_tickets > 0 THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = remaining - CASE WHEN is_purchased THEN hold.quantity ELSE 0 END,
            held = option.held - ended_tickets,
            updated_at = greatest(option.updated_at, at)
        WHERE option.id = option_id;
    END IF;

    IF is_purchased THEN
        UPDATE ticketing_private.holds AS stored
        SET
            state = 'purchased',
            purchased_at = at
        WHERE stored.ticket_option_id = option_id
            AND stored.id = hold_id;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
        VALUES (option_id, hold_id, hold.user_id, hold.quantity, at);

        RETURN 'created';
    END IF;

    IF resend_id IS NOT NULL THEN
        PERFORM ticketing_private.store_refusals(
            option_id, ARRAY[hold_id], ARRAY[resend_id], ARRAY['hold_expired'], NULL, at
        );
    END IF;

    RETURN 'hold_expired';
END
$function$;

COMMENT ON FUNCTION ticketing_private.purchase_late_hold(uuid, uuid, uuid, timestamptz) IS
'Purchases a hold that ran out, if its tickets are still free and the user may have them.';
