-- require_holds(hold_ids[], expires_in_seconds[])
--
-- Raises TK003 unless there are as many times as holds, each from a second to a
-- day: what every function hold_tickets asks of its arguments, besides what
-- require_purchases.sql does.

CREATE OR REPLACE FUNCTION ticketing_private.require_holds(
    hold_ids uuid[],
    expires_in_seconds integer[]
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF expires_in_seconds IS NULL
        OR array_ndims(expires_in_seconds) > 1
        OR array_lower(expires_in_seconds, 1) <> 1
        OR cardinality(expires_in_seconds) IS DISTINCT FROM cardinality(hold_ids)
        OR array_position(expires_in_seconds, NULL) IS NOT NULL
        OR 1 > ANY (expires_in_seconds)
        OR 86400 < ANY (expires_in_seconds)
    THEN
        RAISE EXCEPTION 'each hold needs to expire in 1 to 86400 seconds'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass expires_in_seconds from 1 to 86400, which is a day.';
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.require_holds(uuid[], integer[]) IS
'Raises TK003 unless these can be holds.';
