--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: ticketing; Type: SCHEMA; Schema: -; Owner: ticketing_owner
--

CREATE SCHEMA ticketing;

ALTER SCHEMA ticketing OWNER TO ticketing_owner;

--
-- Name: SCHEMA ticketing; Type: COMMENT; Schema: -; Owner: ticketing_owner
--

COMMENT ON SCHEMA ticketing IS 'Ticket allocation: the functions and views that clients and operators use.';

--
-- Name: ticketing_private; Type: SCHEMA; Schema: -; Owner: ticketing_owner
--

CREATE SCHEMA ticketing_private;

ALTER SCHEMA ticketing_private OWNER TO ticketing_owner;

--
-- Name: SCHEMA ticketing_private; Type: COMMENT; Schema: -; Owner: ticketing_owner
--

COMMENT ON SCHEMA ticketing_private IS 'Ticket allocation: the tables, and what the functions share. Reached only through the schema ticketing.';

--
-- Name: audit_allocations(); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.audit_allocations() RETURNS TABLE(ticket_option_id uuid, name text, capacity integer, allocation integer, held bigint, sold bigint, missing bigint, findings text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_nestloop TO 'off'
    AS $$
    WITH given_back AS (
        SELECT
            given_back.ticket_option_id,
            given_back.purchase_id,
            sum(given_back.quantity) AS quantity,
            max(given_back.returned_at) AS returned_at
        FROM ticketing_private.returns AS given_back
        GROUP BY
            given_back.ticket_option_id,
            given_back.purchase_id
    ),
    sale AS (
        SELECT
            purchase.ticket_option_id,
            sum(purchase.quantity - coalesce(given_back.quantity, 0)) AS quantity,
            count(*) FILTER (
                WHERE purchase.returned <> coalesce(given_back.quantity, 0)
                    OR purchase.cancelled_at IS DISTINCT FROM given_back.returned_at
            ) AS wrong_returns
        FROM ticketing_private.purchases AS purchase
        LEFT JOIN given_back
            ON given_back.ticket_option_id = purchase.ticket_option_id
            AND given_back.purchase_id = purchase.id
        GROUP BY purchase.ticket_option_id
    ),
    hold AS (
        SELECT
            hold.ticket_option_id,
            sum(hold.quantity) FILTER (WHERE hold.state = 'held') AS quantity,
            count(*) FILTER (
                WHERE hold.state = 'purchased'
                    AND (
                        purchase.user_id IS DISTINCT FROM hold.user_id
                        OR purchase.quantity IS DISTINCT FROM hold.quantity
                        OR purchase.created_at IS DISTINCT FROM hold.purchased_at
                    )
            ) AS without_purchase
        FROM ticketing_private.holds AS hold
        LEFT JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = hold.ticket_option_id
            AND purchase.id = hold.id
        GROUP BY hold.ticket_option_id
    ),
    change AS (
        SELECT
            change.ticket_option_id,
            (array_agg(change.capacity_after ORDER BY change.number DESC))[1] AS capacity,
            bool_or(change.capacity_before <> change.capacity_earlier OR change.number <> change.place) AS is_broken
        FROM (
            SELECT
                change.*,
                lag(change.capacity_after) OVER of_option AS capacity_earlier,
                row_number() OVER of_option AS place
            FROM ticketing_private.capacity_changes AS change
            WINDOW of_option AS (PARTITION BY change.ticket_option_id ORDER BY change.number)
        ) AS change
        GROUP BY change.ticket_option_id
    ),
    found AS (
        SELECT
            coalesce(option.id, sale.ticket_option_id, hold.ticket_option_id) AS id,
            option.name,
            option.capacity,
            option.allocation,
            option.id IS NULL AS is_option_missing,
            coalesce(hold.quantity, 0)::bigint AS held,
            coalesce(sale.quantity, 0)::bigint AS sold,
            (
                option.capacity::bigint - option.allocation
                - coalesce(hold.quantity, 0) - coalesce(sale.quantity, 0)
            )::bigint AS missing,
            option.held <> coalesce(hold.quantity, 0) AS is_held_wrong,
            coalesce(sale.wrong_returns, 0) AS wrong_returns,
            coalesce(hold.without_purchase, 0) AS without_purchase,
            coalesce(change.is_broken, false) OR change.capacity <> option.capacity AS is_capacity_wrong
        FROM ticketing_private.ticket_options AS option
        FULL JOIN sale ON sale.ticket_option_id = option.id
        FULL JOIN hold ON hold.ticket_option_id = coalesce(option.id, sale.ticket_option_id)
        LEFT JOIN change ON change.ticket_option_id = option.id
    )
    SELECT *
    FROM (
        SELECT
            found.id,
            found.name,
            found.capacity,
            found.allocation,
            found.held,
            found.sold,
            found.missing,
            nullif(
                concat_ws(
                    '; ',
                    CASE WHEN found.is_option_missing THEN 'the ticket option is missing' END,
                    'tickets lost: ' || nullif(greatest(found.missing, 0), 0),
                    'tickets oversold: ' || nullif(greatest(-found.missing, 0), 0),
                    CASE WHEN found.is_held_wrong THEN 'what is held is not what the holds have' END,
                    CASE WHEN found.wrong_returns > 0 THEN 'what was given back is not what the returns say' END,
                    CASE WHEN found.without_purchase > 0 THEN 'a purchased hold is not the purchase' END,
                    CASE WHEN found.is_capacity_wrong THEN 'the capacity is not what its changes say' END
                ),
                ''
            ) AS findings
        FROM found
    ) AS option
    WHERE option.findings IS NOT NULL
    ORDER BY option.id;
$$;

ALTER FUNCTION ticketing.audit_allocations() OWNER TO ticketing_owner;

--
-- Name: FUNCTION audit_allocations(); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.audit_allocations() IS 'The options whose numbers do not add up, and what is wrong with them:
    select * from audit_allocations();
It returns no row, always.';

--
-- Name: change_capacity(uuid, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.change_capacity(option_id uuid, by integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    wanted bigint;
BEGIN
    SELECT option.capacity::bigint + by
    INTO wanted
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    IF FOUND AND (wanted BETWEEN 0 AND 2147483647) IS NOT TRUE THEN
        RAISE EXCEPTION 'the capacity cannot change by %', coalesce(by::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = format(
                      'It is %s, and may be from 0 to 2147483647.',
                      (
                          SELECT option.capacity
                          FROM ticketing_private.ticket_options AS option
                          WHERE option.id = option_id
                      )
                  );
    END IF;

    PERFORM ticketing.update_ticket_option(
        option_id, jsonb_build_object('capacity', CASE WHEN FOUND THEN wanted ELSE 0 END)
    );

    RETURN wanted::integer;
END
$$;

ALTER FUNCTION ticketing.change_capacity(option_id uuid, by integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION change_capacity(option_id uuid, by integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.change_capacity(option_id uuid, by integer) IS 'Adds tickets to an option, or takes some away, and returns its capacity:
    select change_capacity(''<option>'', 50);
Raises, with nothing changed:
    TK001  there is no such ticket option
    TK003  it is missing, or the capacity would be out of range
    TK007  more than that is sold and held
It must not be sent again: it would change the capacity twice.';

--
-- Name: create_ticket_option(text, text, integer, uuid, integer, integer, timestamp with time zone, timestamp with time zone, boolean); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid DEFAULT gen_random_uuid(), max_per_purchase integer DEFAULT NULL::integer, max_per_user integer DEFAULT NULL::integer, on_sale_from timestamp with time zone DEFAULT NULL::timestamp with time zone, on_sale_until timestamp with time zone DEFAULT NULL::timestamp with time zone, paused boolean DEFAULT false) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    outcome CONSTANT text := ticketing.try_create_ticket_option(
        option_id, name, "desc", allocation, max_per_purchase, max_per_user,
        on_sale_from, on_sale_until, paused
    );
    stored jsonb;
BEGIN
    IF outcome = 'exists_different' THEN
        SELECT coalesce(
            option.created_as,
            ticketing_private.values_of_option(
                option.name, option.description, option.capacity, option.max_per_purchase,
                option.max_per_user, option.on_sale_from, option.on_sale_until, option.paused
            )
        )
        INTO stored
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        RAISE EXCEPTION 'ticket option % already exists with different values', option_id
            USING ERRCODE = 'TK004',
                  HINT = format(
                      'A retry must use the stored values: '
                      'select ticketing.create_ticket_option(%L, %L, %s, %L%s);',
                      stored ->> 'name', stored ->> 'desc', stored ->> 'allocation', option_id,
                      (
                          SELECT string_agg(format(', %s => %L', rule.name, stored ->> rule.name), '')
                          FROM unnest(
                              ARRAY['max_per_purchase', 'max_per_user', 'on_sale_from', 'on_sale_until', 'paused']
                          ) AS rule (name)
                          WHERE coalesce(stored ->> rule.name, 'false') <> 'false'
                      )
                  );
    END IF;

    RETURN option_id;
END
$$;

ALTER FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) OWNER TO ticketing_owner;

--
-- Name: FUNCTION create_ticket_option(name text, "desc" text, allocation integer, option_id uuid, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) IS 'Puts a ticket option on sale with the given number of tickets, and returns its id:
    select create_ticket_option(''Evening show'', ''Stalls'', 100);
    select create_ticket_option(''Evening show'', ''Stalls'', 100, max_per_user => 4);
Raises, with nothing stored:
    TK003  an argument is missing or out of range
    TK004  option_id was created with other values
The same option_id with the same values may be sent again: it creates one option.';

--
-- Name: describe_purchase(uuid, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid) RETURNS TABLE(id uuid, ticket_option_id uuid, user_id uuid, quantity integer, created_at timestamp with time zone, purchased_quantity integer, cancelled_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT
        purchase.id,
        purchase.ticket_option_id,
        purchase.user_id,
        purchase.quantity - purchase.returned,
        purchase.created_at,
        CASE WHEN purchase.returned > 0 THEN purchase.quantity END,
        purchase.cancelled_at
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id;
$$;

ALTER FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION describe_purchase(option_id uuid, purchase_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid) IS 'The purchase as one row, with what was given back of it, or no row when there is none:
    select * from describe_purchase(''<option>'', ''<purchase>'');';

--
-- Name: describe_ticket_options(uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) RETURNS TABLE(id uuid, name text, "desc" text, allocation integer, more json)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END,
        CASE
            WHEN option.paused
                OR num_nonnulls(
                    option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                ) > 0
                THEN ticketing_private.more_members(
                    option.max_per_purchase, option.max_per_user,
                    option.on_sale_from, option.on_sale_until, option.paused
                )
        END
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = ANY (option_ids);
END
$$;

ALTER FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION describe_ticket_options(option_ids uuid[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) IS 'Those of the ticket options that there are, with all that is shown of them, a row each, in no order.';

--
-- Name: get_availability(uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_availability(option_id uuid) RETURNS TABLE(capacity integer, sold integer, held integer, available integer, on_sale boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    at CONSTANT timestamptz := ticketing_private.clock();
BEGIN
    RETURN QUERY
    SELECT
        option.capacity,
        option.capacity - option.allocation - option.held,
        option.held - option.ran_out,
        option.allocation + option.ran_out,
        NOT option.paused
            AND at >= coalesce(option.on_sale_from, '-infinity')
            AND at < coalesce(option.on_sale_until, 'infinity')
    FROM (
        SELECT
            stored.*,
            CASE WHEN stored.held > 0 THEN ticketing_private.ran_out(stored.id, at) ELSE 0 END AS ran_out
        FROM ticketing_private.ticket_options AS stored
        WHERE stored.id = option_id
        OFFSET 0
    ) AS option;
END
$$;

ALTER FUNCTION ticketing.get_availability(option_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION get_availability(option_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.get_availability(option_id uuid) IS 'How the capacity of a ticket option is made up at this moment, as one row:
    select * from get_availability(''<option>'');
capacity = sold + held + available.';

--
-- Name: get_hold(uuid, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_hold(option_id uuid, hold_id uuid) RETURNS TABLE(id uuid, ticket_option_id uuid, user_id uuid, quantity integer, state text, created_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        hold.id,
        hold.ticket_option_id,
        hold.user_id,
        hold.quantity,
        ticketing_private.state_of_hold(hold.state, hold.expires_at),
        hold.created_at,
        hold.expires_at
    FROM ticketing_private.holds AS hold
    WHERE hold.ticket_option_id = option_id
        AND hold.id = hold_id;
END
$$;

ALTER FUNCTION ticketing.get_hold(option_id uuid, hold_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION get_hold(option_id uuid, hold_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.get_hold(option_id uuid, hold_id uuid) IS 'The hold as one row, or no row when there is none:
    select * from get_hold(''<option>'', ''<hold>'');';

--
-- Name: get_purchase(uuid, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) RETURNS TABLE(id uuid, ticket_option_id uuid, user_id uuid, quantity integer, created_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT
        purchase.id,
        purchase.ticket_option_id,
        purchase.user_id,
        purchase.quantity - purchase.returned,
        purchase.created_at
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id;
$$;

ALTER FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION get_purchase(option_id uuid, purchase_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) IS 'The purchase as one row, or no row if it does not exist:
    select * from get_purchase(''<option>'', ''<purchase>'');';

--
-- Name: get_ticket_option(uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_ticket_option(option_id uuid) RETURNS TABLE(id uuid, name text, "desc" text, allocation integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;
END
$$;

ALTER FUNCTION ticketing.get_ticket_option(option_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION get_ticket_option(option_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.get_ticket_option(option_id uuid) IS 'The ticket option as one row, or no row if it does not exist:
    select * from get_ticket_option(''<option>'');
allocation is the number of tickets that can still be purchased.';

--
-- Name: get_ticket_options(uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_ticket_options(option_ids uuid[]) RETURNS TABLE(id uuid, name text, "desc" text, allocation integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = ANY (option_ids);
END
$$;

ALTER FUNCTION ticketing.get_ticket_options(option_ids uuid[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION get_ticket_options(option_ids uuid[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.get_ticket_options(option_ids uuid[]) IS 'One row per existing ticket option, in no particular order.';

--
-- Name: hold_tickets(uuid, uuid, integer, integer, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer DEFAULT 600, hold_id uuid DEFAULT gen_random_uuid()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    held record;
BEGIN
    IF option_id IS NULL OR user_id IS NULL OR hold_id IS NULL OR qty IS NULL OR qty < 1 THEN
        RAISE EXCEPTION 'no argument may be NULL and qty must be at least 1: got %, %, %, %',
            coalesce(option_id::text, 'NULL'),
            coalesce(user_id::text, 'NULL'),
            coalesce(qty::text, 'NULL'),
            coalesce(hold_id::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'Pass an option_id, a user_id and a qty from 1 to 2147483647.';
    END IF;

    PERFORM ticketing_private.require_holds(ARRAY[hold_id], ARRAY[expires_in_seconds]);

    held := ticketing_private.take_tickets_of_one(
        option_id, ARRAY[hold_id], ARRAY[user_id], ARRAY[qty], ARRAY[expires_in_seconds], NULL, true
    );

    IF held.outcomes[1] = 'refused_before' THEN
        held := ticketing_private.take_tickets_of_one(
            option_id, ARRAY[hold_id], ARRAY[user_id], ARRAY[qty], ARRAY[expires_in_seconds],
            ARRAY[gen_random_uuid()], true
        );
    END IF;

    IF held.outcomes[1] = 'exists_different' THEN
        RAISE EXCEPTION 'hold % already exists with a different user, quantity or time', hold_id
            USING ERRCODE = 'TK004',
                  HINT = format('See it: select * from ticketing.get_hold(%L, %L);', option_id, hold_id);
    END IF;

    PERFORM ticketing_private.raise_refusal(option_id, qty, held.outcomes[1], held.details[1]);

    RETURN hold_id;
END
$$;

ALTER FUNCTION ticketing.hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer, hold_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer, hold_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer, hold_id uuid) IS 'Keeps qty tickets of an option for a user, for ten minutes, and returns the hold''s id:
    select hold_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  there is no such ticket option
    TK002  fewer tickets are left than were asked for
    TK003  an argument is missing or out of range
    TK004  hold_id is stored with other values
    TK005  the option is not on sale
    TK006  the user may not have as many
The same hold_id with the same values may be sent again: it holds once.';

--
-- Name: installed_files(); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.installed_files() RETURNS TABLE(path text, sha256 text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT
        file.path,
        file.sha256
    FROM ticketing_private.installed_files AS file
    ORDER BY file.path;
$$;

ALTER FUNCTION ticketing.installed_files() OWNER TO ticketing_owner;

--
-- Name: FUNCTION installed_files(); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.installed_files() IS 'The migrations and procedures that this database was built from, each with the SHA-256 of its file.';

--
-- Name: list_holds(uuid, uuid, text, uuid, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer) RETURNS TABLE(id uuid, ticket_option_id uuid, user_id uuid, quantity integer, state text, created_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $$
DECLARE
    at CONSTANT timestamptz := ticketing_private.clock();
BEGIN
    IF after IS NOT NULL AND NOT EXISTS (
        SELECT
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.id = after
    ) THEN
        RAISE EXCEPTION 'there is no hold % of ticket option %', after, option_id
            USING ERRCODE = 'TK001',
                  HINT = format(
                      'Begin with the first page: select * from ticketing.list_holds(%L, NULL, NULL, NULL, 50);', option_id
                  );
    END IF;

    IF of_user_id IS NOT NULL THEN
        RETURN QUERY
        SELECT
            hold.id,
            hold.ticket_option_id,
            hold.user_id,
            hold.quantity,
            CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
            hold.created_at,
            hold.expires_at
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.user_id = of_user_id
            AND (
                in_state IS NULL
                OR in_state = CASE
                    WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired'
                    ELSE hold.state
                END
            )
            AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND hold.id IS DISTINCT FROM after
        ORDER BY hold.id
        LIMIT items_max;
    ELSIF in_state IS NULL THEN
        RETURN QUERY
        SELECT
            hold.id,
            hold.ticket_option_id,
            hold.user_id,
            hold.quantity,
            CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
            hold.created_at,
            hold.expires_at
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND hold.id IS DISTINCT FROM after
        ORDER BY hold.id
        LIMIT items_max;
    ELSE
        RETURN QUERY
        SELECT *
        FROM (
            (
                SELECT
                    hold.id,
                    hold.ticket_option_id,
                    hold.user_id,
                    hold.quantity,
                    CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
                    hold.created_at,
                    hold.expires_at
                FROM ticketing_private.holds AS hold
                WHERE hold.ticket_option_id = option_id
                    AND hold.state = in_state
                    AND (hold.state <> 'held' OR hold.expires_at > at)
                    AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
                    AND hold.id IS DISTINCT FROM after
                ORDER BY hold.id
                LIMIT items_max
            )
            UNION ALL
            (
                SELECT
                    hold.id,
                    hold.ticket_option_id,
                    hold.user_id,
                    hold.quantity,
                    CASE WHEN hold.state = 'held' AND hold.expires_at <= at THEN 'expired' ELSE hold.state END AS state,
                    hold.created_at,
                    hold.expires_at
                FROM ticketing_private.holds AS hold
                WHERE hold.ticket_option_id = option_id
                    AND hold.state = 'held'
                    AND hold.expires_at <= at
                    AND in_state = 'expired'
                    AND hold.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
                    AND hold.id IS DISTINCT FROM after
                ORDER BY hold.id
                LIMIT items_max
            )
        ) AS hold
        ORDER BY hold.id
        LIMIT items_max;
    END IF;
END
$$;

ALTER FUNCTION ticketing.list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer) IS 'A page of the holds of a ticket option, or of one user, or in one state; after is the last one of the page before:
    select * from list_holds(''<option>'', NULL, ''expired'', NULL, 50);';

--
-- Name: list_purchases(uuid, uuid, uuid, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer) RETURNS TABLE(id uuid, ticket_option_id uuid, user_id uuid, quantity integer, created_at timestamp with time zone, purchased_quantity integer, cancelled_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $$
BEGIN
    IF after IS NOT NULL AND NOT EXISTS (
        SELECT
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id = after
    ) THEN
        RAISE EXCEPTION 'there is no purchase % of ticket option %', after, option_id
            USING ERRCODE = 'TK001',
                  HINT = format(
                      'Begin with the first page: select * from ticketing.list_purchases(%L, NULL, NULL, 50);', option_id
                  );
    END IF;

    IF of_user_id IS NULL THEN
        RETURN QUERY
        SELECT
            purchase.id,
            purchase.ticket_option_id,
            purchase.user_id,
            purchase.quantity - purchase.returned,
            purchase.created_at,
            CASE WHEN purchase.returned > 0 THEN purchase.quantity END,
            purchase.cancelled_at
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND purchase.id IS DISTINCT FROM after
        ORDER BY purchase.id
        LIMIT items_max;
    ELSE
        RETURN QUERY
        SELECT
            purchase.id,
            purchase.ticket_option_id,
            purchase.user_id,
            purchase.quantity - purchase.returned,
            purchase.created_at,
            CASE WHEN purchase.returned > 0 THEN purchase.quantity END,
            purchase.cancelled_at
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id
            AND purchase.user_id = of_user_id
            AND purchase.id >= coalesce(after, '00000000-0000-0000-0000-000000000000')
            AND purchase.id IS DISTINCT FROM after
        ORDER BY purchase.id
        LIMIT items_max;
    END IF;
END
$$;

ALTER FUNCTION ticketing.list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer) IS 'A page of the purchases of a ticket option, or of one user; after is the last one of the page before:
    select * from list_purchases(''<option>'', NULL, NULL, 50);';

--
-- Name: list_ticket_options(uuid, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.list_ticket_options(after uuid, items_max integer) RETURNS TABLE(id uuid, name text, "desc" text, allocation integer, more json)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $$
DECLARE
    last_created_at timestamptz := timestamptz 'infinity';
BEGIN
    IF after IS NOT NULL THEN
        SELECT option.created_at
        INTO last_created_at
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = after;

        IF NOT FOUND THEN
            RAISE EXCEPTION 'ticket option % does not exist', after
                USING ERRCODE = 'TK001',
                      HINT = 'Begin with the first page: select * from ticketing.list_ticket_options(NULL, 50);';
        END IF;
    END IF;

    RETURN QUERY
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation + CASE
            WHEN option.held > 0 THEN ticketing_private.ran_out(option.id, ticketing_private.clock())
            ELSE 0
        END,
        ticketing_private.more_members(
            option.max_per_purchase, option.max_per_user,
            option.on_sale_from, option.on_sale_until, option.paused
        )
    FROM (
        SELECT *
        FROM ticketing_private.ticket_options AS stored
        WHERE (stored.created_at, stored.id)
            < (last_created_at, coalesce(after, '00000000-0000-0000-0000-000000000000'))
        ORDER BY stored.created_at DESC, stored.id DESC
        LIMIT items_max
    ) AS option;
END
$$;

ALTER FUNCTION ticketing.list_ticket_options(after uuid, items_max integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION list_ticket_options(after uuid, items_max integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.list_ticket_options(after uuid, items_max integer) IS 'A page of the ticket options, newest first; after is the last one of the page before:
    select * from list_ticket_options(NULL, 50);';

--
-- Name: option_history(uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.option_history(option_id uuid) RETURNS TABLE(happened_at timestamp with time zone, kind text, id uuid, user_id uuid, quantity integer, balance bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_nestloop TO 'off'
    AS $$
    WITH event (happened_at, rank, kind, id, user_id, quantity) AS (
        SELECT
            option.created_at,
            0,
            'created',
            option.id,
            NULL::uuid,
            coalesce(
                (
                    SELECT change.capacity_before
                    FROM ticketing_private.capacity_changes AS change
                    WHERE change.ticket_option_id = option_id
                        AND change.number = 1
                ),
                option.capacity
            )
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
        UNION ALL
        SELECT
            change.changed_at,
            4,
            'capacity_changed',
            option_id,
            NULL,
            change.capacity_after - change.capacity_before
        FROM ticketing_private.capacity_changes AS change
        WHERE change.ticket_option_id = option_id
        UNION ALL
        SELECT
            hold.created_at,
            3,
            'held',
            hold.id,
            hold.user_id,
            -hold.quantity
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
        UNION ALL
        SELECT
            hold.released_at,
            CASE
                WHEN hold.expired_at IS NOT NULL THEN 2
                WHEN hold.released_at > hold.created_at THEN 1
                ELSE 5
            END,
            'released',
            hold.id,
            hold.user_id,
            CASE WHEN hold.expired_at IS NULL THEN hold.quantity ELSE 0 END
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.released_at IS NOT NULL
        UNION ALL
        SELECT
            hold.expired_at,
            1,
            'expired',
            hold.id,
            hold.user_id,
            hold.quantity
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.expired_at IS NOT NULL
        UNION ALL
        SELECT
            purchase.created_at,
            3,
            CASE WHEN hold.expired_at IS NULL AND hold.id IS NOT NULL THEN 'hold_purchased' ELSE 'purchased' END,
            purchase.id,
            purchase.user_id,
            CASE WHEN hold.expired_at IS NULL AND hold.id IS NOT NULL THEN 0 ELSE -purchase.quantity END
        FROM ticketing_private.purchases AS purchase
        LEFT JOIN ticketing_private.holds AS hold
            ON hold.ticket_option_id = purchase.ticket_option_id
            AND hold.id = purchase.id
            AND hold.state = 'purchased'
        WHERE purchase.ticket_option_id = option_id
        UNION ALL
        SELECT
            given_back.returned_at,
            CASE WHEN given_back.returned_at > purchase.created_at THEN 1 ELSE 5 END,
            'returned',
            purchase.id,
            purchase.user_id,
            given_back.quantity
        FROM ticketing_private.returns AS given_back
        INNER JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = given_back.ticket_option_id
            AND purchase.id = given_back.purchase_id
        WHERE given_back.ticket_option_id = option_id
    )
    SELECT
        event.happened_at,
        event.kind,
        event.id,
        event.user_id,
        event.quantity,
        sum(event.quantity) OVER in_order
    FROM event
    WINDOW in_order AS (
        ORDER BY
            event.rank > 0,
            event.happened_at,
            event.rank,
            event.id,
            event.quantity
        ROWS UNBOUNDED PRECEDING
    )
    ORDER BY
        event.rank > 0,
        event.happened_at,
        event.rank,
        event.id,
        event.quantity;
$$;

ALTER FUNCTION ticketing.option_history(option_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION option_history(option_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.option_history(option_id uuid) IS 'Everything that ever changed the allocation of a ticket option, in order, with the balance after it:
    select * from option_history(''<option>'');
The last balance is the allocation.';

--
-- Name: purchase_hold(uuid, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_hold(option_id uuid, hold_id uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.purchase_hold(option_id uuid, hold_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_hold(option_id uuid, hold_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_hold(option_id uuid, hold_id uuid) IS 'Turns a hold into a purchase with the same id, and returns that:
    select purchase_hold(''<option>'', ''<hold>'');
Raises, with nothing sold:
    TK001  there is no such hold
    TK003  an argument is missing
    TK004  the id is stored as a purchase that was made otherwise
    TK008  the hold ran out, and its tickets are not to be had any more
    TK009  the hold was released
It may be sent again: it sells once.';

--
-- Name: purchase_tickets(uuid, uuid[], uuid[], integer[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    sold record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);

    sold := ticketing_private.take_tickets_of_one(
        option_id, purchase_ids, user_ids, quantities, NULL, NULL, true
    );

    RETURN ticketing_private.outcomes_without_details(sold.outcomes);
END
$$;

ALTER FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) IS 'Sells tickets of one option to many buyers at once, and returns an outcome for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with another user or quantity
    not_found         there is no such ticket option
    not_on_sale       it is paused, or not on sale yet or any longer; nothing is taken
    limit_reached     the user may not have as many; nothing is taken
    sold_out          fewer tickets are left than were asked for; nothing is taken
Raises TK003 for arrays that differ in length or hold a NULL or a quantity below 1.';

--
-- Name: purchase_tickets(uuid, uuid, integer, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid DEFAULT gen_random_uuid()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) IS 'Sells qty tickets of a ticket option to a user and returns the purchase''s id:
    select purchase_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  there is no such ticket option
    TK002  fewer tickets are left than were asked for
    TK003  an argument is missing or out of range
    TK004  purchase_id is stored with another user or quantity
    TK005  the option is not on sale
    TK006  the user may not have as many
The same purchase_id with the same user and qty may be sent again: it sells once.';

--
-- Name: purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    sold CONSTANT record := ticketing.try_purchase_tickets_of_many(
        option_ids, purchase_ids, user_ids, quantities
    );
BEGIN
    RETURN ticketing_private.outcomes_without_details(sold.outcomes);
END
$$;

ALTER FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) IS 'Sells tickets of many options in one call, and returns an outcome for each purchase, in order: those of
purchase_tickets(uuid, uuid[], uuid[], integer[]), and busy, which decides nothing, where another
transaction has the option locked. It never waits for a lock.';

--
-- Name: purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    sold CONSTANT record := ticketing.try_purchase_tickets(
        option_id, purchase_ids, user_ids, quantities, lock_wait_ms
    );
BEGIN
    RETURN ticketing_private.outcomes_without_details(sold.outcomes);
END
$$;

ALTER FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) IS 'Sells tickets of one option to many buyers at once as purchase_tickets(uuid, uuid[], uuid[], integer[])
does, but waits for a lock on the option for at most so many milliseconds. With 0 it does not wait: every
outcome is busy, which decides nothing, where another transaction has the option locked. With more it
raises lock_not_available (55P03) when they are over.';

--
-- Name: release_hold(uuid, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.release_hold(option_id uuid, hold_id uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.release_hold(option_id uuid, hold_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION release_hold(option_id uuid, hold_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.release_hold(option_id uuid, hold_id uuid) IS 'Gives the tickets of a hold back, once, and returns what the hold is then:
    select release_hold(''<option>'', ''<hold>'');
Raises, with nothing given back:
    TK001  there is no such hold
    TK010  it is a purchase by now';

--
-- Name: return_tickets(uuid, uuid, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.return_tickets(option_id uuid, purchase_id uuid, remaining integer DEFAULT 0) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.return_tickets(option_id uuid, purchase_id uuid, remaining integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION return_tickets(option_id uuid, purchase_id uuid, remaining integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.return_tickets(option_id uuid, purchase_id uuid, remaining integer) IS 'Gives tickets of a purchase back, all but those that are to remain, and returns how many:
    select return_tickets(''<option>'', ''<purchase>'');
Raises, with nothing given back:
    TK001  there is no such purchase
    TK003  remaining is below 0
    TK011  more are to remain than it has
It may be sent again, and then gives back 0.';

--
-- Name: sweep_expired_holds(integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.sweep_expired_holds(holds_max integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    happens_at CONSTANT timestamptz := ticketing_private.clock();
    oldest_id uuid;
    -- Each is another search; who keeps more locked than that has the others wait.
    locked_ids uuid[] := '{}'::uuid[];
    ended record;
BEGIN
    -- Any number that nothing else in the database uses: db/lock.py has the one before.
    IF NOT pg_try_advisory_xact_lock(7163880912) THEN
        RETURN 0;
    END IF;

    DELETE FROM ticketing_private.refused_resends AS refused
    USING (
        SELECT
            old.ticket_option_id,
            old.id,
            old.resend_id
        FROM ticketing_private.refused_resends AS old
        WHERE old.refused_at < happens_at - interval '1 day'
        LIMIT 1000
    ) AS old
    WHERE refused.ticket_option_id = old.ticket_option_id
        AND refused.id = old.id
        AND refused.resend_id = old.resend_id;

    WHILE cardinality(locked_ids) < 100 LOOP
        SELECT hold.ticket_option_id
        INTO oldest_id
        FROM ticketing_private.holds AS hold
        WHERE hold.state = 'held'
            AND hold.expires_at <= happens_at
            AND hold.ticket_option_id <> ALL (locked_ids)
        ORDER BY hold.expires_at
        LIMIT 1;

        EXIT WHEN NOT FOUND;

        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = oldest_id
        FOR NO KEY UPDATE SKIP LOCKED;

        IF NOT FOUND THEN
            locked_ids := locked_ids || oldest_id;
            CONTINUE;
        END IF;

        SELECT *
        INTO ended
        FROM ticketing_private.expire_holds(oldest_id, 9223372036854775807, holds_max, happens_at);

        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = option.allocation + ended.tickets,
            held = option.held - ended.tickets,
            updated_at = greatest(option.updated_at, happens_at)
        WHERE option.id = oldest_id
            AND ended.holds > 0;

        RETURN ended.holds;
    END LOOP;

    RETURN 0;
END
$$;

ALTER FUNCTION ticketing.sweep_expired_holds(holds_max integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION sweep_expired_holds(holds_max integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.sweep_expired_holds(holds_max integer) IS 'Returns the tickets of holds that ran out to one option, and says how many holds; it never waits for a lock.';

--
-- Name: try_create_ticket_option(uuid, text, text, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN ticketing.try_create_ticket_option(
        option_id, name, "desc", allocation, NULL, NULL, NULL, NULL, false
    );
END
$$;

ALTER FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) IS 'Puts a ticket option on sale with the given number of tickets, and returns the outcome:
    created           the option is stored
    exists            option_id was created with these values
    exists_different  option_id was created with other values; nothing was changed
Raises TK003, with nothing stored, when an argument is missing or out of range.';

--
-- Name: try_create_ticket_option(uuid, text, text, integer, integer, integer, timestamp with time zone, timestamp with time zone, boolean); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    broken_constraint text;
    happens_at CONSTANT timestamptz := ticketing_private.clock();
    asked CONSTANT jsonb := ticketing_private.values_of_option(
        name, "desc", allocation, max_per_purchase, max_per_user, on_sale_from, on_sale_until, paused
    );
BEGIN
    IF try_create_ticket_option.paused IS NULL THEN
        RAISE EXCEPTION 'paused must not be NULL'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass true or false.';
    END IF;

    PERFORM ticketing_private.check_rules(max_per_purchase, max_per_user, on_sale_from, on_sale_until);

    INSERT INTO ticketing_private.ticket_options (
        id, name, description, capacity, allocation, max_per_purchase, max_per_user,
        on_sale_from, on_sale_until, paused, created_at, updated_at
    )
    VALUES (
        try_create_ticket_option.option_id,
        try_create_ticket_option.name,
        try_create_ticket_option."desc",
        try_create_ticket_option.allocation,
        try_create_ticket_option.allocation,
        try_create_ticket_option.max_per_purchase,
        try_create_ticket_option.max_per_user,
        try_create_ticket_option.on_sale_from,
        try_create_ticket_option.on_sale_until,
        try_create_ticket_option.paused,
        happens_at,
        happens_at
    )
    ON CONFLICT (id) DO NOTHING;

    IF FOUND THEN
        RETURN 'created';
    END IF;

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = try_create_ticket_option.option_id
        AND asked = coalesce(
            option.created_as,
            ticketing_private.values_of_option(
                option.name, option.description, option.capacity, option.max_per_purchase,
                option.max_per_user, option.on_sale_from, option.on_sale_until, option.paused
            )
        )
    FOR KEY SHARE;

    RETURN CASE WHEN FOUND THEN 'exists' ELSE 'exists_different' END;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', ticketing_private.message_of_constraint(broken_constraint)
            USING ERRCODE = 'TK003',
                  HINT = 'Pass a name of 1 to 255 characters, a desc of at most 10000 characters, '
                      'an allocation from 0 to 2147483647, limits from 1 to 2147483647 or none, '
                      'and an on_sale_from before on_sale_until, or none.';
END
$$;

ALTER FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) IS 'Puts a ticket option on sale with the given number of tickets and its rules, and returns the outcome:
    created           the option is stored
    exists            option_id was created with these values
    exists_different  option_id was created with other values; nothing was changed
Raises TK003, with nothing stored, when an argument is missing or out of range.';

--
-- Name: try_hold_tickets(uuid, uuid[], uuid[], integer[], integer[], integer, uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[] DEFAULT NULL::uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    taken record;
BEGIN
    PERFORM ticketing_private.require_purchases(hold_ids, user_ids, quantities);
    PERFORM ticketing_private.require_holds(hold_ids, expires_in_seconds);

    IF resend_ids IS NOT NULL THEN
        PERFORM ticketing_private.require_resends(hold_ids, resend_ids);
    END IF;

    IF NOT ticketing_private.lock_option(option_id, quantities, resend_ids IS NOT NULL, lock_wait_ms) THEN
        outcomes := array_fill('busy'::text, ARRAY[cardinality(hold_ids)]);
        RETURN;
    END IF;

    -- Each of these is an expression, which costs less than a query.
    taken := ticketing_private.take_tickets_of_one(
        option_id, hold_ids, user_ids, quantities, expires_in_seconds, resend_ids, true
    );
    outcomes := taken.outcomes;
    details := taken.details;
END
$$;

ALTER FUNCTION ticketing.try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Keeps tickets of one option for many buyers at once, and returns an outcome and a detail for each, in order:
those of try_purchase_tickets(...), and the hold as it is now.
Raises TK003 for arrays that differ in length or hold what no hold can be.';

--
-- Name: try_hold_tickets_of_many(uuid[], uuid[], uuid[], integer[], integer[], uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[] DEFAULT NULL::uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM ticketing_private.require_purchases(hold_ids, user_ids, quantities);
    PERFORM ticketing_private.require_purchases(option_ids, user_ids, quantities);
    PERFORM ticketing_private.require_holds(hold_ids, expires_in_seconds);
    PERFORM ticketing_private.require_resends(hold_ids, resend_ids);

    SELECT
        taken.outcomes,
        taken.details
    INTO outcomes, details
    FROM ticketing_private.take_tickets_of_many(
        option_ids, hold_ids, user_ids, quantities, expires_in_seconds, resend_ids
    ) AS taken;
END
$$;

ALTER FUNCTION ticketing.try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Keeps tickets of many options in one call, and returns an outcome and a detail for each hold, in order:
those of try_hold_tickets(...). It never waits for a lock: where an option is locked, they are busy.';

--
-- Name: try_purchase_holds(uuid, uuid[], integer, uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[] DEFAULT NULL::uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(hold_ids), 0);
    ones CONSTANT integer[] := array_fill(1, ARRAY[batch_size]);
BEGIN
    PERFORM ticketing_private.require_purchases(hold_ids, hold_ids, ones);
    PERFORM ticketing_private.require_resends(hold_ids, resend_ids);

    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    IF lock_wait_ms > 0 THEN
        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
        FOR NO KEY UPDATE;
    END IF;

    details := NULL;
    outcomes := ticketing_private.purchase_holds_of_many(
        array_fill(option_id, ARRAY[batch_size]), hold_ids, resend_ids
    );
END
$$;

ALTER FUNCTION ticketing.try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Turns holds of one option into purchases with the same ids, and returns an outcome for each, in order:
    created           it is a purchase now
    exists            it was one before
    exists_different  the id is stored as a purchase that was made otherwise
    not_found         there is no such hold
    hold_released     its tickets were given back
    hold_expired      it ran out, and its tickets are gone or more than its user may have
    refused_before    a resend was refused
    busy              the option is locked; nothing was decided
Raises TK003 for a NULL among the ids.';

--
-- Name: try_purchase_holds_of_many(uuid[], uuid[], uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[] DEFAULT NULL::uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM ticketing_private.require_purchases(
        hold_ids, option_ids, array_fill(1, ARRAY[coalesce(cardinality(hold_ids), 0)])
    );
    PERFORM ticketing_private.require_resends(hold_ids, resend_ids);

    details := NULL;
    outcomes := ticketing_private.purchase_holds_of_many(option_ids, hold_ids, resend_ids);
END
$$;

ALTER FUNCTION ticketing.try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Turns holds of many options into purchases, and returns an outcome for each, in order: those of
try_purchase_holds(...). It never waits for a lock: where an option is locked, they are busy.';

--
-- Name: try_purchase_tickets(uuid, uuid[], uuid[], integer[], integer, uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[] DEFAULT NULL::uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    taken record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);

    IF resend_ids IS NOT NULL THEN
        PERFORM ticketing_private.require_resends(purchase_ids, resend_ids);
    END IF;

    IF NOT ticketing_private.lock_option(option_id, quantities, resend_ids IS NOT NULL, lock_wait_ms) THEN
        outcomes := array_fill('busy'::text, ARRAY[cardinality(purchase_ids)]);
        RETURN;
    END IF;

    -- Each of these is an expression, which costs less than a query.
    taken := ticketing_private.take_tickets_of_one(
        option_id, purchase_ids, user_ids, quantities, NULL, resend_ids, true
    );
    outcomes := taken.outcomes;
    details := taken.details;
END
$$;

ALTER FUNCTION ticketing.try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Sells tickets of one option to many buyers at once, and returns an outcome and a detail for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with another user or quantity
    not_found         there is no such ticket option
    not_on_sale       it is paused, or not on sale yet or any longer; nothing is taken
    limit_reached     the user may not have as many; nothing is taken
    sold_out          fewer tickets are left than were asked for; nothing is taken
    refused_before    a resend was refused; nothing is taken
    busy              the option is locked; nothing was decided
Raises TK003 for arrays that differ in length or hold a NULL or a quantity below 1.';

--
-- Name: try_purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[], uuid[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[] DEFAULT NULL::uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);
    PERFORM ticketing_private.require_purchases(option_ids, user_ids, quantities);
    PERFORM ticketing_private.require_resends(purchase_ids, resend_ids);

    SELECT
        taken.outcomes,
        taken.details
    INTO outcomes, details
    FROM ticketing_private.take_tickets_of_many(
        option_ids, purchase_ids, user_ids, quantities, NULL, resend_ids
    ) AS taken;
END
$$;

ALTER FUNCTION ticketing.try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Sells tickets of many options in one call, and returns an outcome and a detail for each purchase, in order:
those of try_purchase_tickets(...). It never waits for a lock: where an option is locked, they are busy.';

--
-- Name: try_release_hold(uuid, uuid, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer DEFAULT NULL::integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    hold record;
    happens_at timestamptz;
    is_expired boolean;
BEGIN
    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    happens_at := ticketing_private.clock();

    -- FOR NO KEY UPDATE, so that what is answered is on the standby, too.
    SELECT
        stored.state,
        stored.quantity,
        stored.expires_at
    INTO hold
    FROM ticketing_private.holds AS stored
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF hold.state = 'purchased' THEN
        RETURN 'hold_purchased';
    ELSIF hold.state = 'released' THEN
        RETURN 'exists';
    END IF;

    is_expired := hold.expires_at <= happens_at;

    UPDATE ticketing_private.holds AS stored
    SET
        state = 'released',
        expired_at = CASE WHEN is_expired THEN coalesce(stored.expired_at, happens_at) END,
        released_at = happens_at
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id;

    UPDATE ticketing_private.ticket_options AS option
    SET
        allocation = option.allocation + hold.quantity,
        held = option.held - hold.quantity,
        updated_at = greatest(option.updated_at, happens_at)
    WHERE option.id = option_id
        AND hold.state = 'held';

    RETURN CASE WHEN is_expired THEN 'expired' ELSE 'released' END;
END
$$;

ALTER FUNCTION ticketing.try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer) IS 'Gives the tickets of a hold back, once, and returns the outcome:
    released        they are back
    exists          it was released before
    expired         it had run out; they are back
    hold_purchased  it is a purchase; nothing was given back
    not_found       there is no such hold';

--
-- Name: try_return_tickets(uuid, uuid, integer, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_return_tickets(option_id uuid, purchase_id uuid, remaining integer DEFAULT 0, lock_wait_ms integer DEFAULT NULL::integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    happens_at timestamptz;
BEGIN
    IF remaining IS NULL OR remaining < 0 THEN
        RAISE EXCEPTION 'what is to remain is needed, and is at least 0: got %', coalesce(remaining::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'Pass the number of tickets that the purchase is to keep; 0 gives all back.';
    END IF;

    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR NO KEY UPDATE;

    happens_at := ticketing_private.clock();

    -- FOR NO KEY UPDATE, so that what is answered is on the standby, too.
    SELECT
        purchase.user_id,
        purchase.quantity - purchase.returned,
        purchase.created_at,
        CASE WHEN purchase.returned > 0 THEN purchase.quantity END,
        purchase.cancelled_at
    INTO user_id, quantity, created_at, purchased_quantity, cancelled_at
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        outcome := 'not_found';
        RETURN;
    END IF;

    given_back := quantity - remaining;

    IF given_back <= 0 THEN
        outcome := CASE given_back WHEN 0 THEN 'unchanged' ELSE 'too_many' END;
        given_back := 0;
        RETURN;
    END IF;

    UPDATE ticketing_private.purchases AS purchase
    SET
        returned = purchase.returned + given_back,
        cancelled_at = happens_at
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = purchase_id;

    INSERT INTO ticketing_private.returns (ticket_option_id, purchase_id, number, quantity, returned_at)
    SELECT
        option_id,
        try_return_tickets.purchase_id,
        count(*) + 1,
        given_back,
        happens_at
    FROM ticketing_private.returns AS earlier
    WHERE earlier.ticket_option_id = option_id
        AND earlier.purchase_id = try_return_tickets.purchase_id;

    UPDATE ticketing_private.ticket_options AS option
    SET
        allocation = option.allocation + given_back,
        updated_at = greatest(option.updated_at, happens_at)
    WHERE option.id = option_id;

    outcome := 'returned';
    purchased_quantity := coalesce(purchased_quantity, quantity);
    quantity := remaining;
    cancelled_at := happens_at;
END
$$;

ALTER FUNCTION ticketing.try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer) IS 'Gives tickets of a purchase back, all but those that are to remain, and returns the outcome and the purchase:
    returned   the others are back
    unchanged  it has as many already
    too_many   it has fewer; nothing was changed
    not_found  there is no such purchase
Raises TK003 for a remaining below 0.';

--
-- Name: try_update_ticket_option(uuid, jsonb, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer DEFAULT NULL::integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer) IS 'Changes a ticket option as a JSON Merge Patch says, and returns the outcome and the option:
    updated          it is as asked
    capacity_in_use  more than that is sold and held; nothing was changed
    not_found        there is no such ticket option
Raises TK003, with nothing changed, for what cannot be.';

--
-- Name: update_ticket_option(uuid, jsonb); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.update_ticket_option(option_id uuid, changes jsonb) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.update_ticket_option(option_id uuid, changes jsonb) OWNER TO ticketing_owner;

--
-- Name: FUNCTION update_ticket_option(option_id uuid, changes jsonb); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.update_ticket_option(option_id uuid, changes jsonb) IS 'Changes a ticket option as a JSON Merge Patch says, and returns its id:
    select update_ticket_option(''<option>'', ''{"capacity": 200, "max_per_user": 4}'');
Raises, with nothing changed:
    TK001  there is no such ticket option
    TK003  a change cannot be
    TK007  more than the capacity is sold and held';

--
-- Name: bound_lock_wait(integer); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.bound_lock_wait(lock_wait_ms integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN lock_wait_ms IS NULL
        OR set_config('lock_timeout', greatest(1, lock_wait_ms)::text, true) IS NOT NULL;
END
$$;

ALTER FUNCTION ticketing_private.bound_lock_wait(lock_wait_ms integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION bound_lock_wait(lock_wait_ms integer); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.bound_lock_wait(lock_wait_ms integer) IS 'Bounds how long this transaction waits for a lock.';

--
-- Name: check_rules(integer, integer, timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.check_rules(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    broken CONSTANT text := CASE
        WHEN max_per_purchase < 1
            THEN 'max_per_purchase_range'
        WHEN max_per_user < 1
            THEN 'max_per_user_range'
        WHEN least(on_sale_from, on_sale_until) < '0001-01-01'
            OR greatest(on_sale_from, on_sale_until) >= '10000-01-01'
            THEN 'on_sale_years'
        WHEN on_sale_from >= on_sale_until
            THEN 'on_sale_from_before_until'
    END;
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION '%', broken
            USING ERRCODE = 'check_violation',
                  CONSTRAINT = broken;
    END IF;
END
$$;

ALTER FUNCTION ticketing_private.check_rules(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION check_rules(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.check_rules(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone) IS 'Raises for rules that an option cannot have.';

--
-- Name: clock(); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.clock() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN clock_timestamp();
END
$$;

ALTER FUNCTION ticketing_private.clock() OWNER TO ticketing_owner;

--
-- Name: FUNCTION clock(); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.clock() IS 'What time it is, for every function.';

--
-- Name: decide_purchases(integer[], uuid[], uuid[], integer[], integer[], integer, integer, integer[], bigint[], text[], integer[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], max_quantity integer, max_per_user integer, user_places integer[], left_for_users bigint[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[], OUT left_over integer[], OUT broken_limits integer[]) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    has_limits CONSTANT boolean := max_quantity IS NOT NULL OR max_per_user IS NOT NULL;
    has_repeated_ids CONSTANT boolean := cardinality(purchase_ids) > 1 AND (
        SELECT count(DISTINCT asked.id) < count(*)
        FROM unnest(purchase_ids) AS asked (id)
    );
    -- For each purchase the place of the first one like it, with the same option and
    -- id; and at that place, the place of the one among them that is sold. Looking
    -- through sold_places for every repeat would take quadratic time.
    first_places integer[];
    sold_of_first integer[];
    option_place integer;
    earlier integer;
    left_for_user bigint;
    quantity_asked bigint;
BEGIN
    sold_places := '{}';

    -- While there is enough of an option for everybody, which is most of a sale, there
    -- is nothing to decide one by one.
    IF cardinality(remaining) = 1
        AND cardinality(purchase_ids) > 1
        AND NOT has_limits
        AND NOT has_repeated_ids
        AND num_nonnulls(VARIADIC outcomes) = 0
    THEN
        quantity_asked := (SELECT sum(asked.quantity) FROM unnest(quantities) AS asked (quantity));

        IF quantity_asked <= remaining[1] THEN
            remaining[1] := remaining[1] - quantity_asked::integer;
            outcomes := array_fill('created'::text, ARRAY[cardinality(purchase_ids)]);
            sold_places := ARRAY(SELECT generate_series(1, cardinality(purchase_ids)));
            RETURN;
        END IF;
    END IF;

    IF has_repeated_ids THEN
        SELECT array_agg(asked.first_place ORDER BY asked.place)
        INTO first_places
        FROM (
            SELECT
                purchase.place,
                min(purchase.place::integer) OVER (
                    PARTITION BY purchase.option_place, purchase.id
                ) AS first_place
            FROM unnest(option_places, purchase_ids)
                WITH ORDINALITY AS purchase (option_place, id, place)
        ) AS asked;

        sold_of_first := array_fill(NULL::integer, ARRAY[cardinality(purchase_ids)]);
    END IF;

    FOR i IN 1..cardinality(purchase_ids) LOOP
        CONTINUE WHEN outcomes[i] IS NOT NULL;

        option_place := option_places[i];

        IF has_repeated_ids THEN
            earlier := sold_of_first[first_places[i]];
        END IF;

        IF earlier IS NOT NULL THEN
            outcomes[i] := CASE
                WHEN user_ids[earlier] = user_ids[i]
                    AND quantities[earlier] = quantities[i]
                    AND expires_in_seconds[earlier] IS NOT DISTINCT FROM expires_in_seconds[i]
                    THEN 'exists'
                ELSE 'exists_different'
            END;

            CONTINUE;
        END IF;

        IF has_limits THEN
            -- least ignores what is NULL, and so no limit.
            left_for_user := least(max_quantity, left_for_users[user_places[i]]);

            IF quantities[i] > left_for_user THEN
                outcomes[i] := 'limit_reached';
                left_over[i] := left_for_user::integer;
                broken_limits[i] := CASE
                    WHEN quantities[i] > max_quantity THEN max_quantity
                    ELSE max_per_user
                END;

                CONTINUE;
            END IF;
        END IF;

        IF quantities[i] > remaining[option_place] THEN
            outcomes[i] := 'sold_out';
            left_over[i] := remaining[option_place];
        ELSE
            outcomes[i] := 'created';
            remaining[option_place] := remaining[option_place] - quantities[i];
            sold_places := sold_places || i;

            IF max_per_user IS NOT NULL THEN
                left_for_users[user_places[i]] := left_for_users[user_places[i]] - quantities[i];
            END IF;

            IF has_repeated_ids THEN
                sold_of_first[first_places[i]] := i;
            END IF;
        END IF;
    END LOOP;
END
$$;

ALTER FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], max_quantity integer, max_per_user integer, user_places integer[], left_for_users bigint[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[], OUT left_over integer[], OUT broken_limits integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], max_quantity integer, max_per_user integer, user_places integer[], left_for_users bigint[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[], OUT left_over integer[], OUT broken_limits integer[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], max_quantity integer, max_per_user integer, user_places integer[], left_for_users bigint[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[], OUT left_over integer[], OUT broken_limits integer[]) IS 'Decides who gets tickets: the rule behind every function that sells or holds.';

--
-- Name: details_of_outcomes(uuid[], uuid[], text[], jsonb[], integer[], integer[], integer[], timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.details_of_outcomes(option_ids uuid[], ids uuid[], outcomes text[], details jsonb[], left_over integer[], broken_limits integer[], expires_in_seconds integer[], happens_at timestamp with time zone) RETURNS jsonb[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    -- As rfc3339.sql, which would be called for each hold.
    rfc3339 CONSTANT text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
    created_at CONSTANT text := to_char(happens_at AT TIME ZONE 'UTC', rfc3339);
BEGIN
    RETURN ARRAY(
        SELECT coalesce(
            details[asked.place],
            CASE
                WHEN asked.outcome = 'sold_out'
                    THEN jsonb_build_object('available', left_over[asked.place])
                WHEN asked.outcome = 'limit_reached'
                    THEN jsonb_build_object(
                        'limit', broken_limits[asked.place],
                        'left_for_user', left_over[asked.place]
                    )
                WHEN asked.outcome = 'created' AND asked.expires_in_seconds IS NOT NULL
                    THEN jsonb_build_object(
                        'state', 'held',
                        'created_at', created_at,
                        'expires_at', to_char(
                            (happens_at + make_interval(secs => asked.expires_in_seconds)) AT TIME ZONE 'UTC',
                            rfc3339
                        )
                    )
                WHEN asked.outcome = 'exists'
                    THEN hold.detail
            END
        )
        FROM unnest(option_ids, ids, outcomes, expires_in_seconds)
            WITH ORDINALITY AS asked (option_id, id, outcome, expires_in_seconds, place)
        LEFT JOIN LATERAL (
            SELECT jsonb_build_object(
                'state', CASE
                    WHEN hold.state = 'held' AND hold.expires_at <= happens_at THEN 'expired'
                    ELSE hold.state
                END,
                'created_at', to_char(hold.created_at AT TIME ZONE 'UTC', rfc3339),
                'expires_at', to_char(hold.expires_at AT TIME ZONE 'UTC', rfc3339)
            ) AS detail
            FROM ticketing_private.holds AS hold
            WHERE asked.outcome = 'exists'
                AND asked.expires_in_seconds IS NOT NULL
                AND hold.ticket_option_id = asked.option_id
                AND hold.id = asked.id
        ) AS hold ON true
        ORDER BY asked.place
    );
END
$$;

ALTER FUNCTION ticketing_private.details_of_outcomes(option_ids uuid[], ids uuid[], outcomes text[], details jsonb[], left_over integer[], broken_limits integer[], expires_in_seconds integer[], happens_at timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION details_of_outcomes(option_ids uuid[], ids uuid[], outcomes text[], details jsonb[], left_over integer[], broken_limits integer[], expires_in_seconds integer[], happens_at timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.details_of_outcomes(option_ids uuid[], ids uuid[], outcomes text[], details jsonb[], left_over integer[], broken_limits integer[], expires_in_seconds integer[], happens_at timestamp with time zone) IS 'Says more about outcomes: why something is refused, and for holds, what they are.';

--
-- Name: expire_holds(uuid, bigint, bigint, timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.expire_holds(option_id uuid, tickets_needed bigint, holds_max bigint, at timestamp with time zone, OUT tickets integer, OUT holds integer) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    -- A hold has at least one ticket, so no more of them than tickets are needed.
    WITH ended AS (
        UPDATE ticketing_private.holds AS hold
        SET
            state = 'expired',
            expired_at = at
        FROM (
            SELECT
                oldest.id,
                sum(oldest.quantity) OVER (
                    ORDER BY oldest.expires_at ROWS UNBOUNDED PRECEDING
                ) - oldest.quantity AS tickets_before
            FROM (
                SELECT
                    hold.id,
                    hold.quantity,
                    hold.expires_at
                FROM ticketing_private.holds AS hold
                WHERE hold.ticket_option_id = option_id
                    AND hold.state = 'held'
                    AND hold.expires_at <= at
                ORDER BY hold.expires_at
                LIMIT least(tickets_needed, holds_max)
            ) AS oldest
        ) AS oldest
        WHERE hold.ticket_option_id = option_id
            AND hold.id = oldest.id
            AND oldest.tickets_before < tickets_needed
        RETURNING hold.quantity
    )
    SELECT
        coalesce(sum(ended.quantity), 0)::integer,
        count(*)::integer
    INTO tickets, holds
    FROM ended;
END
$$;

ALTER FUNCTION ticketing_private.expire_holds(option_id uuid, tickets_needed bigint, holds_max bigint, at timestamp with time zone, OUT tickets integer, OUT holds integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION expire_holds(option_id uuid, tickets_needed bigint, holds_max bigint, at timestamp with time zone, OUT tickets integer, OUT holds integer); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.expire_holds(option_id uuid, tickets_needed bigint, holds_max bigint, at timestamp with time zone, OUT tickets integer, OUT holds integer) IS 'Ends holds that have run out, as many as give the tickets that are needed, and returns how many tickets.';

--
-- Name: has_run_out(uuid, timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.has_run_out(option_id uuid, at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM ticketing_private.holds AS hold
        WHERE hold.ticket_option_id = option_id
            AND hold.state = 'held'
            AND hold.expires_at <= at
    );
END
$$;

ALTER FUNCTION ticketing_private.has_run_out(option_id uuid, at timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION has_run_out(option_id uuid, at timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.has_run_out(option_id uuid, at timestamp with time zone) IS 'Whether an option has holds that have run out, and whose tickets are still to be returned.';

--
-- Name: lock_option(uuid, integer[], boolean, integer); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.lock_option(option_id uuid, quantities integer[], is_resent boolean, lock_wait_ms integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    happens_at timestamptz;
BEGIN
    IF lock_wait_ms > 0 THEN
        RETURN ticketing_private.bound_lock_wait(lock_wait_ms);
    END IF;

    -- What could not be had a moment ago may be by now.
    PERFORM ticketing_private.bound_lock_wait(lock_wait_ms);

    happens_at := ticketing_private.clock();

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
        AND (
            option.allocation >= ANY (quantities)
            OR is_resent
            OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
        )
    FOR NO KEY UPDATE SKIP LOCKED;

    IF FOUND THEN
        RETURN true;
    END IF;

    -- What cannot be had is not locked.
    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
        AND (
            option.allocation >= ANY (quantities)
            OR is_resent
            OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
        );

    RETURN NOT FOUND;
END
$$;

ALTER FUNCTION ticketing_private.lock_option(option_id uuid, quantities integer[], is_resent boolean, lock_wait_ms integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION lock_option(option_id uuid, quantities integer[], is_resent boolean, lock_wait_ms integer); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.lock_option(option_id uuid, quantities integer[], is_resent boolean, lock_wait_ms integer) IS 'Bounds the wait for the lock of an option; false where it is locked and the caller must not wait.';

--
-- Name: message_of_constraint(text); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.message_of_constraint(constraint_name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN CASE
        WHEN constraint_name IN ('ticket_options_name_length', 'ticket_options_name_is_not_blank')
            THEN 'name must be 1 to 255 characters long and not only white space'
        WHEN constraint_name = 'ticket_options_description_length'
            THEN 'desc must be at most 10000 characters long'
        WHEN constraint_name = 'ticket_options_allocation_range'
            THEN 'allocation must be an integer from 0 to 2147483647'
        WHEN constraint_name = 'max_per_purchase_range'
            THEN 'max_per_purchase must be an integer from 1 to 2147483647'
        WHEN constraint_name = 'max_per_user_range'
            THEN 'max_per_user must be an integer from 1 to 2147483647'
        WHEN constraint_name = 'on_sale_from_before_until'
            THEN 'on_sale_from must be before on_sale_until'
        WHEN constraint_name = 'on_sale_years'
            THEN 'on_sale_from and on_sale_until must be of the years 1 to 9999'
        ELSE 'name, desc, allocation and option_id must not be NULL'
    END;
END
$$;

ALTER FUNCTION ticketing_private.message_of_constraint(constraint_name text) OWNER TO ticketing_owner;

--
-- Name: FUNCTION message_of_constraint(constraint_name text); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.message_of_constraint(constraint_name text) IS 'Says in words which constraint of ticket_options was broken.';

--
-- Name: more_members(integer, integer, timestamp with time zone, timestamp with time zone, boolean); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.more_members(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN nullif(
        json_strip_nulls(
            json_build_object(
                'max_per_purchase', max_per_purchase,
                'max_per_user', max_per_user,
                'on_sale_from', ticketing_private.rfc3339(on_sale_from),
                'on_sale_until', ticketing_private.rfc3339(on_sale_until),
                'paused', nullif(paused, false)
            )
        )::text,
        '{}'
    )::json;
END
$$;

ALTER FUNCTION ticketing_private.more_members(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) OWNER TO ticketing_owner;

--
-- Name: FUNCTION more_members(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.more_members(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) IS 'The optional members of a ticket option that are not at their default; NULL when there are none.';

--
-- Name: outcomes_without_details(text[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.outcomes_without_details(outcomes text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    refusal text;
BEGIN
    FOREACH refusal IN ARRAY ARRAY['not_on_sale', 'limit_reached', 'refused_before'] LOOP
        outcomes := array_replace(outcomes, refusal, 'sold_out');
    END LOOP;

    RETURN outcomes;
END
$$;

ALTER FUNCTION ticketing_private.outcomes_without_details(outcomes text[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION outcomes_without_details(outcomes text[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.outcomes_without_details(outcomes text[]) IS 'The outcomes of purchases for callers that know one refusal only, which is sold_out.';

--
-- Name: purchase_holds_of_many(uuid[], uuid[], uuid[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[]) RETURNS text[]
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    outcomes text[];
    locked_ids uuid[];
    happens_at timestamptz;
    stored record;
    sold_holds integer := 0;
BEGIN
    SELECT array_agg(locked.id ORDER BY locked.id)
    INTO locked_ids
    FROM (
        SELECT option.id
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = ANY (option_ids)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked;

    happens_at := ticketing_private.clock();

    -- width_bucket finds each option among the sorted ones by binary search.
    SELECT
        array_agg(
            CASE
                WHEN hold.state IS NULL
                    THEN 'not_found'
                WHEN hold.state = 'purchased'
                    THEN 'exists'
                WHEN hold.state = 'released'
                    THEN 'hold_released'
                WHEN locked_ids[width_bucket(asked.option_id, locked_ids)] IS DISTINCT FROM asked.option_id
                    THEN 'busy'
                WHEN hold.state = 'held' AND hold.expires_at > happens_at
                    THEN 'created'
                ELSE 'late'
            END
            ORDER BY asked.place
        ) AS outcomes,
        array_agg(hold.user_id ORDER BY asked.place) AS user_ids,
        array_agg(hold.quantity ORDER BY asked.place) AS quantities
    INTO stored
    FROM unnest(option_ids, hold_ids) WITH ORDINALITY AS asked (option_id, id, place)
    LEFT JOIN ticketing_private.holds AS hold
        ON hold.ticket_option_id = asked.option_id
        AND hold.id = asked.id;

    outcomes := stored.outcomes;

    IF 'created' = ANY (outcomes) THEN
        WITH sold AS (
            INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
            SELECT
                hold.option_id,
                hold.id,
                hold.user_id,
                hold.quantity,
                happens_at
            FROM unnest(option_ids, hold_ids, stored.user_ids, stored.quantities, outcomes)
                AS hold (option_id, id, user_id, quantity, outcome)
            WHERE hold.outcome = 'created'
            ON CONFLICT DO NOTHING
            RETURNING
                ticket_option_id,
                id,
                quantity
        ),
        purchased AS (
            UPDATE ticketing_private.holds AS hold
            SET
                state = 'purchased',
                purchased_at = happens_at
            FROM sold
            WHERE hold.ticket_option_id = sold.ticket_option_id
                AND hold.id = sold.id
        ),
        changed AS (
            UPDATE ticketing_private.ticket_options AS option
            SET
                held = option.held - total.quantity,
                updated_at = greatest(option.updated_at, happens_at)
            FROM (
                SELECT
                    sold.ticket_option_id,
                    sum(sold.quantity)::integer AS quantity
                FROM sold
                GROUP BY sold.ticket_option_id
            ) AS total
            WHERE option.id = total.ticket_option_id
        )
        SELECT count(*)::integer
        INTO sold_holds
        FROM sold;
    END IF;

    -- Some were asked for twice, or have the id of a purchase that was made otherwise.
    IF sold_holds < cardinality(array_positions(outcomes, 'created')) THEN
        SELECT array_agg(
            CASE
                WHEN asked.outcome <> 'created'
                    THEN asked.outcome
                WHEN hold.state <> 'purchased'
                    THEN 'exists_different'
                WHEN asked.earlier > 0
                    THEN 'exists'
                ELSE 'created'
            END
            ORDER BY asked.place
        )
        INTO outcomes
        FROM (
            SELECT
                hold.*,
                row_number() OVER (PARTITION BY hold.option_id, hold.id ORDER BY hold.place) - 1 AS earlier
            FROM unnest(option_ids, hold_ids, outcomes) WITH ORDINALITY AS hold (option_id, id, outcome, place)
        ) AS asked
        LEFT JOIN ticketing_private.holds AS hold
            ON hold.ticket_option_id = asked.option_id
            AND hold.id = asked.id;
    END IF;

    -- An answer that something is stored waits for the standby: take_tickets_of_one.sql.
    IF 'exists' = ANY (outcomes) THEN
        PERFORM
        FROM unnest(option_ids, hold_ids, outcomes) AS asked (option_id, id, outcome)
        INNER JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = asked.option_id
            AND purchase.id = asked.id
        WHERE asked.outcome = 'exists'
        FOR KEY SHARE OF purchase;
    END IF;

    IF 'late' = ANY (outcomes) THEN
        FOR i IN 1..cardinality(outcomes) LOOP
            IF outcomes[i] = 'late' THEN
                outcomes[i] := ticketing_private.purchase_late_hold(
                    option_ids[i], hold_ids[i], resend_ids[i], happens_at
                );
            END IF;
        END LOOP;
    END IF;

    RETURN outcomes;
END
$$;

ALTER FUNCTION ticketing_private.purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[]) IS 'Turns holds into purchases with the same ids: what every function that does is made of.';

--
-- Name: purchase_late_hold(uuid, uuid, uuid, timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.purchase_late_hold(option_id uuid, hold_id uuid, resend_id uuid, at timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    hold record;
    earlier record;
    remaining integer;
    has_holds boolean;
    left_for_user bigint;
    ended_tickets integer := 0;
    is_purchased boolean;
BEGIN
    SELECT *
    INTO hold
    FROM ticketing_private.holds AS stored
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id;

    IF hold.state = 'purchased' THEN
        RETURN 'exists';
    END IF;

    PERFORM
    FROM ticketing_private.purchases AS purchase
    WHERE purchase.ticket_option_id = option_id
        AND purchase.id = hold_id;

    IF FOUND THEN
        RETURN 'exists_different';
    END IF;

    SELECT
        bool_or(stored.resend_id = purchase_late_hold.resend_id) AS is_this_request,
        count(*) > 0 AS is_any
    INTO earlier
    FROM ticketing_private.refused_resends AS stored
    WHERE stored.ticket_option_id = option_id
        AND stored.id = hold_id
        AND stored.outcome = 'hold_expired';

    IF resend_id IS NULL AND earlier.is_any THEN
        RETURN 'refused_before';
    ELSIF earlier.is_this_request THEN
        RETURN 'hold_expired';
    END IF;

    IF hold.state = 'held' THEN
        ended_tickets := hold.quantity;

        UPDATE ticketing_private.holds AS stored
        SET
            state = 'expired',
            expired_at = at
        WHERE stored.ticket_option_id = option_id
            AND stored.id = hold_id;
    END IF;

    SELECT
        option.allocation + ended_tickets,
        option.held > ended_tickets
    INTO remaining, has_holds
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;

    SELECT rules.left_for_users[1]
    INTO left_for_user
    FROM ticketing_private.rules_of_option(option_id, ARRAY[hold.user_id], at) AS rules;

    is_purchased := hold.quantity <= coalesce(left_for_user, hold.quantity);

    IF is_purchased AND hold.quantity > remaining AND has_holds THEN
        SELECT
            ended_tickets + ended.tickets,
            remaining + ended.tickets
        INTO ended_tickets, remaining
        FROM ticketing_private.expire_holds(
            option_id, hold.quantity - remaining, 9223372036854775807, at
        ) AS ended;
    END IF;

    is_purchased := is_purchased AND hold.quantity <= remaining;

    IF is_purchased OR ended_tickets > 0 THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = remaining - CASE WHEN is_purchased THEN hold.quantity ELSE 0 END,
            held = option.held - ended_tickets,
            updated_at = greatest(option.updated_at, at)
        WHERE option.id = option_id;
    END IF;

    IF is_purchased THEN
        UPDATE ticketing_private.holds AS stored
        SET
            state = 'purchased',
            purchased_at = at
        WHERE stored.ticket_option_id = option_id
            AND stored.id = hold_id;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
        VALUES (option_id, hold_id, hold.user_id, hold.quantity, at);

        RETURN 'created';
    END IF;

    IF resend_id IS NOT NULL THEN
        PERFORM ticketing_private.store_refusals(
            option_id, ARRAY[hold_id], ARRAY[resend_id], ARRAY['hold_expired'], NULL, at
        );
    END IF;

    RETURN 'hold_expired';
END
$$;

ALTER FUNCTION ticketing_private.purchase_late_hold(option_id uuid, hold_id uuid, resend_id uuid, at timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_late_hold(option_id uuid, hold_id uuid, resend_id uuid, at timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.purchase_late_hold(option_id uuid, hold_id uuid, resend_id uuid, at timestamp with time zone) IS 'Purchases a hold that ran out, if its tickets are still free and the user may have them.';

--
-- Name: raise_refusal(uuid, integer, text, jsonb); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.raise_refusal(option_id uuid, qty integer, outcome text, detail jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing_private.raise_refusal(option_id uuid, qty integer, outcome text, detail jsonb) OWNER TO ticketing_owner;

--
-- Name: FUNCTION raise_refusal(option_id uuid, qty integer, outcome text, detail jsonb); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.raise_refusal(option_id uuid, qty integer, outcome text, detail jsonb) IS 'Turns an outcome that is a refusal into the error that people get.';

--
-- Name: ran_out(uuid, timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.ran_out(option_id uuid, at timestamp with time zone) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT coalesce(sum(hold.quantity), 0)::integer
    FROM ticketing_private.holds AS hold
    WHERE hold.ticket_option_id = option_id
        AND hold.state = 'held'
        AND hold.expires_at <= at;
$$;

ALTER FUNCTION ticketing_private.ran_out(option_id uuid, at timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION ran_out(option_id uuid, at timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.ran_out(option_id uuid, at timestamp with time zone) IS 'How many tickets of an option are in holds that have run out, and are still to be returned.';

--
-- Name: require_changes(jsonb); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.require_changes(changes jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    change record;
    is_right boolean;
BEGIN
    IF jsonb_typeof(changes) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the changes must be a JSON object'
            USING ERRCODE = 'TK003',
                  HINT = 'Such as ''{"capacity": 200, "max_per_user": null}''.';
    END IF;

    FOR change IN
        SELECT
            member.key,
            member.value,
            jsonb_typeof(member.value) AS type,
            member.value #>> '{}' AS text
        FROM jsonb_each(changes) AS member
        ORDER BY member.key
    LOOP
        is_right := CASE
            WHEN change.key IN ('name', 'desc')
                THEN change.type = 'string'
            WHEN change.key = 'capacity'
                THEN change.type = 'number'
                    AND change.text ~ '^[0-9]{1,10}$'
                    AND change.text::bigint <= 2147483647
            WHEN change.key IN ('max_per_purchase', 'max_per_user')
                THEN change.type = 'null'
                    OR change.type = 'number'
                    AND change.text ~ '^[0-9]{1,10}$'
                    AND change.text::bigint BETWEEN 1 AND 2147483647
            WHEN change.key IN ('on_sale_from', 'on_sale_until')
                THEN change.type = 'null'
                    OR change.type = 'string'
                    AND change.text ~* '^\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d(\.\d+)?)?(z|[+-]\d\d(:?\d\d)?)$'
            WHEN change.key = 'paused'
                THEN change.type IN ('boolean', 'null')
        END;

        IF is_right IS NOT TRUE THEN
            RAISE EXCEPTION '%', CASE
                WHEN is_right IS NULL
                    THEN format('a ticket option has no %s that can be changed', change.key)
                WHEN change.key IN ('name', 'desc')
                    THEN format('%s must be a string', change.key)
                WHEN change.key = 'capacity'
                    THEN 'capacity must be an integer from 0 to 2147483647'
                WHEN change.key = 'paused'
                    THEN 'paused must be true or false'
                WHEN change.key ~ '^max'
                    THEN format('%s must be an integer from 1 to 2147483647, or null', change.key)
                ELSE format('%s must be a date and time with its offset from UTC, or null', change.key)
            END
                USING ERRCODE = 'TK003',
                      HINT = 'Change name, desc, capacity, max_per_purchase, max_per_user, on_sale_from, '
                          'on_sale_until or paused; write a time as 2030-12-31T20:00:00Z.';
        END IF;

        IF change.key ~ '^on_sale' AND change.type = 'string' THEN
            PERFORM change.text::timestamptz;
        END IF;
    END LOOP;
EXCEPTION
    WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
        RAISE EXCEPTION '% is no date and time', change.key
            USING ERRCODE = 'TK003',
                  HINT = 'Write it as 2030-12-31T20:00:00Z.';
END
$_$;

ALTER FUNCTION ticketing_private.require_changes(changes jsonb) OWNER TO ticketing_owner;

--
-- Name: FUNCTION require_changes(changes jsonb); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.require_changes(changes jsonb) IS 'Raises TK003 unless these can be changes of a ticket option.';

--
-- Name: require_holds(uuid[], integer[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.require_holds(hold_ids uuid[], expires_in_seconds integer[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF expires_in_seconds IS NULL
        OR array_ndims(expires_in_seconds) > 1
        OR array_lower(expires_in_seconds, 1) <> 1
        OR cardinality(expires_in_seconds) IS DISTINCT FROM cardinality(hold_ids)
        OR array_position(expires_in_seconds, NULL) IS NOT NULL
        OR 1 > ANY (expires_in_seconds)
        OR 86400 < ANY (expires_in_seconds)
    THEN
        RAISE EXCEPTION 'each hold needs to expire in 1 to 86400 seconds'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass expires_in_seconds from 1 to 86400, which is a day.';
    END IF;
END
$$;

ALTER FUNCTION ticketing_private.require_holds(hold_ids uuid[], expires_in_seconds integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION require_holds(hold_ids uuid[], expires_in_seconds integer[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.require_holds(hold_ids uuid[], expires_in_seconds integer[]) IS 'Raises TK003 unless these can be holds.';

--
-- Name: require_purchases(uuid[], uuid[], integer[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF purchase_ids IS NULL
        OR array_ndims(purchase_ids) > 1
        OR array_ndims(user_ids) > 1
        OR array_ndims(quantities) > 1
        OR array_lower(purchase_ids, 1) <> 1
        OR array_lower(user_ids, 1) <> 1
        OR array_lower(quantities, 1) <> 1
        OR cardinality(user_ids) IS DISTINCT FROM cardinality(purchase_ids)
        OR cardinality(quantities) IS DISTINCT FROM cardinality(user_ids)
        OR array_position(purchase_ids, NULL) IS NOT NULL
        OR array_position(user_ids, NULL) IS NOT NULL
        OR array_position(quantities, NULL) IS NOT NULL
        OR 1 > ANY (quantities)
    THEN
        RAISE EXCEPTION 'every purchase needs an id, a user and a quantity of at least 1'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass arrays of equal length, without NULL, with quantities from 1 to 2147483647.';
    END IF;
END
$$;

ALTER FUNCTION ticketing_private.require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]) IS 'Raises TK003 unless the arrays describe purchases.';

--
-- Name: require_resends(uuid[], uuid[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.require_resends(ids uuid[], resend_ids uuid[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF resend_ids IS NOT NULL
        AND (
            array_ndims(resend_ids) > 1
            OR array_lower(resend_ids, 1) <> 1
            OR cardinality(resend_ids) IS DISTINCT FROM cardinality(ids)
            OR array_position(resend_ids, NULL) IS NOT NULL
        )
    THEN
        RAISE EXCEPTION 'each resend needs an id'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass an array of one id for each, or NULL when nothing is sent again.';
    END IF;
END
$$;

ALTER FUNCTION ticketing_private.require_resends(ids uuid[], resend_ids uuid[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION require_resends(ids uuid[], resend_ids uuid[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.require_resends(ids uuid[], resend_ids uuid[]) IS 'Raises TK003 unless these can be the ids of resends.';

--
-- Name: rfc3339(timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.rfc3339(moment timestamp with time zone) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END
$$;

ALTER FUNCTION ticketing_private.rfc3339(moment timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION rfc3339(moment timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.rfc3339(moment timestamp with time zone) IS 'The moment in UTC, as RFC 3339 writes it.';

--
-- Name: rules_of_option(uuid, uuid[], timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.rules_of_option(option_id uuid, user_ids uuid[], at timestamp with time zone, OUT not_on_sale jsonb, OUT max_per_purchase integer, OUT max_per_user integer, OUT user_places integer[], OUT left_for_users bigint[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    users uuid[];
    has_holds boolean;
BEGIN
    SELECT
        CASE
            WHEN option.paused
                THEN jsonb_build_object('reason', 'paused')
            WHEN at < option.on_sale_from
                THEN jsonb_build_object(
                    'reason', 'not_yet',
                    'on_sale_from', ticketing_private.rfc3339(option.on_sale_from)
                )
            WHEN at >= option.on_sale_until
                THEN jsonb_build_object('reason', 'over')
        END,
        option.max_per_purchase,
        option.max_per_user,
        option.held > 0
    INTO not_on_sale, max_per_purchase, max_per_user, has_holds
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;

    IF max_per_user IS NULL THEN
        RETURN;
    END IF;

    users := ARRAY(
        SELECT DISTINCT asked.user_id
        FROM unnest(user_ids) AS asked (user_id)
        ORDER BY asked.user_id
    );

    -- width_bucket finds each user among the sorted ones by binary search.
    user_places := ARRAY(
        SELECT width_bucket(asked.user_id, users)
        FROM unnest(user_ids) WITH ORDINALITY AS asked (user_id, place)
        ORDER BY asked.place
    );

    left_for_users := ARRAY(
        SELECT greatest(
            0,
            rules_of_option.max_per_user
            - coalesce(
                (
                    SELECT sum(purchase.quantity - purchase.returned)
                    FROM ticketing_private.purchases AS purchase
                    WHERE purchase.ticket_option_id = option_id
                        AND purchase.user_id = asked.user_id
                ),
                0
            )
            - CASE
                WHEN has_holds
                    THEN coalesce(
                        (
                            SELECT sum(hold.quantity)
                            FROM ticketing_private.holds AS hold
                            WHERE hold.ticket_option_id = option_id
                                AND hold.user_id = asked.user_id
                                AND hold.state = 'held'
                                AND hold.expires_at > at
                        ),
                        0
                    )
                ELSE 0
            END
        )
        FROM unnest(users) WITH ORDINALITY AS asked (user_id, place)
        ORDER BY asked.place
    );
END
$$;

ALTER FUNCTION ticketing_private.rules_of_option(option_id uuid, user_ids uuid[], at timestamp with time zone, OUT not_on_sale jsonb, OUT max_per_purchase integer, OUT max_per_user integer, OUT user_places integer[], OUT left_for_users bigint[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION rules_of_option(option_id uuid, user_ids uuid[], at timestamp with time zone, OUT not_on_sale jsonb, OUT max_per_purchase integer, OUT max_per_user integer, OUT user_places integer[], OUT left_for_users bigint[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.rules_of_option(option_id uuid, user_ids uuid[], at timestamp with time zone, OUT not_on_sale jsonb, OUT max_per_purchase integer, OUT max_per_user integer, OUT user_places integer[], OUT left_for_users bigint[]) IS 'Whether an option is on sale at that moment, and how many tickets a purchase and each user may have.';

--
-- Name: state_of_hold(text, timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.state_of_hold(state text, expires_at timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF state = 'held' AND expires_at <= ticketing_private.clock() THEN
        RETURN 'expired';
    END IF;

    RETURN state;
END
$$;

ALTER FUNCTION ticketing_private.state_of_hold(state text, expires_at timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION state_of_hold(state text, expires_at timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.state_of_hold(state text, expires_at timestamp with time zone) IS 'The state of a hold at this moment.';

--
-- Name: store_refusals(uuid, uuid[], uuid[], text[], jsonb[], timestamp with time zone); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.store_refusals(option_id uuid, ids uuid[], resend_ids uuid[], outcomes text[], details jsonb[], at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
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
$$;

ALTER FUNCTION ticketing_private.store_refusals(option_id uuid, ids uuid[], resend_ids uuid[], outcomes text[], details jsonb[], at timestamp with time zone) OWNER TO ticketing_owner;

--
-- Name: FUNCTION store_refusals(option_id uuid, ids uuid[], resend_ids uuid[], outcomes text[], details jsonb[], at timestamp with time zone); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.store_refusals(option_id uuid, ids uuid[], resend_ids uuid[], outcomes text[], details jsonb[], at timestamp with time zone) IS 'Stores what was refused of a call that was sent again.';

--
-- Name: take_tickets_of_many(uuid[], uuid[], uuid[], integer[], integer[], uuid[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.take_tickets_of_many(option_ids uuid[], ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(ids), 0);
    is_hold CONSTANT boolean := expires_in_seconds IS NOT NULL;
    is_resent CONSTANT boolean := resend_ids IS NOT NULL;
    happens_at timestamptz := ticketing_private.clock();
    locked_ids uuid[];
    locked_specially boolean[];
    remaining integer[];
    option_places integer[];
    has_special boolean := false;
    stored record;
    decided record;
    special record;
BEGIN
    outcomes := array_fill(NULL::text, ARRAY[batch_size]);

    SELECT
        array_agg(locked.id ORDER BY locked.id),
        array_agg(locked.allocation ORDER BY locked.id),
        array_agg(locked.is_special ORDER BY locked.id),
        coalesce(bool_or(locked.is_special), false)
    INTO locked_ids, remaining, locked_specially, has_special
    FROM (
        SELECT
            option.id,
            option.allocation,
            is_resent
                OR option.has_refused_resends
                OR option.paused
                OR num_nonnulls(
                    option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                ) > 0
                OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at) AS is_special
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = ANY (option_ids)
            AND (
                option.allocation > 0
                OR is_resent
                OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
            )
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked;

    happens_at := ticketing_private.clock();

    -- width_bucket finds each option among the sorted ones by binary search.
    SELECT array_agg(
        CASE
            WHEN locked_ids[asked.locked_place] = asked.option_id
                THEN asked.locked_place
        END
        ORDER BY asked.place
    )
    INTO option_places
    FROM (
        SELECT
            purchase.*,
            width_bucket(purchase.option_id, locked_ids) AS locked_place
        FROM unnest(option_ids) WITH ORDINALITY AS purchase (option_id, place)
    ) AS asked;

    -- What could not be locked is sold out, is not there, or is busy. That is read
    -- before what is stored: the sale of the last tickets that is committed in
    -- between may be this very purchase, sent for the first time.
    IF has_special OR array_position(option_places, NULL) IS NOT NULL THEN
        SELECT
            array_agg(asked.outcome ORDER BY asked.place),
            bool_or(asked.outcome = 'special')
        INTO outcomes, has_special
        FROM (
            SELECT
                asked.place,
                CASE
                    WHEN option_places[asked.place] IS NOT NULL
                        THEN CASE WHEN locked_specially[option_places[asked.place]] THEN 'special' END
                    WHEN option.id IS NULL
                        THEN 'not_found'
                    WHEN option.allocation > 0
                        OR is_resent
                        OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at)
                        THEN 'busy'
                    WHEN option.paused
                        OR num_nonnulls(
                            option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                        ) > 0
                        THEN 'special'
                    ELSE 'sold_out'
                END AS outcome
            FROM unnest(option_ids) WITH ORDINALITY AS asked (option_id, place)
            LEFT JOIN ticketing_private.ticket_options AS option ON option.id = asked.option_id
        ) AS asked;
    END IF;

    IF is_hold THEN
        FOR stored IN
            SELECT
                asked.place,
                hold.user_id = user_ids[asked.place]
                    AND hold.quantity = quantities[asked.place]
                    AND hold.expires_at - hold.created_at
                        = make_interval(secs => expires_in_seconds[asked.place]) AS is_same
            FROM unnest(option_ids, ids) WITH ORDINALITY AS asked (option_id, id, place)
            INNER JOIN ticketing_private.holds AS hold
                ON hold.ticket_option_id = asked.option_id
                AND hold.id = asked.id
            FOR KEY SHARE OF hold
        LOOP
            outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
        END LOOP;
    ELSE
        FOR stored IN
            SELECT
                asked.place,
                purchase.user_id = user_ids[asked.place]
                    AND purchase.quantity = quantities[asked.place] AS is_same
            FROM unnest(option_ids, ids) WITH ORDINALITY AS asked (option_id, id, place)
            INNER JOIN ticketing_private.purchases AS purchase
                ON purchase.ticket_option_id = asked.option_id
                AND purchase.id = asked.id
            FOR KEY SHARE OF purchase
        LOOP
            outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
        END LOOP;
    END IF;

    decided := ticketing_private.decide_purchases(
        option_places, ids, user_ids, quantities, expires_in_seconds,
        NULL, NULL, NULL, NULL, outcomes, remaining
    );

    IF decided.sold_places <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = left_over.allocation,
            held = option.held + CASE WHEN is_hold THEN option.allocation - left_over.allocation ELSE 0 END,
            updated_at = greatest(option.updated_at, happens_at)
        FROM unnest(locked_ids, decided.remaining) AS left_over (id, allocation)
        WHERE option.id = left_over.id
            AND option.allocation <> left_over.allocation;

        IF is_hold THEN
            INSERT INTO ticketing_private.holds (
                ticket_option_id, id, user_id, quantity, created_at, expires_at
            )
            SELECT
                option_ids[taken.place],
                ids[taken.place],
                user_ids[taken.place],
                quantities[taken.place],
                happens_at,
                happens_at + make_interval(secs => expires_in_seconds[taken.place])
            FROM unnest(decided.sold_places) AS taken (place);
        ELSE
            INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
            SELECT
                option_ids[sold.place],
                ids[sold.place],
                user_ids[sold.place],
                quantities[sold.place],
                happens_at
            FROM unnest(decided.sold_places) AS sold (place);
        END IF;
    END IF;

    outcomes := decided.outcomes;

    IF is_hold OR 'sold_out' = ANY (outcomes) THEN
        -- Where there is nothing to lock, nothing was left.
        details := ticketing_private.details_of_outcomes(
            option_ids, ids, outcomes, NULL,
            ARRAY(
                SELECT CASE asked.outcome WHEN 'sold_out' THEN coalesce(decided.left_over[asked.place], 0) END
                FROM unnest(outcomes) WITH ORDINALITY AS asked (outcome, place)
                ORDER BY asked.place
            ),
            NULL, expires_in_seconds, happens_at
        );
    END IF;

    IF has_special THEN
        details := coalesce(details, array_fill(NULL::jsonb, ARRAY[cardinality(ids)]));

        FOR special IN
            SELECT
                asked.option_id,
                array_agg(asked.place::integer ORDER BY asked.place) AS places,
                array_agg(asked.id ORDER BY asked.place) AS ids,
                array_agg(asked.user_id ORDER BY asked.place) AS user_ids,
                array_agg(asked.quantity ORDER BY asked.place) AS quantities,
                CASE WHEN is_hold THEN array_agg(asked.seconds ORDER BY asked.place) END AS seconds,
                CASE WHEN is_resent THEN array_agg(asked.resend_id ORDER BY asked.place) END AS resend_ids
            FROM unnest(option_ids, ids, user_ids, quantities, expires_in_seconds, resend_ids)
                WITH ORDINALITY AS asked (option_id, id, user_id, quantity, seconds, resend_id, place)
            WHERE outcomes[asked.place] = 'special'
            GROUP BY asked.option_id
            ORDER BY asked.option_id
        LOOP
            SELECT
                taken.outcomes,
                taken.details
            INTO decided
            FROM ticketing_private.take_tickets_of_one(
                special.option_id, special.ids, special.user_ids, special.quantities,
                special.seconds, special.resend_ids, option_places[special.places[1]] IS NOT NULL
            ) AS taken;

            FOR i IN 1..cardinality(special.places) LOOP
                outcomes[special.places[i]] := decided.outcomes[i];
                details[special.places[i]] := decided.details[i];
            END LOOP;
        END LOOP;
    END IF;
END
$$;

ALTER FUNCTION ticketing_private.take_tickets_of_many(option_ids uuid[], ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION take_tickets_of_many(option_ids uuid[], ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.take_tickets_of_many(option_ids uuid[], ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) IS 'Sells or holds tickets of many options, without waiting for a lock.';

--
-- Name: take_tickets_of_one(uuid, uuid[], uuid[], integer[], integer[], uuid[], boolean); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.take_tickets_of_one(option_id uuid, ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], may_wait boolean, OUT outcomes text[], OUT details jsonb[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(ids), 0);
    is_hold CONSTANT boolean := expires_in_seconds IS NOT NULL;
    is_resent CONSTANT boolean := resend_ids IS NOT NULL;
    is_locked boolean := false;
    is_to_be_had boolean;
    remaining integer;
    has_holds boolean;
    has_rules boolean;
    has_refused_resends boolean;
    happens_at timestamptz;
    stored record;
    earlier record;
    not_on_sale jsonb;
    max_per_purchase integer;
    max_per_user integer;
    user_places integer[];
    left_for_users bigint[];
    decided record;
    ended_tickets integer := 0;
    taken_tickets integer;
BEGIN
    outcomes := array_fill(NULL::text, ARRAY[batch_size]);

    IF may_wait THEN
        SELECT
            option.allocation,
            option.held > 0,
            option.paused OR num_nonnulls(
                option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
            ) > 0,
            option.has_refused_resends
        INTO remaining, has_holds, has_rules, has_refused_resends
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
            AND (option.allocation >= ANY (quantities) OR is_resent)
        FOR NO KEY UPDATE;

        is_locked := FOUND;
    END IF;

    happens_at := ticketing_private.clock();

    IF NOT is_locked THEN
        SELECT
            option.allocation,
            option.held > 0,
            option.paused OR num_nonnulls(
                option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
            ) > 0,
            option.allocation >= ANY (quantities)
                OR is_resent
                OR option.held > 0 AND ticketing_private.has_run_out(option.id, happens_at),
            option.has_refused_resends
        INTO remaining, has_holds, has_rules, is_to_be_had, has_refused_resends
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        IF NOT FOUND THEN
            outcomes := array_fill('not_found'::text, ARRAY[batch_size]);
            RETURN;
        END IF;

        -- Tickets may have been given back meanwhile, or may be when holds are ended.
        -- Else what remains is less than anybody asked for, and nothing will be sold.
        IF is_to_be_had AND may_wait THEN
            SELECT
                option.allocation,
                option.held > 0,
                option.paused OR num_nonnulls(
                    option.max_per_purchase, option.max_per_user, option.on_sale_from, option.on_sale_until
                ) > 0,
                option.has_refused_resends
            INTO remaining, has_holds, has_rules, has_refused_resends
            FROM ticketing_private.ticket_options AS option
            WHERE option.id = option_id
            FOR NO KEY UPDATE;

            is_locked := true;
            happens_at := ticketing_private.clock();
        ELSIF is_to_be_had THEN
            outcomes := array_fill('busy'::text, ARRAY[batch_size]);
            RETURN;
        END IF;
    END IF;

    IF is_hold THEN
        SELECT
            array_agg(hold.id ORDER BY hold.id) AS ids,
            array_agg(hold.user_id ORDER BY hold.id) AS user_ids,
            array_agg(hold.quantity ORDER BY hold.id) AS quantities,
            array_agg(hold.lifetime ORDER BY hold.id) AS lifetimes
        INTO stored
        FROM (
            SELECT
                hold.id,
                hold.user_id,
                hold.quantity,
                hold.expires_at - hold.created_at AS lifetime
            FROM ticketing_private.holds AS hold
            WHERE hold.ticket_option_id = option_id
                AND hold.id = ANY (ids)
            FOR KEY SHARE
        ) AS hold;
    ELSE
        SELECT
            array_agg(purchase.id ORDER BY purchase.id) AS ids,
            array_agg(purchase.user_id ORDER BY purchase.id) AS user_ids,
            array_agg(purchase.quantity ORDER BY purchase.id) AS quantities,
            NULL::interval[] AS lifetimes
        INTO stored
        FROM (
            SELECT
                purchase.id,
                purchase.user_id,
                purchase.quantity
            FROM ticketing_private.purchases AS purchase
            WHERE purchase.ticket_option_id = option_id
                AND purchase.id = ANY (ids)
            FOR KEY SHARE
        ) AS purchase;
    END IF;

    IF stored.ids IS NOT NULL THEN
        -- width_bucket finds each id among the sorted ones by binary search.
        SELECT array_agg(
            CASE
                WHEN stored.ids[asked.stored_place] IS DISTINCT FROM asked.id
                    THEN NULL
                WHEN stored.user_ids[asked.stored_place] = asked.user_id
                    AND stored.quantities[asked.stored_place] = asked.quantity
                    AND (
                        NOT is_hold
                        OR stored.lifetimes[asked.stored_place] = make_interval(secs => asked.expires_in_seconds)
                    )
                    THEN 'exists'
                ELSE 'exists_different'
            END
            ORDER BY asked.place
        )
        INTO outcomes
        FROM (
            SELECT
                purchase.*,
                width_bucket(purchase.id, stored.ids) AS stored_place
            FROM unnest(ids, user_ids, quantities, expires_in_seconds)
                WITH ORDINALITY AS purchase (id, user_id, quantity, expires_in_seconds, place)
        ) AS asked;
    END IF;

    IF has_refused_resends THEN
        details := array_fill(NULL::jsonb, ARRAY[batch_size]);

        FOR earlier IN
            SELECT
                asked.place,
                refused.resend_id = asked.resend_id AS is_same_request,
                refused.outcome,
                refused.detail
            FROM unnest(ids, resend_ids) WITH ORDINALITY AS asked (id, resend_id, place)
            INNER JOIN ticketing_private.refused_resends AS refused
                ON refused.ticket_option_id = option_id
                AND refused.id = asked.id
                AND refused.resend_id = coalesce(asked.resend_id, refused.resend_id)
        LOOP
            IF outcomes[earlier.place] IS NULL THEN
                outcomes[earlier.place] := CASE
                    WHEN earlier.is_same_request THEN earlier.outcome
                    ELSE 'refused_before'
                END;
                details[earlier.place] := CASE WHEN earlier.is_same_request THEN earlier.detail END;
            END IF;
        END LOOP;
    END IF;

    IF has_rules THEN
        SELECT
            rules.not_on_sale,
            rules.max_per_purchase,
            rules.max_per_user,
            rules.user_places,
            rules.left_for_users
        INTO not_on_sale, max_per_purchase, max_per_user, user_places, left_for_users
        FROM ticketing_private.rules_of_option(option_id, user_ids, happens_at) AS rules;

        IF not_on_sale IS NOT NULL THEN
            details := coalesce(details, array_fill(NULL::jsonb, ARRAY[batch_size]));

            FOR i IN 1..batch_size LOOP
                IF outcomes[i] IS NULL THEN
                    outcomes[i] := 'not_on_sale';
                    details[i] := not_on_sale;
                END IF;
            END LOOP;
        END IF;
    END IF;

    decided := ticketing_private.decide_purchases(
        array_fill(1, ARRAY[batch_size]), ids, user_ids, quantities, expires_in_seconds,
        max_per_purchase, max_per_user, user_places, left_for_users, outcomes, ARRAY[remaining]
    );

    IF is_locked AND has_holds AND 'sold_out' = ANY (decided.outcomes) THEN
        SELECT ended.tickets
        INTO ended_tickets
        FROM ticketing_private.expire_holds(
            option_id,
            (
                SELECT sum(asked.quantity) - decided.remaining[1]
                FROM unnest(quantities, decided.outcomes) AS asked (quantity, outcome)
                WHERE asked.outcome = 'sold_out'
            ),
            9223372036854775807,
            happens_at
        ) AS ended;

        IF ended_tickets > 0 THEN
            remaining := remaining + ended_tickets;
            decided := ticketing_private.decide_purchases(
                array_fill(1, ARRAY[batch_size]), ids, user_ids, quantities, expires_in_seconds,
                max_per_purchase, max_per_user, user_places, left_for_users, outcomes, ARRAY[remaining]
            );
        END IF;
    END IF;

    taken_tickets := remaining - decided.remaining[1];

    IF taken_tickets > 0 OR ended_tickets > 0 THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = decided.remaining[1],
            held = option.held - ended_tickets + CASE WHEN is_hold THEN taken_tickets ELSE 0 END,
            updated_at = greatest(option.updated_at, happens_at)
        WHERE option.id = option_id;
    END IF;

    IF taken_tickets > 0 AND is_hold THEN
        INSERT INTO ticketing_private.holds (
            ticket_option_id, id, user_id, quantity, created_at, expires_at
        )
        SELECT
            option_id,
            ids[taken.place],
            user_ids[taken.place],
            quantities[taken.place],
            happens_at,
            happens_at + make_interval(secs => expires_in_seconds[taken.place])
        FROM unnest(decided.sold_places) AS taken (place);
    ELSIF taken_tickets > 0 THEN
        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity, created_at)
        SELECT option_id, ids[sold.place], user_ids[sold.place], quantities[sold.place], happens_at
        FROM unnest(decided.sold_places) AS sold (place);
    END IF;

    outcomes := decided.outcomes;

    IF is_hold OR decided.left_over IS NOT NULL THEN
        details := ticketing_private.details_of_outcomes(
            array_fill(option_id, ARRAY[batch_size]), ids, outcomes, details,
            decided.left_over, decided.broken_limits, expires_in_seconds, happens_at
        );
    END IF;

    IF is_resent THEN
        PERFORM ticketing_private.store_refusals(option_id, ids, resend_ids, outcomes, details, happens_at);
    END IF;
END
$$;

ALTER FUNCTION ticketing_private.take_tickets_of_one(option_id uuid, ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], may_wait boolean, OUT outcomes text[], OUT details jsonb[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION take_tickets_of_one(option_id uuid, ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], may_wait boolean, OUT outcomes text[], OUT details jsonb[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.take_tickets_of_one(option_id uuid, ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], may_wait boolean, OUT outcomes text[], OUT details jsonb[]) IS 'Sells or holds tickets of one option: what every function that does is made of.';

--
-- Name: values_of_option(text, text, integer, integer, integer, timestamp with time zone, timestamp with time zone, boolean); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.values_of_option(name text, description text, capacity integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN jsonb_build_object(
        'name', name,
        'desc', description,
        'allocation', capacity,
        'max_per_purchase', max_per_purchase,
        'max_per_user', max_per_user,
        'on_sale_from', ticketing_private.rfc3339(on_sale_from),
        'on_sale_until', ticketing_private.rfc3339(on_sale_until),
        'paused', paused
    );
END
$$;

ALTER FUNCTION ticketing_private.values_of_option(name text, description text, capacity integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) OWNER TO ticketing_owner;

--
-- Name: FUNCTION values_of_option(name text, description text, capacity integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.values_of_option(name text, description text, capacity integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) IS 'What an option is created with, as one value.';

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: capacity_changes; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.capacity_changes (
    ticket_option_id uuid NOT NULL,
    number integer NOT NULL,
    capacity_before integer NOT NULL,
    capacity_after integer NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT capacity_changes_capacity_range CHECK (((capacity_before >= 0) AND (capacity_after >= 0))),
    CONSTRAINT capacity_changes_change_something CHECK ((capacity_before <> capacity_after)),
    CONSTRAINT capacity_changes_number_range CHECK ((number >= 1))
);

ALTER TABLE ticketing_private.capacity_changes OWNER TO ticketing_owner;

--
-- Name: TABLE capacity_changes; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.capacity_changes IS 'How the capacities of options were changed, a row each time. Never changed.';

--
-- Name: capacity_changes; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.capacity_changes AS
 SELECT ticket_option_id,
    number,
    capacity_before,
    capacity_after,
    changed_at
   FROM ticketing_private.capacity_changes;

ALTER VIEW ticketing.capacity_changes OWNER TO ticketing_owner;

--
-- Name: VIEW capacity_changes; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.capacity_changes IS 'How the capacities of options were changed, and when.';

--
-- Name: holds; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.holds (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    quantity integer NOT NULL,
    state text DEFAULT 'held'::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    expired_at timestamp with time zone,
    released_at timestamp with time zone,
    purchased_at timestamp with time zone,
    CONSTRAINT holds_expire_after_they_are_made CHECK ((expires_at > created_at)),
    CONSTRAINT holds_quantity_range CHECK ((quantity >= 1)),
    CONSTRAINT holds_state_has_its_times CHECK (((state =
CASE
    WHEN (purchased_at IS NOT NULL) THEN 'purchased'::text
    WHEN (released_at IS NOT NULL) THEN 'released'::text
    WHEN (expired_at IS NOT NULL) THEN 'expired'::text
    ELSE 'held'::text
END) AND ((purchased_at IS NULL) OR (released_at IS NULL))))
);

ALTER TABLE ticketing_private.holds OWNER TO ticketing_owner;

--
-- Name: TABLE holds; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.holds IS 'Tickets kept for a user for a while. One that is purchased has a row in purchases with its id.';

--
-- Name: COLUMN holds.state; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.holds.state IS 'held, purchased, released or expired. One that ran out stays held until its tickets are returned.';

--
-- Name: COLUMN holds.expired_at; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.holds.expired_at IS 'When its tickets were returned because it had run out. If it was purchased afterwards, its tickets were taken anew.';

--
-- Name: holds; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.holds AS
 SELECT ticket_option_id,
    id,
    user_id,
    quantity,
    state,
    created_at,
    expires_at,
    expired_at,
    released_at,
    purchased_at
   FROM ticketing_private.holds;

ALTER VIEW ticketing.holds OWNER TO ticketing_owner;

--
-- Name: VIEW holds; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.holds IS 'Who keeps, or kept, how many tickets of which option without having purchased them. One that ran out is expired when its tickets are back.';

--
-- Name: purchases; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.purchases (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    quantity integer NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    returned integer DEFAULT 0 NOT NULL,
    cancelled_at timestamp with time zone,
    CONSTRAINT purchases_quantity_range CHECK ((quantity >= 1)),
    CONSTRAINT purchases_returned_range CHECK (((returned >= 0) AND (returned <= quantity) AND ((returned > 0) = (cancelled_at IS NOT NULL))))
);

ALTER TABLE ticketing_private.purchases OWNER TO ticketing_owner;

--
-- Name: TABLE purchases; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.purchases IS 'Who purchased how many tickets of which option. One row per purchase, whatever its quantity.';

--
-- Name: COLUMN purchases.id; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.purchases.id IS 'Chosen by the caller, so that a call whose outcome is unknown can be retried.';

--
-- Name: COLUMN purchases.quantity; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.purchases.quantity IS 'Tickets that were purchased. What the purchase has now is quantity - returned.';

--
-- Name: COLUMN purchases.returned; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.purchases.returned IS 'Tickets that were given back.';

--
-- Name: COLUMN purchases.cancelled_at; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.purchases.cancelled_at IS 'When tickets were given back last; NULL: never.';

--
-- Name: purchases; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.purchases AS
 SELECT ticket_option_id,
    id,
    user_id,
    (quantity - returned) AS quantity,
    created_at,
    quantity AS purchased_quantity,
    cancelled_at
   FROM ticketing_private.purchases;

ALTER VIEW ticketing.purchases OWNER TO ticketing_owner;

--
-- Name: VIEW purchases; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.purchases IS 'Who has how many tickets of which option, and how many they were before some were given back.';

--
-- Name: returns; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.returns (
    ticket_option_id uuid NOT NULL,
    purchase_id uuid NOT NULL,
    number integer NOT NULL,
    quantity integer NOT NULL,
    returned_at timestamp with time zone NOT NULL,
    CONSTRAINT returns_number_range CHECK ((number >= 1)),
    CONSTRAINT returns_quantity_range CHECK ((quantity >= 1))
);

ALTER TABLE ticketing_private.returns OWNER TO ticketing_owner;

--
-- Name: TABLE returns; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.returns IS 'What was given back of purchases, a row each time. Never changed.';

--
-- Name: returns; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.returns AS
 SELECT ticket_option_id,
    purchase_id,
    number,
    quantity,
    returned_at
   FROM ticketing_private.returns;

ALTER VIEW ticketing.returns OWNER TO ticketing_owner;

--
-- Name: VIEW returns; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.returns IS 'What was given back of which purchase, and when.';

--
-- Name: ticket_options; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.ticket_options (
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    capacity integer NOT NULL,
    allocation integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    held integer DEFAULT 0 NOT NULL,
    max_per_purchase integer,
    max_per_user integer,
    on_sale_from timestamp with time zone,
    on_sale_until timestamp with time zone,
    paused boolean DEFAULT false NOT NULL,
    has_refused_resends boolean DEFAULT false NOT NULL,
    created_as jsonb,
    CONSTRAINT ticket_options_allocation_range CHECK (((allocation >= 0) AND (held >= 0) AND (held <= (capacity - allocation)))),
    CONSTRAINT ticket_options_description_length CHECK ((char_length(description) <= 10000)),
    CONSTRAINT ticket_options_name_is_not_blank CHECK ((name ~ '[^\u0009-\u000D\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]'::text)),
    CONSTRAINT ticket_options_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 255))),
    CONSTRAINT ticket_options_updated_after_created CHECK ((updated_at >= created_at))
)
WITH (fillfactor='20');

ALTER TABLE ticketing_private.ticket_options OWNER TO ticketing_owner;

--
-- Name: TABLE ticket_options; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.ticket_options IS 'What is on sale. capacity = allocation + held + what the purchases have now, always.';

--
-- Name: COLUMN ticket_options.capacity; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS 'All tickets: those that are left, those that are held, and those that are sold.';

--
-- Name: COLUMN ticket_options.allocation; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.allocation IS 'The number of tickets that can still be purchased.';

--
-- Name: COLUMN ticket_options.held; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.held IS 'Tickets of the holds whose state is held.';

--
-- Name: COLUMN ticket_options.on_sale_from; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.on_sale_from IS 'On sale from this moment on; NULL: from the beginning.';

--
-- Name: COLUMN ticket_options.on_sale_until; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.on_sale_until IS 'No longer on sale at this moment; NULL: for ever.';

--
-- Name: COLUMN ticket_options.has_refused_resends; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.has_refused_resends IS 'Whether refused_resends has rows of it: else nobody need look.';

--
-- Name: COLUMN ticket_options.created_as; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.created_as IS 'The values that it was created with, once some were changed: for a creation that is sent again.';

--
-- Name: ticket_options; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.ticket_options AS
 SELECT id,
    name,
    description AS "desc",
    capacity,
    allocation,
    ((capacity - allocation) - held) AS sold,
    created_at,
    updated_at,
    held,
    max_per_purchase,
    max_per_user,
    on_sale_from,
    on_sale_until,
    paused
   FROM ticketing_private.ticket_options;

ALTER VIEW ticketing.ticket_options OWNER TO ticketing_owner;

--
-- Name: VIEW ticket_options; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.ticket_options IS 'What is on sale: capacity is all tickets, allocation what is left, held what holds keep, sold the rest.';

--
-- Name: installed_files; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.installed_files (
    path text NOT NULL,
    sha256 text NOT NULL,
    installed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT installed_files_sha256_format CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);

ALTER TABLE ticketing_private.installed_files OWNER TO ticketing_owner;

--
-- Name: TABLE installed_files; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.installed_files IS 'The migrations and procedures that this database was built from. Written by migrate, read by /readyz.';

--
-- Name: refused_resends; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.refused_resends (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    resend_id uuid NOT NULL,
    outcome text NOT NULL,
    detail jsonb,
    refused_at timestamp with time zone NOT NULL
);

ALTER TABLE ticketing_private.refused_resends OWNER TO ticketing_owner;

--
-- Name: TABLE refused_resends; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON TABLE ticketing_private.refused_resends IS 'Calls that were sent again and refused: their earlier sendings, which may still come, must not be filled.';

--
-- Name: COLUMN refused_resends.id; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.refused_resends.id IS 'Of the purchase or the hold that was asked for.';

--
-- Name: COLUMN refused_resends.resend_id; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.refused_resends.resend_id IS 'Of the request: all of its resends have it.';

--
-- Name: capacity_changes capacity_changes_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.capacity_changes
    ADD CONSTRAINT capacity_changes_pkey PRIMARY KEY (ticket_option_id, number);

--
-- Name: holds holds_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (ticket_option_id, id);

--
-- Name: installed_files installed_files_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.installed_files
    ADD CONSTRAINT installed_files_pkey PRIMARY KEY (path);

--
-- Name: purchases purchases_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.purchases
    ADD CONSTRAINT purchases_pkey PRIMARY KEY (ticket_option_id, id);

--
-- Name: refused_resends refused_resends_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.refused_resends
    ADD CONSTRAINT refused_resends_pkey PRIMARY KEY (ticket_option_id, id, resend_id);

--
-- Name: returns returns_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.returns
    ADD CONSTRAINT returns_pkey PRIMARY KEY (ticket_option_id, purchase_id, number);

--
-- Name: ticket_options ticket_options_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.ticket_options
    ADD CONSTRAINT ticket_options_pkey PRIMARY KEY (id);

--
-- Name: holds_of_a_user; Type: INDEX; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE INDEX holds_of_a_user ON ticketing_private.holds USING btree (ticket_option_id, user_id, id);

--
-- Name: holds_that_may_run_out; Type: INDEX; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE INDEX holds_that_may_run_out ON ticketing_private.holds USING btree (ticket_option_id, expires_at) WHERE (state = 'held'::text);

--
-- Name: holds_to_sweep; Type: INDEX; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE INDEX holds_to_sweep ON ticketing_private.holds USING btree (expires_at) WHERE (state = 'held'::text);

--
-- Name: purchases_of_a_user; Type: INDEX; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE INDEX purchases_of_a_user ON ticketing_private.purchases USING btree (ticket_option_id, user_id, id);

--
-- Name: refused_resends_to_forget; Type: INDEX; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE INDEX refused_resends_to_forget ON ticketing_private.refused_resends USING btree (refused_at);

--
-- Name: ticket_options_newest_first; Type: INDEX; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE INDEX ticket_options_newest_first ON ticketing_private.ticket_options USING btree (created_at, id);

--
-- Name: capacity_changes capacity_changes_ticket_option_id_fkey; Type: FK CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.capacity_changes
    ADD CONSTRAINT capacity_changes_ticket_option_id_fkey FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options(id);

--
-- Name: refused_resends refused_resends_ticket_option_id_fkey; Type: FK CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.refused_resends
    ADD CONSTRAINT refused_resends_ticket_option_id_fkey FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options(id);

--
-- Name: returns returns_ticket_option_id_purchase_id_fkey; Type: FK CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.returns
    ADD CONSTRAINT returns_ticket_option_id_purchase_id_fkey FOREIGN KEY (ticket_option_id, purchase_id) REFERENCES ticketing_private.purchases(ticket_option_id, id);

--
-- Name: SCHEMA ticketing; Type: ACL; Schema: -; Owner: ticketing_owner
--

GRANT USAGE ON SCHEMA ticketing TO ticketing_service;
GRANT USAGE ON SCHEMA ticketing TO ticketing_operator;

--
-- Name: FUNCTION audit_allocations(); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.audit_allocations() FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.audit_allocations() TO ticketing_operator;

--
-- Name: FUNCTION change_capacity(option_id uuid, by integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.change_capacity(option_id uuid, by integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.change_capacity(option_id uuid, by integer) TO ticketing_operator;

--
-- Name: FUNCTION create_ticket_option(name text, "desc" text, allocation integer, option_id uuid, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) TO ticketing_operator;

--
-- Name: FUNCTION describe_purchase(option_id uuid, purchase_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION describe_ticket_options(option_ids uuid[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) TO ticketing_operator;

--
-- Name: FUNCTION get_availability(option_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.get_availability(option_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.get_availability(option_id uuid) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.get_availability(option_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION get_hold(option_id uuid, hold_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.get_hold(option_id uuid, hold_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.get_hold(option_id uuid, hold_id uuid) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.get_hold(option_id uuid, hold_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION get_purchase(option_id uuid, purchase_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION get_ticket_option(option_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.get_ticket_option(option_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.get_ticket_option(option_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION get_ticket_options(option_ids uuid[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.get_ticket_options(option_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.get_ticket_options(option_ids uuid[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.get_ticket_options(option_ids uuid[]) TO ticketing_operator;

--
-- Name: FUNCTION hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer, hold_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer, hold_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.hold_tickets(option_id uuid, user_id uuid, qty integer, expires_in_seconds integer, hold_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION installed_files(); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.installed_files() FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.installed_files() TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.installed_files() TO ticketing_operator;

--
-- Name: FUNCTION list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.list_holds(option_id uuid, of_user_id uuid, in_state text, after uuid, items_max integer) TO ticketing_operator;

--
-- Name: FUNCTION list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.list_purchases(option_id uuid, of_user_id uuid, after uuid, items_max integer) TO ticketing_operator;

--
-- Name: FUNCTION list_ticket_options(after uuid, items_max integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.list_ticket_options(after uuid, items_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.list_ticket_options(after uuid, items_max integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.list_ticket_options(after uuid, items_max integer) TO ticketing_operator;

--
-- Name: FUNCTION option_history(option_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.option_history(option_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.option_history(option_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION purchase_hold(option_id uuid, hold_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.purchase_hold(option_id uuid, hold_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.purchase_hold(option_id uuid, hold_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) TO ticketing_operator;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) TO ticketing_operator;

--
-- Name: FUNCTION purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) TO ticketing_operator;

--
-- Name: FUNCTION release_hold(option_id uuid, hold_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.release_hold(option_id uuid, hold_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.release_hold(option_id uuid, hold_id uuid) TO ticketing_operator;

--
-- Name: FUNCTION return_tickets(option_id uuid, purchase_id uuid, remaining integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.return_tickets(option_id uuid, purchase_id uuid, remaining integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.return_tickets(option_id uuid, purchase_id uuid, remaining integer) TO ticketing_operator;

--
-- Name: FUNCTION sweep_expired_holds(holds_max integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.sweep_expired_holds(holds_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.sweep_expired_holds(holds_max integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.sweep_expired_holds(holds_max integer) TO ticketing_operator;

--
-- Name: FUNCTION try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) TO ticketing_operator;

--
-- Name: FUNCTION try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) TO ticketing_operator;

--
-- Name: FUNCTION try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_hold_tickets(option_id uuid, hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_operator;

--
-- Name: FUNCTION try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_hold_tickets_of_many(option_ids uuid[], hold_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_operator;

--
-- Name: FUNCTION try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_purchase_holds(option_id uuid, hold_ids uuid[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_operator;

--
-- Name: FUNCTION try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_operator;

--
-- Name: FUNCTION try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_operator;

--
-- Name: FUNCTION try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) TO ticketing_operator;

--
-- Name: FUNCTION try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_release_hold(option_id uuid, hold_id uuid, lock_wait_ms integer) TO ticketing_operator;

--
-- Name: FUNCTION try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_return_tickets(option_id uuid, purchase_id uuid, remaining integer, lock_wait_ms integer, OUT outcome text, OUT user_id uuid, OUT quantity integer, OUT created_at timestamp with time zone, OUT purchased_quantity integer, OUT cancelled_at timestamp with time zone, OUT given_back integer) TO ticketing_operator;

--
-- Name: FUNCTION try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_update_ticket_option(option_id uuid, changes jsonb, lock_wait_ms integer, OUT outcome text, OUT id uuid, OUT name text, OUT "desc" text, OUT allocation integer, OUT more json, OUT capacity integer, OUT sold integer, OUT held integer) TO ticketing_operator;

--
-- Name: FUNCTION update_ticket_option(option_id uuid, changes jsonb); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.update_ticket_option(option_id uuid, changes jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.update_ticket_option(option_id uuid, changes jsonb) TO ticketing_operator;

--
-- Name: FUNCTION bound_lock_wait(lock_wait_ms integer); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.bound_lock_wait(lock_wait_ms integer) FROM PUBLIC;

--
-- Name: FUNCTION check_rules(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.check_rules(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION clock(); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.clock() FROM PUBLIC;

--
-- Name: FUNCTION decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], max_quantity integer, max_per_user integer, user_places integer[], left_for_users bigint[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[], OUT left_over integer[], OUT broken_limits integer[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], max_quantity integer, max_per_user integer, user_places integer[], left_for_users bigint[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[], OUT left_over integer[], OUT broken_limits integer[]) FROM PUBLIC;

--
-- Name: FUNCTION details_of_outcomes(option_ids uuid[], ids uuid[], outcomes text[], details jsonb[], left_over integer[], broken_limits integer[], expires_in_seconds integer[], happens_at timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.details_of_outcomes(option_ids uuid[], ids uuid[], outcomes text[], details jsonb[], left_over integer[], broken_limits integer[], expires_in_seconds integer[], happens_at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION expire_holds(option_id uuid, tickets_needed bigint, holds_max bigint, at timestamp with time zone, OUT tickets integer, OUT holds integer); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.expire_holds(option_id uuid, tickets_needed bigint, holds_max bigint, at timestamp with time zone, OUT tickets integer, OUT holds integer) FROM PUBLIC;

--
-- Name: FUNCTION has_run_out(option_id uuid, at timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.has_run_out(option_id uuid, at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION lock_option(option_id uuid, quantities integer[], is_resent boolean, lock_wait_ms integer); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.lock_option(option_id uuid, quantities integer[], is_resent boolean, lock_wait_ms integer) FROM PUBLIC;

--
-- Name: FUNCTION message_of_constraint(constraint_name text); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.message_of_constraint(constraint_name text) FROM PUBLIC;

--
-- Name: FUNCTION more_members(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.more_members(max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) FROM PUBLIC;

--
-- Name: FUNCTION outcomes_without_details(outcomes text[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.outcomes_without_details(outcomes text[]) FROM PUBLIC;

--
-- Name: FUNCTION purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.purchase_holds_of_many(option_ids uuid[], hold_ids uuid[], resend_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION purchase_late_hold(option_id uuid, hold_id uuid, resend_id uuid, at timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.purchase_late_hold(option_id uuid, hold_id uuid, resend_id uuid, at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION raise_refusal(option_id uuid, qty integer, outcome text, detail jsonb); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.raise_refusal(option_id uuid, qty integer, outcome text, detail jsonb) FROM PUBLIC;

--
-- Name: FUNCTION ran_out(option_id uuid, at timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.ran_out(option_id uuid, at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION require_changes(changes jsonb); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.require_changes(changes jsonb) FROM PUBLIC;

--
-- Name: FUNCTION require_holds(hold_ids uuid[], expires_in_seconds integer[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.require_holds(hold_ids uuid[], expires_in_seconds integer[]) FROM PUBLIC;

--
-- Name: FUNCTION require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]) FROM PUBLIC;

--
-- Name: FUNCTION require_resends(ids uuid[], resend_ids uuid[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.require_resends(ids uuid[], resend_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION rfc3339(moment timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.rfc3339(moment timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION rules_of_option(option_id uuid, user_ids uuid[], at timestamp with time zone, OUT not_on_sale jsonb, OUT max_per_purchase integer, OUT max_per_user integer, OUT user_places integer[], OUT left_for_users bigint[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.rules_of_option(option_id uuid, user_ids uuid[], at timestamp with time zone, OUT not_on_sale jsonb, OUT max_per_purchase integer, OUT max_per_user integer, OUT user_places integer[], OUT left_for_users bigint[]) FROM PUBLIC;

--
-- Name: FUNCTION state_of_hold(state text, expires_at timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.state_of_hold(state text, expires_at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION store_refusals(option_id uuid, ids uuid[], resend_ids uuid[], outcomes text[], details jsonb[], at timestamp with time zone); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.store_refusals(option_id uuid, ids uuid[], resend_ids uuid[], outcomes text[], details jsonb[], at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION take_tickets_of_many(option_ids uuid[], ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.take_tickets_of_many(option_ids uuid[], ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;

--
-- Name: FUNCTION take_tickets_of_one(option_id uuid, ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], may_wait boolean, OUT outcomes text[], OUT details jsonb[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.take_tickets_of_one(option_id uuid, ids uuid[], user_ids uuid[], quantities integer[], expires_in_seconds integer[], resend_ids uuid[], may_wait boolean, OUT outcomes text[], OUT details jsonb[]) FROM PUBLIC;

--
-- Name: FUNCTION values_of_option(name text, description text, capacity integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.values_of_option(name text, description text, capacity integer, max_per_purchase integer, max_per_user integer, on_sale_from timestamp with time zone, on_sale_until timestamp with time zone, paused boolean) FROM PUBLIC;

--
-- Name: TABLE capacity_changes; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.capacity_changes TO ticketing_operator;

--
-- Name: TABLE holds; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.holds TO ticketing_operator;

--
-- Name: TABLE purchases; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.purchases TO ticketing_operator;

--
-- Name: TABLE returns; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.returns TO ticketing_operator;

--
-- Name: TABLE ticket_options; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.ticket_options TO ticketing_operator;

--
-- PostgreSQL database dump complete
--
