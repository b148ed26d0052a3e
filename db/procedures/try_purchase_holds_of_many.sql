-- try_purchase_holds_of_many(option_ids[], hold_ids[] [, resend_ids[]])
--
-- Turns holds of many options into purchases in one call, and so with one flush
-- to disk, with the outcomes of try_purchase_holds.sql, in order. It never waits
-- for a lock: what is busy is for the caller to send again, by itself.
--
-- Raises TK003 for arrays that differ in length or hold a NULL.

CREATE OR REPLACE FUNCTION ticketing.try_purchase_holds_of_many(
    option_ids uuid[],
    hold_ids uuid[],
    resend_ids uuid[] DEFAULT NULL,
    OUT outcomes text[],
    OUT details jsonb[]
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM ticketing_private.require_purchases(
        hold_ids, option_ids, array_fill(1, ARRAY[coalesce(cardinality(hold_ids), 0)])
    );
    PERFORM ticketing_private.require_resends(hold_ids, resend_ids);

    details := NULL;
    outcomes := ticketing_private.purchase_holds_of_many(option_ids, hold_ids, resend_ids);
END
$function$;

COMMENT ON FUNCTION ticketing.try_purchase_holds_of_many(uuid[], uuid[], uuid[]) IS
'Turns holds of many options into purchases, and returns an outcome for each, in order: those of
try_purchase_holds(...). It never waits for a lock: where an option is locked, they are busy.';

GRANT EXECUTE ON FUNCTION ticketing.try_purchase_holds_of_many(uuid[], uuid[], uuid[])
    TO ticketing_service, ticketing_operator;
