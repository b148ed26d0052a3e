-- try_hold_tickets(option_id, hold_ids[], user_ids[], quantities[], expires_in_seconds[], lock_wait_ms [, resend_ids[]])
--
-- Keeps tickets of one option for many buyers at once, each for a while. Returns
-- an outcome and a detail for each, in their order: those of
-- try_purchase_tickets.sql, and for created and exists, the hold as it is now:
-- its state, created_at and expires_at. A hold exists_different that was made for
-- another user, quantity or time.
--
-- The tickets leave the allocation here. They come back when the hold is
-- released or runs out, and stay away when it is purchased.
--
-- lock_wait_ms and resend_ids are those of try_purchase_tickets.sql.
--
-- Raises TK003 when the arrays differ in length, hold a NULL, a quantity below 1
-- or a time that is not from a second to a day; then nothing was kept.

CREATE OR REPLACE FUNCTION ticketing.try_hold_tickets(
    option_id uuid,
    hold_ids uuid[],
    user_ids uuid[],
    quantities integer[],
    expires_in_seconds integer[],
    lock_wait_ms integer,
    resend_ids uuid[] DEFAULT NULL,
    OUT outcomes text[],
    OUT details jsonb[]
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    taken record;
BEGIN
    PERFORM ticketing_private.require_purchases(hold_ids, user_ids, quantities);
    PERFORM ticketing_private.require_holds(hold_ids, expires_in_seconds);

    IF resend_ids IS NOT NULL THEN
        PERFORM ticketing_private.require_resends(hold_ids, resend_ids);
    END IF;

    IF NOT ticketing_private.lock_option(option_id, quantities, resend_ids IS NOT NULL, lock_wait_ms) THEN
        outcomes := array_fill('busy'::text, ARRAY[cardinality(hold_ids)]);
        RETURN;
    END IF;

    -- Each of these is an expression, which costs less than a query.
    taken := ticketing_private.take_tickets_of_one(
        option_id, hold_ids, user_ids, quantities, expires_in_seconds, resend_ids, true
    );
    outcomes := taken.outcomes;
    details := taken.details;
END
$function$;

COMMENT ON FUNCTION ticketing.try_hold_tickets(uuid, uuid[], uuid[], integer[], integer[], integer, uuid[]) IS
'Keeps tickets of one option for many buyers at once, and returns an outcome and a detail for each, in order:
those of try_purchase_tickets(...), and the hold as it is now.
Raises TK003 for arrays that differ in length or hold what no hold can be.';

GRANT EXECUTE ON FUNCTION ticketing.try_hold_tickets(uuid, uuid[], uuid[], integer[], integer[], integer, uuid[])
    TO ticketing_service, ticketing_operator;
