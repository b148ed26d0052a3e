-- purchase_hold(option_id, hold_id)
--
-- Turns a hold into a purchase with the same id, and returns that: the face of
-- try_purchase_holds.sql for people, who want errors, not outcomes. It may be sent
-- again. A hold that ran out is purchased too, if its tickets are still free and
-- the user may have them.
--
-- Raises, with nothing sold:
--
--     TK001  there is no such hold
--     TK003  an argument is missing
--     TK004  the id is stored as a purchase that was made otherwise
--     TK008  the hold ran out, and its tickets are not to be had any more
--     TK009  the hold was released

CREATE OR REPLACE FUNCTION ticketing.purchase_hold(
    option_id uuid,
    hold_id uuid
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    outcome text;
BEGIN
    IF option_id IS NULL OR hold_id IS NULL THEN
        RAISE EXCEPTION 'option_id and hold_id are needed'
            USING ERRCODE = 'TK003',
                  HINT = 'List the holds: select ticket_option_id, id, state from ticketing.holds;';
    END IF;

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    outcome := (ticketing_private.purchase_holds_of_many(ARRAY[option_id], ARRAY[hold_id], NULL))[1];

    IF outcome = 'refused_before' THEN
        outcome := (
            ticketing_private.purchase_holds_of_many(
                ARRAY[option_id], ARRAY[hold_id], ARRAY[gen_random_uuid()]
            )
        )[1];
    END IF;

    CASE outcome
        WHEN 'created', 'exists' THEN
            NULL;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'there is no hold % of ticket option %', hold_id, option_id
                USING ERRCODE = 'TK001',
                      HINT = format(
                          'List its holds: select id, user_id, quantity, state from ticketing.holds '
                          'where ticket_option_id = %L;', option_id
                      );
        WHEN 'exists_different' THEN
            RAISE EXCEPTION '% is stored as a purchase that was not made from the hold', hold_id
                USING ERRCODE = 'TK004',
                      HINT = format(
                          'See it: select * from ticketing.describe_purchase(%L, %L);', option_id, hold_id
                      );
        WHEN 'hold_released' THEN
            RAISE EXCEPTION 'hold % was released', hold_id
                USING ERRCODE = 'TK009',
                      HINT = 'Its tickets are on sale again: hold or purchase them anew.';
        WHEN 'hold_expired' THEN
            RAISE EXCEPTION 'hold % ran out, and its tickets are not to be had any more', hold_id
                USING ERRCODE = 'TK008',
                      HINT = format('See what is left: select * from ticketing.get_availability(%L);', option_id);
    END CASE;

    RETURN hold_id;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_hold(uuid, uuid) IS
'Turns a hold into a purchase with the same id, and returns that:
    select purchase_hold(''<option>'', ''<hold>'');
Raises, with nothing sold:
    TK001  there is no such hold
    TK003  an argument is missing
    TK004  the id is stored as a purchase that was made otherwise
    TK008  the hold ran out, and its tickets are not to be had any more
    TK009  the hold was released
It may be sent again: it sells once.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_hold(uuid, uuid)
    TO ticketing_operator;
