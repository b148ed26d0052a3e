-- update_ticket_option(option_id, changes)
--
-- Changes an option as a JSON Merge Patch says, and returns its id: the face of
-- try_update_ticket_option.sql for people, who want errors, not outcomes.
--
-- Raises, with nothing changed:
--
--     TK001  there is no such ticket option
--     TK003  a change cannot be
--     TK007  more than the capacity is sold and held

CREATE OR REPLACE FUNCTION ticketing.update_ticket_option(
    option_id uuid,
    changes jsonb
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    updated CONSTANT record := ticketing.try_update_ticket_option(option_id, changes);
BEGIN
    CASE updated.outcome
        WHEN 'updated' THEN
            NULL;
        WHEN 'not_found' THEN
            RAISE EXCEPTION 'ticket option % does not exist', option_id
                USING ERRCODE = 'TK001',
                      HINT = 'See what is on sale: select id, name, allocation from ticketing.ticket_options;';
        WHEN 'capacity_in_use' THEN
            RAISE EXCEPTION 'a capacity of % is too low: % sold, and % held',
                changes ->> 'capacity',
                CASE updated.sold WHEN 1 THEN '1 ticket is' ELSE format('%s tickets are', updated.sold) END,
                CASE updated.held WHEN 1 THEN '1 is' ELSE format('%s are', updated.held) END
                USING ERRCODE = 'TK007',
                      HINT = format(
                          'Give a capacity of %s or more. To sell no more meanwhile: '
                          'select ticketing.update_ticket_option(%L, ''{"paused": true}'');',
                          updated.sold + updated.held, option_id
                      );
    END CASE;

    RETURN option_id;
END
$function$;

COMMENT ON FUNCTION ticketing.update_ticket_option(uuid, jsonb) IS
'Changes a ticket option as a JSON Merge Patch says, and returns its id:
    select update_ticket_option(''<option>'', ''{"capacity": 200, "max_per_user": 4}'');
Raises, with nothing changed:
    TK001  there is no such ticket option
    TK003  a change cannot be
    TK007  more than the capacity is sold and held';

GRANT EXECUTE ON FUNCTION ticketing.update_ticket_option(uuid, jsonb)
    TO ticketing_operator;
