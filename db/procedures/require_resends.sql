-- require_resends(ids[], resend_ids[])
--
-- Raises TK003 unless resend_ids is NULL, or has an id for each element of ids.

CREATE OR REPLACE FUNCTION ticketing_private.require_resends(
    ids uuid[],
    resend_ids uuid[]
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF resend_ids IS NOT NULL
        AND (
            array_ndims(resend_ids) > 1
            OR array_lower(resend_ids, 1) <> 1
            OR cardinality(resend_ids) IS DISTINCT FROM cardinality(ids)
            OR array_position(resend_ids, NULL) IS NOT NULL
        )
    THEN
        RAISE EXCEPTION 'each resend needs an id'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass an array of one id for each, or NULL when nothing is sent again.';
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.require_resends(uuid[], uuid[]) IS
'Raises TK003 unless these can be the ids of resends.';
