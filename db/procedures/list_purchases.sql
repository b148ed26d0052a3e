-- list_purchases(option_id, of_user_id, after, items_max)
--
-- Returns a page of an option's purchases, or of those of one user, in the order of
-- their ids: as describe_purchase.sql does, at most items_max, those behind after,
-- or the first where that is NULL. A page costs the same wherever it is, and
-- whoever goes through them sees each purchase that was there before the first page
-- once.
--
-- Raises TK001 when after is no purchase of the option.

CREATE OR REPLACE FUNCTION ticketing.list_purchases(
    option_id uuid,
    of_user_id uuid,
    after uuid,
    items_max integer
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
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- As for large tables, whatever they are like when it plans: a page then reads the
-- index in the order that it is shown in, and sorts nothing.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
AS $function$
BEGIN
    IF after IS NOT NULL AND NOT EXISTS (
        SELECT
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id = after
    ) THEN
        RAISE EXCEPTION 'there is no purchase % of ticket option %', after, option_id
            USING ERRCODE = 'TK001',
                  HINT = format(
                      'Begin with the first page: select * from ticketing.list_purchases(%L, NULL, NULL, 50);', option_id
                  );
    END IF;

    IF of_user_id IS NULL THEN
        RETURN QUERY
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
            AND purchase.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND purchase.id IS DISTINCT FROM after
        ORDER BY purchase.id
        LIMIT items_max;
    ELSE
        RETURN QUERY
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
            AND purchase.user_id = of_user_id
            AND purchase.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND purchase.id IS DISTINCT FROM after
        ORDER BY purchase.id
        LIMIT items_max;
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing.list_purchases(uuid, uuid, uuid, integer) IS
'A page of the purchases of a ticket option, or of one user; after is the last one of the page before:
    select * from list_purchases(''<option>'', NULL, NULL, 50);';

GRANT EXECUTE ON FUNCTION ticketing.list_purchases(uuid, uuid, uuid, integer)
    TO ticketing_service, ticketing_operator;
