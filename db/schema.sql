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

CREATE FUNCTION ticketing.audit_allocations() RETURNS TABLE(ticket_option_id uuid, name text, capacity integer, allocation integer, sold bigint, missing bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT
        option.id,
        option.name,
        option.capacity,
        option.allocation,
        coalesce(sales.sold, 0),
        option.capacity - option.allocation - coalesce(sales.sold, 0)
    FROM ticketing_private.ticket_options AS option
    LEFT JOIN (
        SELECT
            purchase.ticket_option_id,
            sum(purchase.quantity) AS sold
        FROM ticketing_private.purchases AS purchase
        GROUP BY purchase.ticket_option_id
    ) AS sales ON sales.ticket_option_id = option.id
    WHERE option.capacity <> option.allocation + coalesce(sales.sold, 0)
    ORDER BY option.id;
$$;

ALTER FUNCTION ticketing.audit_allocations() OWNER TO ticketing_owner;

--
-- Name: FUNCTION audit_allocations(); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.audit_allocations() IS 'The ticket options whose capacity is not allocation + sold, and by how much:
    select * from audit_allocations();
It should always return no rows.';

--
-- Name: create_ticket_option(text, text, integer, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid DEFAULT gen_random_uuid()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    stored record;
BEGIN
    IF ticketing.try_create_ticket_option(option_id, name, "desc", allocation) = 'exists_different' THEN
        SELECT
            option.name,
            option.description,
            option.capacity
        INTO stored
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        RAISE EXCEPTION 'ticket option % already exists with different values', option_id
            USING ERRCODE = 'TK004',
                  HINT = format(
                      'A retry must use the stored values: '
                      'select ticketing.create_ticket_option(%L, %L, %s, %L);',
                      stored.name, stored.description, stored.capacity, option_id
                  );
    END IF;

    RETURN option_id;
END
$$;

ALTER FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION create_ticket_option(name text, "desc" text, allocation integer, option_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) IS 'Puts a ticket option on sale with the given number of tickets, and returns its id:
    select create_ticket_option(''Evening show'', ''Stalls'', 100);
Raises, with nothing stored:
    TK003  an argument is missing or out of range
    TK004  option_id already exists with different values
A call with an option_id can be retried: it creates one ticket option.';

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
        purchase.quantity,
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
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT
        option.id,
        option.name,
        option.description,
        option.allocation
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;
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
        option.allocation
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
-- Name: purchase_tickets(uuid, uuid[], uuid[], integer[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(purchase_ids), 0);
    outcomes text[] := array_fill(NULL::text, ARRAY[batch_size]);
    remaining integer;
    stored record;
    decided record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);

    SELECT option.allocation
    INTO remaining
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
        AND option.allocation >= ANY (quantities)
    FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        -- Without the lock nothing may be sold, whatever is left by now.
        remaining := 0;

        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;

        IF NOT FOUND THEN
            RETURN array_fill('not_found'::text, ARRAY[batch_size]);
        END IF;
    END IF;

    SELECT
        array_agg(purchase.id ORDER BY purchase.id) AS ids,
        array_agg(purchase.user_id ORDER BY purchase.id) AS user_ids,
        array_agg(purchase.quantity ORDER BY purchase.id) AS quantities
    INTO stored
    FROM (
        SELECT
            purchase.id,
            purchase.user_id,
            purchase.quantity
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id = ANY (purchase_ids)
        FOR KEY SHARE
    ) AS purchase;

    IF stored.ids IS NOT NULL THEN
        -- width_bucket finds each id among the sorted ones by binary search.
        SELECT array_agg(
            CASE
                WHEN stored.ids[asked.stored_place] IS DISTINCT FROM asked.id
                    THEN NULL
                WHEN stored.user_ids[asked.stored_place] = asked.user_id
                    AND stored.quantities[asked.stored_place] = asked.quantity
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
            FROM unnest(purchase_ids, user_ids, quantities)
                WITH ORDINALITY AS purchase (id, user_id, quantity, place)
        ) AS asked;
    END IF;

    decided := ticketing_private.decide_purchases(
        array_fill(1, ARRAY[batch_size]), purchase_ids, user_ids, quantities, outcomes, ARRAY[remaining]
    );

    IF decided.sold_places <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = decided.remaining[1],
            updated_at = greatest(option.updated_at, clock_timestamp())
        WHERE option.id = option_id;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT option_id, purchase_ids[sold.place], user_ids[sold.place], quantities[sold.place]
        FROM unnest(decided.sold_places) AS sold (place);
    END IF;

    RETURN decided.outcomes;
END
$$;

ALTER FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) IS 'Sells tickets of one ticket option to many buyers, and returns an outcome for each, in order:
    created           the tickets are sold and stored
    exists            the id is stored with this user and quantity
    exists_different  the id is stored with a different user or quantity
    sold_out          fewer tickets are left than requested; nothing is taken
    not_found         the ticket option does not exist
Raises TK003 if the arrays differ in length or contain a NULL or a quantity below 1.';

--
-- Name: purchase_tickets(uuid, uuid, integer, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid DEFAULT gen_random_uuid()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

ALTER FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) IS 'Sells qty tickets of a ticket option to a user and returns the purchase''s id:
    select purchase_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  the ticket option does not exist
    TK002  fewer tickets are left than requested
    TK003  an argument is missing or out of range
    TK004  purchase_id already exists with a different user or quantity
A call with a purchase_id can be retried: it sells once.';

--
-- Name: purchase_tickets_of_many(uuid[], uuid[], uuid[], integer[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(purchase_ids), 0);
    outcomes text[] := array_fill(NULL::text, ARRAY[batch_size]);
    locked_ids uuid[];
    remaining integer[];
    option_places integer[];
    stored record;
    decided record;
BEGIN
    PERFORM ticketing_private.require_purchases(purchase_ids, user_ids, quantities);
    PERFORM ticketing_private.require_purchases(option_ids, user_ids, quantities);

    SELECT
        array_agg(locked.id ORDER BY locked.id),
        array_agg(locked.allocation ORDER BY locked.id)
    INTO locked_ids, remaining
    FROM (
        SELECT
            option.id,
            option.allocation
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = ANY (option_ids)
            AND option.allocation > 0
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked;

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

    -- An option that was not locked is sold out, does not exist, or is busy. This is
    -- read before the stored purchases: the sale of the last tickets, committed in
    -- between, may be the first attempt at this very purchase.
    IF array_position(option_places, NULL) IS NOT NULL THEN
        SELECT array_agg(
            CASE
                WHEN option_places[asked.place] IS NOT NULL
                    THEN NULL
                WHEN option.id IS NULL
                    THEN 'not_found'
                WHEN option.allocation = 0
                    THEN 'sold_out'
                ELSE 'busy'
            END
            ORDER BY asked.place
        )
        INTO outcomes
        FROM unnest(option_ids) WITH ORDINALITY AS asked (option_id, place)
        LEFT JOIN ticketing_private.ticket_options AS option ON option.id = asked.option_id;
    END IF;

    FOR stored IN
        SELECT
            asked.place,
            purchase.user_id = user_ids[asked.place]
                AND purchase.quantity = quantities[asked.place] AS is_same
        FROM unnest(option_ids, purchase_ids) WITH ORDINALITY AS asked (option_id, id, place)
        INNER JOIN ticketing_private.purchases AS purchase
            ON purchase.ticket_option_id = asked.option_id
            AND purchase.id = asked.id
        FOR KEY SHARE OF purchase
    LOOP
        outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
    END LOOP;

    decided := ticketing_private.decide_purchases(
        option_places, purchase_ids, user_ids, quantities, outcomes, remaining
    );

    IF decided.sold_places <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = left_over.allocation,
            updated_at = greatest(option.updated_at, clock_timestamp())
        FROM unnest(locked_ids, decided.remaining) AS left_over (id, allocation)
        WHERE option.id = left_over.id
            AND option.allocation <> left_over.allocation;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT
            option_ids[sold.place],
            purchase_ids[sold.place],
            user_ids[sold.place],
            quantities[sold.place]
        FROM unnest(decided.sold_places) AS sold (place);
    END IF;

    RETURN decided.outcomes;
END
$$;

ALTER FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets_of_many(option_ids uuid[], purchase_ids uuid[], user_ids uuid[], quantities integer[]) IS 'Sells tickets of many ticket options in one call, and returns an outcome for each purchase, in order:
those of purchase_tickets(uuid, uuid[], uuid[], integer[]), and
    busy  another transaction has the ticket option locked; nothing was decided
It never waits for the lock of a ticket option.';

--
-- Name: purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    IF lock_wait_ms > 0 THEN
        PERFORM set_config('lock_timeout', lock_wait_ms::text, true);
    ELSE
        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
            AND option.allocation >= ANY (quantities)
        FOR NO KEY UPDATE SKIP LOCKED;

        -- What cannot be sold is not locked by the other function either.
        IF NOT FOUND THEN
            PERFORM
            FROM ticketing_private.ticket_options AS option
            WHERE option.id = option_id
                AND option.allocation >= ANY (quantities);

            IF FOUND THEN
                RETURN array_fill('busy'::text, ARRAY[cardinality(purchase_ids)]);
            END IF;
        END IF;
    END IF;

    RETURN ticketing.purchase_tickets(option_id, purchase_ids, user_ids, quantities);
END
$$;

ALTER FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets_unless_busy(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer) IS 'Sells tickets of one ticket option to many buyers, as purchase_tickets(uuid, uuid[], uuid[], integer[])
does, but waits at most lock_wait_ms milliseconds for the lock of the ticket option. With 0 it does not
wait: if another transaction holds the lock, every outcome is busy, which decides nothing. With more it
raises lock_not_available (55P03) when the time is up.';

--
-- Name: try_create_ticket_option(uuid, text, text, integer); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    stored record;
    broken_constraint text;
BEGIN
    INSERT INTO ticketing_private.ticket_options (id, name, description, capacity, allocation)
    VALUES (option_id, name, "desc", allocation, allocation)
    ON CONFLICT (id) DO NOTHING;

    IF FOUND THEN
        RETURN 'created';
    END IF;

    SELECT
        option.name,
        option.description,
        option.capacity
    INTO stored
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id
    FOR KEY SHARE;

    RETURN CASE
        WHEN (stored.name, stored.description, stored.capacity) = (name, "desc", allocation)
            THEN 'exists'
        ELSE 'exists_different'
    END;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', CASE
            WHEN broken_constraint IN ('ticket_options_name_length', 'ticket_options_name_is_not_blank')
                THEN 'name must be 1 to 255 characters long and not only white space'
            WHEN broken_constraint = 'ticket_options_description_length'
                THEN 'desc must be at most 10000 characters long'
            WHEN broken_constraint IN ('ticket_options_capacity_range', 'ticket_options_allocation_range')
                THEN 'allocation must be an integer from 0 to 2147483647'
            ELSE 'name, desc, allocation and option_id must not be NULL'
        END
            USING ERRCODE = 'TK003',
                  HINT = 'Pass a name of 1 to 255 characters, a desc of at most 10000 characters '
                      'and an allocation from 0 to 2147483647.';
END
$$;

ALTER FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) OWNER TO ticketing_owner;

--
-- Name: FUNCTION try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) IS 'Puts a ticket option on sale with the given number of tickets, and returns the outcome:
    created           the option is stored
    exists            option_id already exists with these values
    exists_different  option_id already exists with different values; nothing was changed
Raises TK003, with nothing stored, if an argument is missing or out of range.';

--
-- Name: decide_purchases(integer[], uuid[], uuid[], integer[], text[], integer[]); Type: FUNCTION; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[]) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    has_repeated_ids CONSTANT boolean := (
        SELECT count(DISTINCT asked.id) < count(*)
        FROM unnest(purchase_ids) AS asked (id)
    );
    -- For each purchase, the place of the first one with the same option and id; and
    -- at that place, the place of the one among them that is sold. Searching
    -- sold_places for every repeat would take quadratic time.
    first_places integer[];
    sold_of_first integer[];
    option_place integer;
    earlier integer;
BEGIN
    sold_places := '{}';

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
                WHEN user_ids[earlier] = user_ids[i] AND quantities[earlier] = quantities[i]
                    THEN 'exists'
                ELSE 'exists_different'
            END;
        ELSIF quantities[i] > remaining[option_place] THEN
            outcomes[i] := 'sold_out';
        ELSE
            outcomes[i] := 'created';
            remaining[option_place] := remaining[option_place] - quantities[i];
            sold_places := sold_places || i;

            IF has_repeated_ids THEN
                sold_of_first[first_places[i]] := i;
            END IF;
        END IF;
    END LOOP;
END
$$;

ALTER FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[]) OWNER TO ticketing_owner;

--
-- Name: FUNCTION decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[]); Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[]) IS 'Decides who gets tickets: the rule behind every function that sells.';

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

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: purchases; Type: TABLE; Schema: ticketing_private; Owner: ticketing_owner
--

CREATE TABLE ticketing_private.purchases (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    quantity integer NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT purchases_quantity_range CHECK ((quantity >= 1))
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
-- Name: purchases; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.purchases AS
 SELECT ticket_option_id,
    id,
    user_id,
    quantity,
    created_at
   FROM ticketing_private.purchases;

ALTER VIEW ticketing.purchases OWNER TO ticketing_owner;

--
-- Name: VIEW purchases; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.purchases IS 'Who purchased how many tickets of which option.';

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
    CONSTRAINT ticket_options_allocation_range CHECK (((allocation >= 0) AND (allocation <= capacity))),
    CONSTRAINT ticket_options_capacity_range CHECK ((capacity >= 0)),
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

COMMENT ON TABLE ticketing_private.ticket_options IS 'What is on sale. Always: capacity = allocation + the quantities purchased.';

--
-- Name: COLUMN ticket_options.capacity; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS 'The number of tickets that the option was created with.';

--
-- Name: COLUMN ticket_options.allocation; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.allocation IS 'The number of tickets that can still be purchased.';

--
-- Name: ticket_options; Type: VIEW; Schema: ticketing; Owner: ticketing_owner
--

CREATE VIEW ticketing.ticket_options AS
 SELECT id,
    name,
    description AS "desc",
    capacity,
    allocation,
    (capacity - allocation) AS sold,
    created_at,
    updated_at
   FROM ticketing_private.ticket_options;

ALTER VIEW ticketing.ticket_options OWNER TO ticketing_owner;

--
-- Name: VIEW ticket_options; Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON VIEW ticketing.ticket_options IS 'What is on sale: capacity is the original number of tickets, allocation what is left.';

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
-- Name: ticket_options ticket_options_pkey; Type: CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.ticket_options
    ADD CONSTRAINT ticket_options_pkey PRIMARY KEY (id);

--
-- Name: purchases purchases_ticket_option_id_fkey; Type: FK CONSTRAINT; Schema: ticketing_private; Owner: ticketing_owner
--

ALTER TABLE ONLY ticketing_private.purchases
    ADD CONSTRAINT purchases_ticket_option_id_fkey FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options(id);

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
-- Name: FUNCTION create_ticket_option(name text, "desc" text, allocation integer, option_id uuid); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) TO ticketing_operator;

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
-- Name: FUNCTION installed_files(); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.installed_files() FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.installed_files() TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.installed_files() TO ticketing_operator;

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
-- Name: FUNCTION try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer); Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.try_create_ticket_option(option_id uuid, name text, "desc" text, allocation integer) TO ticketing_operator;

--
-- Name: FUNCTION decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.decide_purchases(option_places integer[], purchase_ids uuid[], user_ids uuid[], quantities integer[], INOUT outcomes text[], INOUT remaining integer[], OUT sold_places integer[]) FROM PUBLIC;

--
-- Name: FUNCTION require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]); Type: ACL; Schema: ticketing_private; Owner: ticketing_owner
--

REVOKE ALL ON FUNCTION ticketing_private.require_purchases(purchase_ids uuid[], user_ids uuid[], quantities integer[]) FROM PUBLIC;

--
-- Name: TABLE purchases; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.purchases TO ticketing_operator;

--
-- Name: TABLE ticket_options; Type: ACL; Schema: ticketing; Owner: ticketing_owner
--

GRANT SELECT ON TABLE ticketing.ticket_options TO ticketing_operator;

--
-- PostgreSQL database dump complete
--
