-- purchase_tickets(option_id, user_id, qty [, purchase_id])
--
-- Sells qty tickets of a ticket option to a user and returns the purchase's id.
-- This is purchase_tickets_of_one.sql for people, who want errors rather than
-- outcomes.
--
-- Pass a purchase_id of your own to be able to retry a call whose outcome you
-- did not see: the same id with the same user and qty sells nothing more and
-- returns the id again.
--
-- Raises, with nothing taken:
--
--     TK001  the ticket option does not exist
--     TK002  fewer tickets are left than requested
--     TK003  an argument is missing or out of range
--     TK004  purchase_id already exists with a different user or quantity

CREATE OR REPLACE FUNCTION ticketing.purchase_tickets(
    option_id uuid,
    user_id uuid,
    qty integer,
    purchase_id uuid DEFAULT gen_random_uuid()
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    outcome text;
    remaining integer;
BEGIN
    IF option_id IS NULL OR user_id IS NULL OR purchase_id IS NULL OR qty IS NULL OR qty < 1 THEN
        RAISE EXCEPTION 'no argument may be NULL and qty must be at least 1: got %, %, %, %',
            coalesce(option_id::text, 'NULL'),
            coalesce(user_id::text, 'NULL'),
            coalesce(qty::text, 'NULL'),
            coalesce(purchase_id::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'Pass an option_id, a user_id and a qty from 1 to 2147483647.';
    END IF;

    outcome := (
        ticketing.purchase_tickets(option_id, ARRAY[purchase_id], ARRAY[user_id], ARRAY[qty])
    )[1];

    CASE outcome
        WHEN 'created', 'exists' THEN
            NULL;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'ticket option % does not exist', option_id
                USING ERRCODE = 'TK001',
                      HINT = 'See what is on sale: select id, name, allocation from ticketing.ticket_options;';
        WHEN 'exists_different' THEN
            RAISE EXCEPTION 'purchase % already exists with a different user or quantity', purchase_id
                USING ERRCODE = 'TK004',
                      HINT = format(
                          'See it: select * from ticketing.get_purchase(%L, %L);', option_id, purchase_id
                      );
        WHEN 'sold_out' THEN
            SELECT option.allocation
            INTO remaining
            FROM ticketing_private.ticket_options AS option
            WHERE option.id = option_id;

            RAISE EXCEPTION 'not enough tickets left: % requested, % available', qty, remaining
                USING ERRCODE = 'TK002',
                      DETAIL = format('Ticket option: %s', option_id),
                      HINT = CASE
                          WHEN remaining > 0 THEN format('Request at most %s.', remaining)
                          ELSE 'The ticket option is sold out.'
                      END;
    END CASE;

    RETURN purchase_id;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets(uuid, uuid, integer, uuid) IS
'Sells qty tickets of a ticket option to a user and returns the purchase''s id:
    select purchase_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  the ticket option does not exist
    TK002  fewer tickets are left than requested
    TK003  an argument is missing or out of range
    TK004  purchase_id already exists with a different user or quantity
A call with a purchase_id can be retried: it sells once.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets(uuid, uuid, integer, uuid)
    TO ticketing_operator;
