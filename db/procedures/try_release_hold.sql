-- try_release_hold(option_id, hold_id [, lock_wait_ms])
--
-- Gives the tickets of a hold back, and returns the outcome:
--
--     released        they are back
--     exists          it was released before
--     expired         it had run out; they are back, since now or before, and it
--                     cannot be purchased late any more
--     hold_purchased  it is a purchase; nothing was given back
--     not_found       there is no such hold
--
-- It may be sent again: the tickets are given back once. The option is locked
-- before the hold is looked at.
--
-- It waits for the option's lock for at most lock_wait_ms, and then raises 55P03.

CREATE OR REPLACE FUNCTION ticketing.try_release_hold(
    option_id uuid,
    hold_id uuid,
    lock_wait_ms integer DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    hold record;
    happens_at timestamptz;
    is_expired boolean;
BEGIN
    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    happens_at := ticketing_private.clock();

    -- FOR NO KEY UPDATE, so that what is answered is on the standby, too.
    SELECT
        stored.state,
        stored.quantity,
        stored.expires_at
    INTO hold
    FROM ticketing_private.holds AS stored
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF hold.state = 'purchased' THEN
        RETURN 'hold_purchased';
    ELSIF hold.state = 'released' THEN
        RETURN 'exists';
    END IF;

    is_expired := hold.expires_at <= happens_at;

    UPDATE ticketing_private.holds AS stored
    SET
        state = 'released',
        expired_at = CASE WHEN is_expired THEN coalesce(stored.expired_at, happens_at) END,
        released_at = happens_at
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id;

    UPDATE ticketing_private.ticket_options AS option
    SET
        allocation = option.allocation + hold.quantity,
        held = option.held - hold.quantity,
        updated_at = greatest(option.updated_at, happens_at)
    WHERE option.id = option_id
        AND hold.state = 'held';

    RETURN CASE WHEN is_expired THEN 'expired' ELSE 'released' END;
END
$function$;

COMMENT ON FUNCTION ticketing.try_release_hold(uuid, uuid, integer) IS
'Gives the tickets of a hold back, once, and returns the outcome:
    released        they are back
    exists          it was released before
    expired         it had run out; they are back
    hold_purchased  it is a purchase; nothing was given back
    not_found       there is no such hold';

GRANT EXECUTE ON FUNCTION ticketing.try_release_hold(uuid, uuid, integer)
    TO ticketing_service, ticketing_operator;
