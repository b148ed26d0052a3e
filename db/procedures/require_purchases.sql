-- require_purchases(purchase_ids[], user_ids[], quantities[])
--
-- Raises TK003 unless the arrays are of equal length and contain no NULL and no
-- quantity below 1: what every function that sells requires of its arguments.
--
-- It runs as its caller, which is always a function that runs as the owner.

CREATE OR REPLACE FUNCTION ticketing_private.require_purchases(
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[]
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF purchase_ids IS NULL
        OR array_ndims(purchase_ids) > 1
        OR array_ndims(user_ids) > 1
        OR array_ndims(quantities) > 1
        OR array_lower(purchase_ids, 1) <> 1
        OR array_lower(user_ids, 1) <> 1
        OR array_lower(quantities, 1) <> 1
        OR cardinality(user_ids) IS DISTINCT FROM cardinality(purchase_ids)
        OR cardinality(quantities) IS DISTINCT FROM cardinality(user_ids)
        OR array_position(purchase_ids, NULL) IS NOT NULL
        OR array_position(user_ids, NULL) IS NOT NULL
        OR array_position(quantities, NULL) IS NOT NULL
        OR 1 > ANY (quantities)
    THEN
        RAISE EXCEPTION 'every purchase needs an id, a user and a quantity of at least 1'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass arrays of equal length, without NULL, with quantities from 1 to 2147483647.';
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.require_purchases(uuid[], uuid[], integer[]) IS
'Raises TK003 unless the arrays describe purchases.';
