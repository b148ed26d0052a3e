-- check_rules(max_per_purchase, max_per_user, on_sale_from, on_sale_until)
--
-- Raises check_violation, with a name for message_of_constraint.sql, for rules that
-- an option cannot have. They are no constraints of the table, because those cost
-- time whenever tickets are sold.

CREATE OR REPLACE FUNCTION ticketing_private.check_rules(
    max_per_purchase integer,
    max_per_user integer,
    on_sale_from timestamptz,
    on_sale_until timestamptz
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- The year is that of UTC.
SET timezone = 'UTC'
AS $function$
DECLARE
    broken CONSTANT text := CASE
        WHEN max_per_purchase < 1
            THEN 'max_per_purchase_range'
        WHEN max_per_user < 1
            THEN 'max_per_user_range'
        WHEN least(on_sale_from, on_sale_until) < '0001-01-01'
            OR greatest(on_sale_from, on_sale_until) >= '10000-01-01'
            THEN 'on_sale_years'
        WHEN on_sale_from >= on_sale_until
            THEN 'on_sale_from_before_until'
    END;
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION '%', broken
            USING ERRCODE = 'check_violation',
                  CONSTRAINT = broken;
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.check_rules(integer, integer, timestamptz, timestamptz) IS
'Raises for rules that an option cannot have.';
