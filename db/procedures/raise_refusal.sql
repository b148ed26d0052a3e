-- raise_refusal(option_id, qty, outcome, detail)
--
-- Turns the outcome of a purchase or a hold that was refused into the error that
-- people get, with what to do about it. Returns where nothing was refused.

CREATE OR REPLACE FUNCTION ticketing_private.raise_refusal(
    option_id uuid,
    qty integer,
    outcome text,
    detail jsonb
)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    available CONSTANT integer := (detail ->> 'available')::integer;
    left_for_user CONSTANT integer := (detail ->> 'left_for_user')::integer;
BEGIN
    CASE outcome
        WHEN 'created', 'exists' THEN
            RETURN;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'ticket option % does not exist', option_id
                USING ERRCODE = 'TK001',
                      HINT = 'See what is on sale: select id, name, allocation from ticketing.ticket_options;';
        WHEN 'not_on_sale' THEN
            RAISE EXCEPTION 'ticket option % is %', option_id, CASE detail ->> 'reason'
                WHEN 'paused' THEN 'paused'
                WHEN 'over' THEN 'no longer on sale'
                ELSE 'not on sale yet'
            END
                USING ERRCODE = 'TK005',
                      HINT = CASE detail ->> 'reason'
                          WHEN 'paused' THEN 'An organiser may resume it: '
                          WHEN 'over' THEN 'An organiser may extend it: '
                          ELSE 'It is on sale from ' || (detail ->> 'on_sale_from') || '. An organiser may change that: '
                      END || format(
                          'select ticketing.update_ticket_option(%L, %L);',
                          option_id,
                          CASE detail ->> 'reason'
                              WHEN 'paused' THEN '{"paused": false}'
                              WHEN 'over' THEN '{"on_sale_until": null}'
                              ELSE '{"on_sale_from": null}'
                          END
                      );
        WHEN 'limit_reached' THEN
            RAISE EXCEPTION 'the limit is %: % requested, % available to this user',
                detail ->> 'limit', qty, left_for_user
                USING ERRCODE = 'TK006',
                      DETAIL = format('Ticket option: %s', option_id),
                      HINT = CASE
                          WHEN left_for_user > 0 THEN format('Request at most %s.', left_for_user)
                          ELSE 'The user has as many tickets as one user may have.'
                      END;
        WHEN 'sold_out' THEN
            RAISE EXCEPTION 'not enough tickets left: % requested, % available', qty, available
                USING ERRCODE = 'TK002',
                      DETAIL = format('Ticket option: %s', option_id),
                      HINT = CASE
                          WHEN available > 0 THEN format('Request at most %s.', available)
                          ELSE 'The ticket option is sold out.'
                      END;
    END CASE;
END
$function$;

COMMENT ON FUNCTION ticketing_private.raise_refusal(uuid, integer, text, jsonb) IS
'Turns an outcome that is a refusal into the error that people get.';
