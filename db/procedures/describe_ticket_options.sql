-- describe_ticket_options(option_ids[])
--
-- Returns those of the options that there are, a row each, in no order, with all
-- that is shown of them: what get_ticket_options.sql returns, and more, which has
-- the optional members that are not at their default, and is NULL when all are.

CREATE OR REPLACE FUNCTION ticketing.describe_ticket_options(
    option_ids uuid[]
)
RETURNS TABLE (
    id uuid,
    name text,
    "desc" text,
    allocation integer,
    more json
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
        END,
        CASE
            WHEN option.paused
                OR num_nonnulls(
                    option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                ) > 0
                THEN ticketing_private.more_members(
                    option.max_per_purchase, option.max_per_user,
                    option.on_sale_from, option.on_sale_until, option.paused
                )
        END
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = ANY (option_ids);
END
$function$;

COMMENT ON FUNCTION ticketing.describe_ticket_options(uuid[]) IS
'Those of the ticket options that there are, with all that is shown of them, a row each, in no order.';

GRANT EXECUTE ON FUNCTION ticketing.describe_ticket_options(uuid[])
    TO ticketing_service, ticketing_operator;
