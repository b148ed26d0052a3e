-- return_tickets(option_id, purchase_id [, remaining])
--
-- Gives tickets of a purchase back, all but those that are to remain, and returns
-- how many that were: the face of try_return_tickets.sql for people. It may be
-- sent again, and then gives back 0.
--
-- Raises, with nothing given back:
--
--     TK001  there is no such purchase
--     TK003  remaining is below 0
--     TK011  more are to remain than it has

CREATE OR REPLACE FUNCTION ticketing.return_tickets(
    option_id uuid,
    purchase_id uuid,
    remaining integer DEFAULT 0
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    returned record;
BEGIN
    returned := ticketing.try_return_tickets(option_id, purchase_id, remaining);

    CASE returned.outcome
        WHEN 'returned', 'unchanged' THEN
            NULL;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'there is no purchase % of ticket option %', purchase_id, option_id
                USING ERRCODE = 'TK001',
                      HINT = 'List the purchases: select ticket_option_id, id, user_id, quantity from ticketing.purchases;';
        WHEN 'too_many' THEN
            RAISE EXCEPTION '% to remain, and the purchase has %',
                CASE remaining WHEN 1 THEN '1 ticket is' ELSE format('%s tickets are', remaining) END,
                returned.quantity
                USING ERRCODE = 'TK011',
                      HINT = format('Give a number from 0 to %s: what the purchase is to keep.', returned.quantity);
    END CASE;

    RETURN CASE returned.outcome WHEN 'returned' THEN returned.given_back ELSE 0 END;
END
$function$;

COMMENT ON FUNCTION ticketing.return_tickets(uuid, uuid, integer) IS
'Gives tickets of a purchase back, all but those that are to remain, and returns how many:
    select return_tickets(''<option>'', ''<purchase>'');
Raises, with nothing given back:
    TK001  there is no such purchase
    TK003  remaining is below 0
    TK011  more are to remain than it has
It may be sent again, and then gives back 0.';

GRANT EXECUTE ON FUNCTION ticketing.return_tickets(uuid, uuid, integer)
    TO ticketing_operator;
