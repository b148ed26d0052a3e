-- describe_purchase(option_id, purchase_id)
--
-- Returns the purchase as one row, and no row when there is none. quantity is
-- what it has now. Once something was given back, purchased_quantity is what it
-- had, and cancelled_at when that was last; else they are NULL.

CREATE OR REPLACE FUNCTION ticketing.describe_purchase(
    option_id uuid,
    purchase_id uuid
)
RETURNS TABLE (
    id uuid,
    ticket_option_id uuid,
    user_id uuid,
    quantity integer,
    created_at timestamptz,
    purchased_quantity integer,
    cancelled_at timestamptz
)
LANGUAGE sql
STABLE
ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT
        purchase.id,
        purchase.ticket_option_id,
        purchase.user_id,
        purchase.quantity - purchase.returned,
        purchase.created_at,
        CASE WHEN purchase.returned > 0 THEN purchase.quantity END,
        purchase.cancelled_at
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id;
$function$;

COMMENT ON FUNCTION ticketing.describe_purchase(uuid, uuid) IS
'The purchase as one row, with what was given back of it, or no row when there is none:
    select * from describe_purchase(''<option>'', ''<purchase>'');';

GRANT EXECUTE ON FUNCTION ticketing.describe_purchase(uuid, uuid)
    TO ticketing_service, ticketing_operator;
