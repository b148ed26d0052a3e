-- store_refusals(option_id, ids[], resend_ids[], outcomes[], details[], at)
--
-- Stores what was refused of a call that was sent again, so that no sending of it
-- that comes late is filled: take_tickets_of_one.sql says why. The caller has the
-- option locked.

CREATE OR REPLACE FUNCTION ticketing_private.store_refusals(
    option_id uuid,
    ids uuid[],
    resend_ids uuid[],
    outcomes text[],
    details jsonb[],
    at timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
BEGIN
    INSERT INTO ticketing_private.refused_resends (
        ticket_option_id, id, resend_id, outcome, detail, refused_at
    )
    SELECT
        option_id,
        asked.id,
        asked.resend_id,
        asked.outcome,
        details[asked.place],
        at
    FROM unnest(ids, resend_ids, outcomes) WITH ORDINALITY AS asked (id, resend_id, outcome, place)
    WHERE asked.outcome IN ('not_on_sale', 'limit_reached', 'sold_out', 'hold_expired')
    ON CONFLICT DO NOTHING;

    IF FOUND THEN
        UPDATE ticketing_private.ticket_options AS option
        SET has_refused_resends = true
        WHERE option.id = option_id
            AND NOT option.has_refused_resends;
    END IF;
END
$function$;

COMMENT ON FUNCTION ticketing_private.store_refusals(uuid, uuid[], uuid[], text[], jsonb[], timestamptz) IS
'Stores what was refused of a call that was sent again.';
