-- get_ticket_options(option_ids[])
--
-- Returns one row per existing ticket option, in no particular order: what
-- get_ticket_option.sql returns for one.
--
-- It is PL/pgSQL where get_ticket_option.sql is SQL, because the service calls it
-- all the time, and before PostgreSQL 18 an SQL function is planned in every call.

CREATE OR REPLACE FUNCTION ticketing.get_ticket_options(
    option_ids uuid[]
)
RETURNS TABLE (
    id uuid,
    name text,
    "desc" text,
    allocation integer
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = ANY (option_ids);
END
$function$;

COMMENT ON FUNCTION ticketing.get_ticket_options(uuid[]) IS
'One row per existing ticket option, in no particular order.';

GRANT EXECUTE ON FUNCTION ticketing.get_ticket_options(uuid[])
    TO ticketing_service, ticketing_operator;
