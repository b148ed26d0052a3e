-- hold_tickets(option_id, user_id, qty [, expires_in_seconds [, hold_id]])
--
-- Keeps qty tickets of an option for a user, for ten minutes unless another time
-- is given, and returns the hold's id: the face of try_hold_tickets.sql for people,
-- who want errors, not outcomes. purchase_hold.sql turns it into a purchase, and
-- release_hold.sql gives the tickets back before it runs out.
--
-- Give a hold_id of your own to be able to repeat a call whose outcome you did not
-- see: the same id with the same values keeps nothing again, prolongs nothing, and
-- returns the id once more.
--
-- Raises, with nothing taken:
--
--     TK001  there is no such ticket option
--     TK002  fewer tickets are left than were asked for
--     TK003  an argument is missing or out of range
--     TK004  hold_id is stored with other values
--     TK005  the option is not on sale
--     TK006  the user may not have as many

CREATE OR REPLACE FUNCTION ticketing.hold_tickets(
    option_id uuid,
    user_id uuid,
    qty integer,
    expires_in_seconds integer DEFAULT 600,
    hold_id uuid DEFAULT gen_random_uuid()
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    held record;
BEGIN
    IF option_id IS NULL OR user_id IS NULL OR hold_id IS NULL OR qty IS NULL OR qty < 1 THEN
        RAISE EXCEPTION 'no argument may be NULL and qty must be at least 1: got %, %, %, %',
            coalesce(option_id::text, 'NULL'),
            coalesce(user_id::text, 'NULL'),
            coalesce(qty::text, 'NULL'),
            coalesce(hold_id::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'Pass an option_id, a user_id and a qty from 1 to 2147483647.';
    END IF;

    PERFORM ticketing_private.require_holds(ARRAY[hold_id], ARRAY[expires_in_seconds]);

    held := ticketing_private.take_tickets_of_one(
        option_id, ARRAY[hold_id], ARRAY[user_id], ARRAY[qty], ARRAY[expires_in_seconds], NULL, true
    );

    IF held.outcomes[1] = 'refused_before' THEN
        held := ticketing_private.take_tickets_of_one(
            option_id, ARRAY[hold_id], ARRAY[user_id], ARRAY[qty], ARRAY[expires_in_seconds],
            ARRAY[gen_random_uuid()], true
        );
    END IF;

    IF held.outcomes[1] = 'exists_different' THEN
        RAISE EXCEPTION 'hold % already exists with a different user, quantity or time', hold_id
            USING ERRCODE = 'TK004',
                  HINT = format('See it: select * from ticketing.get_hold(%L, %L);', option_id, hold_id);
    END IF;

    PERFORM ticketing_private.raise_refusal(option_id, qty, held.outcomes[1], held.details[1]);

    RETURN hold_id;
END
$function$;

COMMENT ON FUNCTION ticketing.hold_tickets(uuid, uuid, integer, integer, uuid) IS
'Keeps qty tickets of an option for a user, for ten minutes, and returns the hold''s id:
    select hold_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  there is no such ticket option
    TK002  fewer tickets are left than were asked for
    TK003  an argument is missing or out of range
    TK004  hold_id is stored with other values
    TK005  the option is not on sale
    TK006  the user may not have as many
The same hold_id with the same values may be sent again: it holds once.';

GRANT EXECUTE ON FUNCTION ticketing.hold_tickets(uuid, uuid, integer, integer, uuid)
    TO ticketing_operator;
