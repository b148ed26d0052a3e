-- get_purchase(option_id, purchase_id)
--
-- Returns the purchase as one row, or no row if it does not exist. quantity is what
-- it has now. The previous release calls this; describe_purchase.sql returns more.

CREATE OR REPLACE FUNCTION ticketing.get_purchase(
    option_id uuid,
    purchase_id uuid
)
RETURNS TABLE (
    id uuid,
    ticket_option_id uuid,
    user_id uuid,
    quantity integer,
    created_at timestamptz
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
        purchase.created_at
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id;
$function$;

COMMENT ON FUNCTION ticketing.get_purchase(uuid, uuid) IS
'The purchase as one row, or no row if it does not exist:
    select * from get_purchase(''<option>'', ''<purchase>'');';

GRANT EXECUTE ON FUNCTION ticketing.get_purchase(uuid, uuid)
    TO ticketing_service, ticketing_operator;
