-- list_ticket_options(after, items_max)
--
-- Returns a page of the options, newest first: as describe_ticket_options.sql does,
-- at most items_max, those behind the option after, or the first where that is
-- NULL. A page costs the same wherever it is, and whoever goes through them sees
-- each option that was there before the first page once.
--
-- Raises TK001 when there is no option after.

CREATE OR REPLACE FUNCTION ticketing.list_ticket_options(
    after uuid,
    items_max integer
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
-- As for large tables, whatever they are like when it plans: a page then reads the
-- index in the order that it is shown in, and sorts nothing.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
AS $function$
DECLARE
    last_created_at timestamptz := timestamptz 'infinity';
BEGIN
    IF after IS NOT NULL THEN
        SELECT option.created_at
        INTO last_created_at
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = after;

        IF NOT FOUND THEN
            RAISE EXCEPTION 'ticket option % does not exist', after
                USING ERRCODE = 'TK001',
                      HINT = 'Begin with the first page: select * from ticketing.list_ticket_options(NULL, 50);';
        END IF;
    END IF;

    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END,
        ticketing_private.more_members(
            option.max_per_purchase, option.max_per_user,
            option.on_sale_from, option.on_sale_until, option.paused
        )
    FROM (
        SELECT *
        FROM ticketing_private.ticket_options AS stored
        WHERE (stored.created_at, stored.id)
            < (last_created_at, coalesce(after, '00000000-0000-0000-0000-000000000000'))
        ORDER BY stored.created_at DESC, stored.id DESC
        LIMIT items_max
    ) AS option;
END
$function$;

COMMENT ON FUNCTION ticketing.list_ticket_options(uuid, integer) IS
'A page of the ticket options, newest first; after is the last one of the page before:
    select * from list_ticket_options(NULL, 50);';

GRANT EXECUTE ON FUNCTION ticketing.list_ticket_options(uuid, integer)
    TO ticketing_service, ticketing_operator;
