-- try_purchase_holds(option_id, hold_ids[], lock_wait_ms [, resend_ids[]])
--
-- Turns holds of one option into purchases. Returns an outcome for each, in their
-- order, and details, which are NULL:
--
--     created           it is a purchase now, with the hold's id
--     exists            it was one before
--     exists_different  this id is stored as a purchase that was made otherwise
--     not_found         there is no such hold
--     hold_released     its tickets were given back by its user
--     hold_expired      it ran out, and its tickets are gone, or its user may not
--                       have as many any more
--     refused_before    a resend was refused meanwhile, or for an earlier request
--     busy              the option is locked; nothing was decided
--
-- A hold that runs may be purchased whatever became of the sale. One that ran out
-- may be too, perhaps its buyer has paid: its tickets are then taken anew in the
-- same step, if they are free and the user's limit allows.
--
-- lock_wait_ms and resend_ids are those of try_purchase_tickets.sql.
--
-- Raises TK003 for a NULL among the ids.

CREATE OR REPLACE FUNCTION ticketing.try_purchase_holds(
    option_id uuid,
    hold_ids uuid[],
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
    batch_size CONSTANT integer := coalesce(cardinality(hold_ids), 0);
    ones CONSTANT integer[] := array_fill(1, ARRAY[batch_size]);
BEGIN
    PERFORM ticketing_private.require_purchases(hold_ids, hold_ids, ones);
    PERFORM ticketing_private.require_resends(hold_ids, resend_ids);

    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    IF lock_wait_ms > 0 THEN
        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
        FOR NO KEY UPDATE;
    END IF;

    details := NULL;
    outcomes := ticketing_private.purchase_holds_of_many(
        array_fill(option_id, ARRAY[batch_size]), hold_ids, resend_ids
    );
END
$function$;

COMMENT ON FUNCTION ticketing.try_purchase_holds(uuid, uuid[], integer, uuid[]) IS
'Turns holds of one option into purchases with the same ids, and returns an outcome for each, in order:
    created           it is a purchase now
    exists            it was one before
    exists_different  the id is stored as a purchase that was made otherwise
    not_found         there is no such hold
    hold_released     its tickets were given back
    hold_expired      it ran out, and its tickets are gone or more than its user may have
    refused_before    a resend was refused
    busy              the option is locked; nothing was decided
Raises TK003 for a NULL among the ids.';

GRANT EXECUTE ON FUNCTION ticketing.try_purchase_holds(uuid, uuid[], integer, uuid[])
    TO ticketing_service, ticketing_operator;
