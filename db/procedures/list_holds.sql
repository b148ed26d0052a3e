-- list_holds(option_id, of_user_id, in_state, after, items_max)
--
-- Returns a page of an option's holds, or of those of one user, or in one state, in
-- the order of their ids: as get_hold.sql does, at most items_max, those behind
-- after, or the first where that is NULL. A page costs the same wherever it is, and
-- whoever goes through them sees each hold that was there before the first page
-- once.
--
-- Raises TK001 when after is no hold of the option.

CREATE OR REPLACE FUNCTION ticketing.list_holds(
    option_id uuid,
    of_user_id uuid,
    in_state text,
    after uuid,
    items_max integer
)
RETURNS TABLE (
    id uuid,
    ticket_option_id uuid,
    user_id uuid,
    quantity integer,
    state text,
    created_at timestamptz,
    expires_at timestamptz
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
    at CONSTANT timestamptz := ticketing_private.clock();
BEGIN
    IF after IS NOT NULL AND NOT EXISTS (
        SELECT
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.id = after
    ) THEN
        RAISE EXCEPTION 'there is no hold % of ticket option %', after, option_id
            USING ERRCODE = 'TK001',
                  HINT = format(
                      'Begin with the first page: select * from ticketing.list_holds(%L, NULL, NULL, NULL, 50);', option_id
                  );
    END IF;

    IF of_user_id IS NOT NULL THEN
        RETURN QUERY
        SELECT
            hold.id,
            hold.ticket_option_id,
            hold.user_id,
            hold.quantity,
            CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
            hold.created_at,
            hold.expires_at
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.user_id = of_user_id
            AND (
                in_state IS NULL
                OR in_state = CASE
                    WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired'
                    ELSE hold.state
                END
            )
            AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND hold.id IS DISTINCT FROM after
        ORDER BY hold.id
        LIMIT items_max;
    ELSIF in_state IS NULL THEN
        RETURN QUERY
        SELECT
            hold.id,
            hold.ticket_option_id,
            hold.user_id,
            hold.quantity,
            CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
            hold.created_at,
            hold.expires_at
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND hold.id IS DISTINCT FROM after
        ORDER BY hold.id
        LIMIT items_max;
    ELSE
        RETURN QUERY
        SELECT *
        FROM (
            (
                SELECT
                    hold.id,
                    hold.ticket_option_id,
                    hold.user_id,
                    hold.quantity,
                    CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
                    hold.created_at,
                    hold.expires_at
                FROM ticketing_private.holds AS hold
                WHERE hold.ticket_option_id = option_id
                    AND hold.state = in_state
                    AND (hold.state <> 'held' OR hold.expires_at > at)
                    AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
                    AND hold.id IS DISTINCT FROM after
                ORDER BY hold.id
                LIMIT items_max
            )
            UNION ALL
            (
                SELECT
                    hold.id,
                    hold.ticket_option_id,
                    hold.user_id,
                    hold.quantity,
                    CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
                    hold.created_at,
                    hold.expires_at
                FROM ticketing_private.holds AS hold
                WHERE hold.ticket_option_id = option_id
                    AND hold.state = 'held'
                    AND hold.expires_at <= at
                    AND in_state = 'expired'
                    AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
                    AND hold.id IS DISTINCT FROM after
                ORDER BY hold.id
                LIMIT items_max
            )
        ) AS hold
        ORDER BY hold.id
        LIMIT items_max;
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing.list_holds(uuid, uuid, text, uuid, integer) IS
'A page of the holds of a ticket option, or of one user, or in one state; after is the last one of the page before:
    select * from list_holds(''<option>'', NULL, ''expired'', NULL, 50);';

GRANT EXECUTE ON FUNCTION ticketing.list_holds(uuid, uuid, text, uuid, integer)
    TO ticketing_service, ticketing_operator;
