-- values_of_option(...)
--
-- Puts what an option is created with into one value, which can be kept and
-- compared with that of a creation that is sent again.

CREATE OR REPLACE FUNCTION ticketing_private.values_of_option(
    name text,
    description text,
    capacity integer,
    max_per_purchase integer,
    max_per_user integer,
    on_sale_from timestamptz,
    on_sale_until timestamptz,
    paused boolean
)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN jsonb_build_object(
        'name', name,
        'desc', description,
        'allocation', capacity,
        'max_per_purchase', max_per_purchase,
        'max_per_user', max_per_user,
        'on_sale_from', ticketing_private.rfc3339(on_sale_from),
        'on_sale_until', ticketing_private.rfc3339(on_sale_until),
        'paused', paused
    );
END
$function$;

COMMENT ON FUNCTION ticketing_private.values_of_option(
    text, text, integer, integer, integer, timestamptz, timestamptz, boolean
) IS
'What an option is created with, as one value.';
