-- release_hold(option_id, hold_id)
--
-- Gives the tickets of a hold back, and returns what the hold is then: released,
-- or expired when it had run out. The face of try_release_hold.sql for people. It
-- may be sent again: they are given back once.
--
-- Raises, with nothing given back:
--
--     TK001  there is no such hold
--     TK010  it is a purchase by now

CREATE OR REPLACE FUNCTION ticketing.release_hold(
    option_id uuid,
    hold_id uuid
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    outcome CONSTANT text := ticketing.try_release_hold(option_id, hold_id);
BEGIN
    CASE outcome
        WHEN 'released', 'exists', 'expired' THEN
            NULL;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'there is no hold % of ticket option %', hold_id, option_id
                USING ERRCODE = 'TK001',
                      HINT = 'List the holds: select ticket_option_id, id, state from ticketing.holds;';
        WHEN 'hold_purchased' THEN
            RAISE EXCEPTION 'hold % was purchased', hold_id
                USING ERRCODE = 'TK010',
                      HINT = format(
                          'Give the purchase back instead: select ticketing.return_tickets(%L, %L);',
                          option_id, hold_id
                      );
    END CASE;

    RETURN CASE outcome WHEN 'expired' THEN 'expired' ELSE 'released' END;
END
$function$;

COMMENT ON FUNCTION ticketing.release_hold(uuid, uuid) IS
'Gives the tickets of a hold back, once, and returns what the hold is then:
    select release_hold(''<option>'', ''<hold>'');
Raises, with nothing given back:
    TK001  there is no such hold
    TK010  it is a purchase by now';

GRANT EXECUTE ON FUNCTION ticketing.release_hold(uuid, uuid)
    TO ticketing_operator;
