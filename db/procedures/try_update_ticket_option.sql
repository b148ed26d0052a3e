-- try_update_ticket_option(option_id, changes [, lock_wait_ms])
--
-- Changes an option as a JSON Merge Patch says: name, desc, capacity,
-- max_per_purchase, max_per_user, on_sale_from, on_sale_until, paused. What it does
-- not name stays, and null takes a limit or a moment away, and ends a pause.
-- Returns a row with the outcome, and the option as it is then:
--
--     updated          it is as asked
--     capacity_in_use  more than that is sold and held, as the row says; nothing
--                      was changed
--     not_found        there is no such option
--
-- capacity is all tickets, sold and held ones included: what is more or less goes
-- to the allocation. Each change of it is written down.
--
-- It waits for the option's lock for at most lock_wait_ms, and then raises 55P03.
--
-- Raises TK003, with nothing changed, for a member that there is not, or that is of
-- the wrong type or out of range.

CREATE OR REPLACE FUNCTION ticketing.try_update_ticket_option(
    option_id uuid,
    changes jsonb,
    lock_wait_ms integer DEFAULT NULL,
    OUT outcome text,
    OUT id uuid,
    OUT name text,
    OUT "desc" text,
    OUT allocation integer,
    OUT more json,
    OUT capacity integer,
    OUT sold integer,
    OUT held integer
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    broken_constraint text;
    happens_at timestamptz;
    before ticketing_private.ticket_options;
    changed ticketing_private.ticket_options;
    ended_tickets integer := 0;
BEGIN
    PERFORM ticketing_private.require_changes(changes);
    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    SELECT *
    INTO before
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        outcome := 'not_found';
        RETURN;
    END IF;

    happens_at := ticketing_private.clock();
    changed := before;
    changed.name := CASE WHEN changes ? 'name' THEN changes ->> 'name' ELSE before.name END;
    changed.description := CASE WHEN changes ? 'desc' THEN changes ->> 'desc' ELSE before.description END;
    changed.capacity := CASE
        WHEN changes ? 'capacity' THEN (changes ->> 'capacity')::integer
        ELSE before.capacity
    END;
    changed.max_per_purchase := CASE
        WHEN changes ? 'max_per_purchase' THEN (changes ->> 'max_per_purchase')::integer
        ELSE before.max_per_purchase
    END;
    changed.max_per_user := CASE
        WHEN changes ? 'max_per_user' THEN (changes ->> 'max_per_user')::integer
        ELSE before.max_per_user
    END;
    changed.on_sale_from := CASE
        WHEN changes ? 'on_sale_from' THEN (changes ->> 'on_sale_from')::timestamptz
        ELSE before.on_sale_from
    END;
    changed.on_sale_until := CASE
        WHEN changes ? 'on_sale_until' THEN (changes ->> 'on_sale_until')::timestamptz
        ELSE before.on_sale_until
    END;
    changed.paused := CASE
        WHEN changes ? 'paused' THEN coalesce((changes ->> 'paused')::boolean, false)
        ELSE before.paused
    END;

    PERFORM ticketing_private.check_rules(
        changed.max_per_purchase, changed.max_per_user, changed.on_sale_from, changed.on_sale_until
    );

    sold := before.capacity - before.allocation - before.held;

    -- Holds that ran out are in nobody's way.
    IF changed.capacity::bigint < sold::bigint + before.held AND before.held > 0 THEN
        SELECT ended.tickets
        INTO ended_tickets
        FROM ticketing_private.expire_holds(
            option_id, sold::bigint + before.held - changed.capacity, 9223372036854775807, happens_at
        ) AS ended;
    END IF;

    changed.held := before.held - ended_tickets;

    IF changed.capacity::bigint < sold::bigint + changed.held THEN
        outcome := 'capacity_in_use';
        changed := before;
        changed.held := before.held - ended_tickets;
    ELSE
        outcome := 'updated';
        changed.created_as := coalesce(
            before.created_as,
            ticketing_private.values_of_option(
                before.name, before.description, before.capacity, before.max_per_purchase,
                before.max_per_user, before.on_sale_from, before.on_sale_until, before.paused
            )
        );
    END IF;

    changed.allocation := changed.capacity - sold - changed.held;

    UPDATE ticketing_private.ticket_options AS option
    SET
        name = changed.name,
        description = changed.description,
        capacity = changed.capacity,
        allocation = changed.allocation,
        held = changed.held,
        max_per_purchase = changed.max_per_purchase,
        max_per_user = changed.max_per_user,
        on_sale_from = changed.on_sale_from,
        on_sale_until = changed.on_sale_until,
        paused = changed.paused,
        created_as = changed.created_as,
        updated_at = greatest(option.updated_at, happens_at)
    WHERE option.id = option_id;

    IF changed.capacity <> before.capacity THEN
        INSERT INTO ticketing_private.capacity_changes (
            ticket_option_id, number, capacity_before, capacity_after, changed_at
        )
        SELECT
            option_id,
            count(*) + 1,
            before.capacity,
            changed.capacity,
            happens_at
        FROM ticketing_private.capacity_changes AS earlier
        WHERE earlier.ticket_option_id = option_id;
    END IF;

    ended_tickets := CASE
        WHEN changed.held > 0 THEN ticketing_private.ran_out(option_id, happens_at)
        ELSE 0
    END;
    id := option_id;
    name := changed.name;
    "desc" := changed.description;
    allocation := changed.allocation + ended_tickets;
    more := ticketing_private.more_members(
        changed.max_per_purchase, changed.max_per_user,
        changed.on_sale_from, changed.on_sale_until, changed.paused
    );
    capacity := changed.capacity;
    held := changed.held - ended_tickets;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', ticketing_private.message_of_constraint(broken_constraint)
            USING ERRCODE = 'TK003',
                  HINT = 'Pass a name of 1 to 255 characters, a desc of at most 10000 characters, '
                      'an allocation from 0 to 2147483647, limits from 1 to 2147483647 or none, '
                      'and an on_sale_from before on_sale_until, or none.';
END
$function$;

COMMENT ON FUNCTION ticketing.try_update_ticket_option(uuid, jsonb, integer) IS
'Changes a ticket option as a JSON Merge Patch says, and returns the outcome and the option:
    updated          it is as asked
    capacity_in_use  more than that is sold and held; nothing was changed
    not_found        there is no such ticket option
Raises TK003, with nothing changed, for what cannot be.';

GRANT EXECUTE ON FUNCTION ticketing.try_update_ticket_option(uuid, jsonb, integer)
    TO ticketing_service, ticketing_operator;
