-- require_changes(changes)
--
-- Raises TK003 unless this is a JSON object of what may be changed of an option,
-- each of its type: what try_update_ticket_option.sql asks of its argument. A
-- moment needs an offset from UTC, since nobody else knows whose clock was meant.

CREATE OR REPLACE FUNCTION ticketing_private.require_changes(
    changes jsonb
)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    change record;
    is_right boolean;
BEGIN
    IF jsonb_typeof(changes) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the changes must be a JSON object'
            USING ERRCODE = 'TK003',
                  HINT = 'Such as ''{"capacity": 200, "max_per_user": null}''.';
    END IF;

    FOR change IN
        SELECT
            member.key,
            member.value,
            jsonb_typeof(member.value) AS type,
            member.value #>> '{}' AS text
        FROM jsonb_each(changes) AS member
        ORDER BY member.key
    LOOP
        is_right := CASE
            WHEN change.key IN ('name', 'desc')
                THEN change.type = 'string'
            WHEN change.key = 'capacity'
                THEN change.type = 'number'
                    AND change.text ~ '^[0-9]{1,10}$'
                    AND change.text::bigint <= 2147483647
            WHEN change.key IN ('max_per_purchase', 'max_per_user')
                THEN change.type = 'null'
                    OR change.type = 'number'
                    AND change.text ~ '^[0-9]{1,10}$'
                    AND change.text::bigint BETWEEN 1 AND 2147483647
            WHEN change.key IN ('on_sale_from', 'on_sale_until')
                THEN change.type = 'null'
                    OR change.type = 'string'
                    AND change.text ~* '^\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d(\.\d+)?)?(z|[+-]\d\d(:?\d\d)?)$'
            WHEN change.key = 'paused'
                THEN change.type IN ('boolean', 'null')
        END;

        IF is_right IS NOT TRUE THEN
            RAISE EXCEPTION '%', CASE
                WHEN is_right IS NULL
                    THEN format('a ticket option has no %s that can be changed', change.key)
                WHEN change.key IN ('name', 'desc')
                    THEN format('%s must be a string', change.key)
                WHEN change.key = 'capacity'
                    THEN 'capacity must be an integer from 0 to 2147483647'
                WHEN change.key = 'paused'
                    THEN 'paused must be true or false'
                WHEN change.key ~ '^max'
                    THEN format('%s must be an integer from 1 to 2147483647, or null', change.key)
                ELSE format('%s must be a date and time with its offset from UTC, or null', change.key)
            END
                USING ERRCODE = 'TK003',
                      HINT = 'Change name, desc, capacity, max_per_purchase, max_per_user, on_sale_from, '
                          'on_sale_until or paused; write a time as 2030-12-31T20:00:00Z.';
        END IF;

        IF change.key ~ '^on_sale' AND change.type = 'string' THEN
            PERFORM change.text::timestamptz;
        END IF;
    END LOOP;
EXCEPTION
    WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
        RAISE EXCEPTION '% is no date and time', change.key
            USING ERRCODE = 'TK003',
                  HINT = 'Write it as 2030-12-31T20:00:00Z.';
END
$function$;

COMMENT ON FUNCTION ticketing_private.require_changes(jsonb) IS
'Raises TK003 unless these can be changes of a ticket option.';
