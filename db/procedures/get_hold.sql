-- get_hold(option_id, hold_id)
--
-- Returns the hold as one row, and no row when there is none. Its state is that
-- of this moment: a hold that has run out is expired.

CREATE OR REPLACE FUNCTION ticketing.get_hold(
    option_id uuid,
    hold_id uuid
)
RETURNS TABLE (
    id uuid,
    ticket_option_id uuid,
    user_id uuid,
    quantity integer,
    state text,
    created_at timestamptz,
    expires_at timestamptz
)
LANGUAGE plpgsql
STABLE
ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        hold.id,
        hold.ticket_option_id,
        hold.user_id,
        hold.quantity,
        ticketing_private.state_of_hold(hold.state, hold.expires_at),
        hold.created_at,
        hold.expires_at
    FROM ticketing_private.holds AS hold
    WHERE hold.ticket_option_id = option_id
        AND hold.id = hold_id;
END
$function$;

COMMENT ON FUNCTION ticketing.get_hold(uuid, uuid) IS
'The hold as one row, or no row when there is none:
    select * from get_hold(''<option>'', ''<hold>'');';

GRANT EXECUTE ON FUNCTION ticketing.get_hold(uuid, uuid)
    TO ticketing_service, ticketing_operator;
