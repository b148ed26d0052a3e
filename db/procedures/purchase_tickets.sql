-- purchase_tickets(option_id, user_id, qty [, purchase_id])
--
-- Sells qty tickets of an option to a user and returns the purchase's id: the
-- face of purchase_tickets_of_one.sql for people, who want errors, not outcomes.
--
-- Give a purchase_id of your own to be able to repeat a call whose outcome you
-- did not see: the same id with the same user and qty sells nothing again and
-- returns the id once more.
--
-- Raises, with nothing taken:
--
--     TK001  there is no such ticket option
--     TK002  fewer tickets are left than were asked for
--     TK003  an argument is missing or out of range
--     TK004  purchase_id is stored with another user or quantity

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
        RAISE EXCEPTION 'option_id, user_id and qty are needed, and qty is at least 1: got %, %, %',
            coalesce(option_id::text, 'NULL'), coalesce(user_id::text, 'NULL'), coalesce(qty::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'Give an option_id, a user_id and a qty from 1 to 2147483647.';
    END IF;

    outcome := (
        ticketing.purchase_tickets(option_id, ARRAY[purchase_id], ARRAY[user_id], ARRAY[qty])
    )[1];

    CASE outcome
        WHEN 'created', 'exists' THEN
            RETURN purchase_id;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'there is no ticket option %', option_id
                USING ERRCODE = 'TK001',
                      HINT = 'List what is on sale: select id, name, allocation from ticketing.ticket_options;';
        WHEN 'exists_different' THEN
            RAISE EXCEPTION 'purchase % is stored with another user or quantity', purchase_id
                USING ERRCODE = 'TK004',
                      HINT = format(
                          'See it: select * from ticketing.get_purchase(%L, %L);', option_id, purchase_id
                      );
        WHEN 'sold_out' THEN
            SELECT option.allocation
            INTO remaining
            FROM ticketing_private.ticket_options AS option
            WHERE option.id = option_id;

            RAISE EXCEPTION '% asked for, % left',
                CASE qty WHEN 1 THEN '1 ticket was' ELSE format('%s tickets were', qty) END,
                CASE remaining WHEN 1 THEN '1 is' ELSE format('%s are', remaining) END
                USING ERRCODE = 'TK002',
                      DETAIL = format('Ticket option: %s', option_id),
                      HINT = CASE
                          WHEN remaining > 0 THEN format('Ask for %s or fewer.', remaining)
                          ELSE 'The ticket option is sold out.'
                      END;
    END CASE;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets(uuid, uuid, integer, uuid) IS
'Sells qty tickets of an option to a user and returns the purchase''s id:
    select purchase_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  there is no such ticket option
    TK002  fewer tickets are left than were asked for
    TK003  an argument is missing or out of range
    TK004  purchase_id is stored with another user or quantity
The same purchase_id with the same user and qty may be sent again: it sells once.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets(uuid, uuid, integer, uuid)
    TO ticketing_operator;
