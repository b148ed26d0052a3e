-- try_return_tickets(option_id, purchase_id [, remaining, lock_wait_ms])
--
-- Gives tickets of a purchase back, all but those that are to remain. Returns a
-- row with the outcome, the purchase as it is then, and how many were given back:
--
--     returned   the others are back
--     unchanged  it has as many already: a call that was sent again
--     too_many   it has fewer; nothing was changed
--     not_found  there is no such purchase
--
-- What is to remain is said, not what is given back, so it may be sent again.
-- The option is locked before the purchase is looked at, so that two who give the
-- same tickets back return them once. A row is written for each return, and none
-- is ever changed.
--
-- It waits for the option's lock for at most lock_wait_ms, and then raises 55P03.
--
-- Raises TK003 for a remaining below 0.

CREATE OR REPLACE FUNCTION ticketing.try_return_tickets(
    option_id uuid,
    purchase_id uuid,
    remaining integer DEFAULT 0,
    lock_wait_ms integer DEFAULT NULL,
    OUT outcome text,
    OUT user_id uuid,
    OUT quantity integer,
    OUT created_at timestamptz,
    OUT purchased_quantity integer,
    OUT cancelled_at timestamptz,
    OUT given_back integer
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    happens_at timestamptz;
BEGIN
    IF remaining IS NULL OR remaining < 0 THEN
        RAISE EXCEPTION 'what is to remain is needed, and is at least 0: got %', coalesce(remaining::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'Pass the number of tickets that the purchase is to keep; 0 gives all back.';
    END IF;

    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    happens_at := ticketing_private.clock();

    -- FOR NO KEY UPDATE, so that what is answered is on the standby, too.
    SELECT
        purchase.user_id,
        purchase.quantity - purchase.returned,
        purchase.created_at,
        CASE WHEN purchase.returned > 0 THEN purchase.quantity END,
        purchase.cancelled_at
    INTO user_id, quantity, created_at, purchased_quantity, cancelled_at
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        outcome := 'not_found';
        RETURN;
    END IF;

    given_back := quantity - remaining;

    IF given_back <= 0 THEN
        outcome := CASE given_back WHEN 0 THEN 'unchanged' ELSE 'too_many' END;
        given_back := 0;
        RETURN;
    END IF;

    UPDATE ticketing_private.purchases AS purchase
    SET
        returned = purchase.returned + given_back,
        cancelled_at = happens_at
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id;

    INSERT INTO ticketing_private.returns (ticket_option_id, purchase_id, number, quantity, returned_at)
    SELECT
        option_id,
        try_return_tickets.purchase_id,
        count(*) + 1,
        given_back,
        happens_at
    FROM ticketing_private.returns AS earlier
    WHERE earlier.ticket_option_id = option_id
        AND earlier.purchase_id = try_return_tickets.purchase_id;

    UPDATE ticketing_private.ticket_options AS option
    SET
        allocation = option.allocation + given_back,
        updated_at = greatest(option.updated_at, happens_at)
    WHERE option.id = option_id;

    outcome := 'returned';
    purchased_quantity := coalesce(purchased_quantity, quantity);
    quantity := remaining;
    cancelled_at := happens_at;
END
$function$;

COMMENT ON FUNCTION ticketing.try_return_tickets(uuid, uuid, integer, integer) IS
'Gives tickets of a purchase back, all but those that are to remain, and returns the outcome and the purchase:
    returned   the others are back
    unchanged  it has as many already
    too_many   it has fewer; nothing was changed
    not_found  there is no such purchase
Raises TK003 for a remaining below 0.';

GRANT EXECUTE ON FUNCTION ticketing.try_return_tickets(uuid, uuid, integer, integer)
    TO ticketing_service, ticketing_operator;
