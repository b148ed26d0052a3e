-- purchase_tickets(option_id, user_id, qty [, purchase_id])
--
-- Sells qty tickets of a ticket option to a user and returns the purchase's id: the
-- face of try_purchase_tickets.sql for people, who want errors, not outcomes.
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
--     TK005  the option is not on sale
--     TK006  the user may not have as many

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
    sold record;
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

    sold := ticketing_private.take_tickets_of_one(
        option_id, ARRAY[purchase_id], ARRAY[user_id], ARRAY[qty], NULL, NULL, true
    );

    IF sold.outcomes[1] = 'refused_before' THEN
        sold := ticketing_private.take_tickets_of_one(
            option_id, ARRAY[purchase_id], ARRAY[user_id], ARRAY[qty], NULL, ARRAY[gen_random_uuid()], true
        );
    END IF;

    IF sold.outcomes[1] = 'exists_different' THEN
        RAISE EXCEPTION 'purchase % already exists with a different user or quantity', purchase_id
            USING ERRCODE = 'TK004',
                  HINT = format(
                      'See it: select * from ticketing.describe_purchase(%L, %L);', option_id, purchase_id
                  );
    END IF;

    PERFORM ticketing_private.raise_refusal(option_id, qty, sold.outcomes[1], sold.details[1]);

    RETURN purchase_id;
END
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets(uuid, uuid, integer, uuid) IS
'Sells qty tickets of a ticket option to a user and returns the purchase''s id:
    select purchase_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  there is no such ticket option
    TK002  fewer tickets are left than were asked for
    TK003  an argument is missing or out of range
    TK004  purchase_id is stored with another user or quantity
    TK005  the option is not on sale
    TK006  the user may not have as many
The same purchase_id with the same user and qty may be sent again: it sells once.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets(uuid, uuid, integer, uuid)
    TO ticketing_operator;
