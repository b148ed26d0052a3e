-- change_capacity(option_id, by)
--
-- Adds tickets to an option, or takes some away that are neither sold nor held,
-- and returns the capacity that it has then. Unlike update_ticket_option.sql it is
-- right whatever somebody else has changed meanwhile; and it must not be sent again.
--
-- Raises, with nothing changed:
--
--     TK001  there is no such ticket option
--     TK003  it is missing, or the capacity would be out of range
--     TK007  more than that is sold and held

CREATE OR REPLACE FUNCTION ticketing.change_capacity(
    option_id uuid,
    by integer
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    wanted bigint;
BEGIN
    SELECT option.capacity::bigint + by
    INTO wanted
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    IF FOUND AND (wanted BETWEEN 0 AND 2147483647) IS NOT TRUE THEN
        RAISE EXCEPTION 'the capacity cannot change by %', coalesce(by::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = format(
                      'It is %s, and may be from 0 to 2147483647.',
                      (
                          SELECT option.capacity
                          FROM ticketing_private.ticket_options AS option
                          WHERE option.id = option_id
                      )
                  );
    END IF;

    PERFORM ticketing.update_ticket_option(
        option_id, jsonb_build_object('capacity', CASE WHEN FOUND THEN wanted ELSE 0 END)
    );

    RETURN wanted::integer;
END
$function$;

COMMENT ON FUNCTION ticketing.change_capacity(uuid, integer) IS
'Adds tickets to an option, or takes some away, and returns its capacity:
    select change_capacity(''<option>'', 50);
Raises, with nothing changed:
    TK001  there is no such ticket option
    TK003  it is missing, or the capacity would be out of range
    TK007  more than that is sold and held
It must not be sent again: it would change the capacity twice.';

GRANT EXECUTE ON FUNCTION ticketing.change_capacity(uuid, integer)
    TO ticketing_operator;
