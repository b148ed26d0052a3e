-- more_members(max_per_purchase, max_per_user, on_sale_from, on_sale_until, paused)
--
-- Returns the optional members of a ticket option that are not at their default,
-- in the order in which they are shown, and NULL when there are none.

CREATE OR REPLACE FUNCTION ticketing_private.more_members(
    max_per_purchase integer,
    max_per_user integer,
    on_sale_from timestamptz,
    on_sale_until timestamptz,
    paused boolean
)
RETURNS json
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN nullif(
        json_strip_nulls(
            json_build_object(
                'max_per_purchase', max_per_purchase,
                'max_per_user', max_per_user,
                'on_sale_from', ticketing_private.rfc3339(on_sale_from),
                'on_sale_until', ticketing_private.rfc3339(on_sale_until),
                'paused', nullif(paused, false)
            )
        )::text,
        '{}'
    )::json;
END
$function$;

COMMENT ON FUNCTION ticketing_private.more_members(integer, integer, timestamptz, timestamptz, boolean) IS
'The optional members of a ticket option that are not at their default; NULL when there are none.';
