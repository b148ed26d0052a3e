-- try_purchase_tickets_of_many(option_ids[], purchase_ids[], user_ids[], quantities[] [, resend_ids[]])
--
-- Sells tickets of many options in one call, and so with one flush to disk, with
-- the outcomes and details of try_purchase_tickets.sql, in order. It never waits
-- for a lock: what is busy is for the caller to send again, by itself.
--
-- Raises TK003 as try_purchase_tickets.sql does.

CREATE OR REPLACE FUNCTION ticketing.try_purchase_tickets_of_many(
    option_ids uuid[],
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[],
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
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);
    PERFORM ticketing_private.require_purchases(option_ids, user_ids, quantities);
    PERFORM ticketing_private.require_resends(purchase_ids, resend_ids);

    SELECT
        taken.outcomes,
        taken.details
    INTO outcomes, details
    FROM ticketing_private.take_tickets_of_many(
        option_ids, purchase_ids, user_ids, quantities, NULL, resend_ids
    ) AS taken;
END
$function$;

COMMENT ON FUNCTION ticketing.try_purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[], uuid[]) IS
'Sells tickets of many options in one call, and returns an outcome and a detail for each purchase, in order:
those of try_purchase_tickets(...). It never waits for a lock: where an option is locked, they are busy.';

GRANT EXECUTE ON FUNCTION ticketing.try_purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[], uuid[])
    TO ticketing_service, ticketing_operator;
