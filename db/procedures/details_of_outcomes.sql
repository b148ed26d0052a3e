-- details_of_outcomes(option_ids[], ids[], outcomes[], details[], left_over[],
--     broken_limits[], expires_in_seconds[], happens_at)
--
-- Says more about outcomes: why something is refused, and for holds, which have
-- expires_in_seconds, what they are. Those that were created are what their caller
-- made them at happens_at, and are not read again. A detail that is there already
-- is kept.

CREATE OR REPLACE FUNCTION ticketing_private.details_of_outcomes(
    option_ids uuid[],
    ids uuid[],
    outcomes text[],
    details jsonb[],
    left_over integer[],
    broken_limits integer[],
    expires_in_seconds integer[],
    happens_at timestamptz
)
RETURNS jsonb[]
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
DECLARE
    -- As rfc3339.sql, which would be called for each hold.
    rfc3339 CONSTANT text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
    created_at CONSTANT text := to_char(happens_at AT TIME ZONE 'UTC', rfc3339);
BEGIN
    RETURN ARRAY(
        SELECT coalesce(
            details[asked.place],
            CASE
                WHEN asked.outcome = 'sold_out'
                    THEN jsonb_build_object('available', left_over[asked.place])
                WHEN asked.outcome = 'limit_reached'
                    THEN jsonb_build_object(
                        'limit', broken_limits[asked.place],
                        'left_for_user', left_over[asked.place]
                    )
                WHEN asked.outcome = 'created' AND asked.expires_in_seconds IS NOT NULL
                    THEN jsonb_build_object(
                        'state', 'held',
                        'created_at', created_at,
                        'expires_at', to_char(
                            (happens_at + make_interval(secs => asked.expires_in_seconds)) AT TIME ZONE 'UTC',
                            rfc3339
                        )
                    )
                WHEN asked.outcome = 'exists'
                    THEN hold.detail
            END
        )
        FROM unnest(option_ids, ids, outcomes, expires_in_seconds)
            WITH ORDINALITY AS asked (option_id, id, outcome, expires_in_seconds, place)
        LEFT JOIN LATERAL (
            SELECT jsonb_build_object(
                'state', CASE
                    WHEN hold.state = 'held' AND hold.expires_at <= happens_at THEN 'expired'
                    ELSE hold.state
                END,
                'created_at', to_char(hold.created_at AT TIME ZONE 'UTC', rfc3339),
                'expires_at', to_char(hold.expires_at AT TIME ZONE 'UTC', rfc3339)
            ) AS detail
            FROM ticketing_private.holds AS hold
            WHERE asked.outcome = 'exists'
                AND asked.expires_in_seconds IS NOT NULL
                AND hold.ticket_option_id = asked.option_id
                AND hold.id = asked.id
        ) AS hold ON true
        ORDER BY asked.place
    );
END
$function$;

COMMENT ON FUNCTION ticketing_private.details_of_outcomes(
    uuid[], uuid[], text[], jsonb[], integer[], integer[], integer[], timestamptz
) IS
'Says more about outcomes: why something is refused, and for holds, what they are.';
