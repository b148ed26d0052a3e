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

COMMENT ON SCHEMA ticketing_private IS 'Ticket allocation: the tables. Reached through the functions in ticketing only.';

--
-- Name: audit_allocations(); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.audit_allocations() RETURNS TABLE(ticket_option_id uuid, name text, capacity integer, allocation integer, sold bigint, missing bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
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

COMMENT ON FUNCTION ticketing.audit_allocations() IS 'The options where capacity <> allocation + what was sold, and by how much:
    select * from audit_allocations();
It returns no row, always.';

--
-- Name: create_ticket_option(text, text, integer, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid DEFAULT gen_random_uuid()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
DECLARE
    broken_constraint text;
BEGIN
    INSERT INTO ticketing_private.ticket_options (id, name, description, capacity, allocation)
    VALUES (
        create_ticket_option.option_id,
        create_ticket_option.name,
        create_ticket_option."desc",
        create_ticket_option.allocation,
        create_ticket_option.allocation
    )
    ON CONFLICT (id) DO NOTHING;

    IF NOT FOUND AND NOT EXISTS (
        SELECT
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = create_ticket_option.option_id
            AND option.name = create_ticket_option.name
            AND option.description = create_ticket_option."desc"
            AND option.capacity = create_ticket_option.allocation
    ) THEN
        RAISE EXCEPTION 'ticket option % is stored with other values', option_id
            USING ERRCODE = 'TK004',
                  HINT = format('See it: select * from ticketing.get_ticket_option(%L);', option_id);
    END IF;

    RETURN option_id;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', CASE
            WHEN broken_constraint = 'ticket_options_name_length'
                THEN 'name must have 1 to 255 characters'
            WHEN broken_constraint = 'ticket_options_name_is_not_blank'
                THEN 'name must not be only white space'
            WHEN broken_constraint = 'ticket_options_description_length'
                THEN 'desc must have at most 10000 characters'
            WHEN broken_constraint IN ('ticket_options_capacity_range', 'ticket_options_allocation_range')
                THEN 'allocation must be an integer from 0 to 2147483647'
            ELSE 'name, desc, allocation and option_id must not be NULL'
        END
            USING ERRCODE = 'TK003',
                  HINT = 'select create_ticket_option(name, "desc", allocation), '
                      'with a name of 1 to 255 characters and an allocation from 0 to 2147483647.';
END
$$;

ALTER FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION create_ticket_option(name text, "desc" text, allocation integer, option_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) IS 'Puts something on sale, with so many tickets, and returns the option''s id:
    select create_ticket_option(''Evening show'', ''Stalls'', 100);
Raises, with nothing stored:
    TK003  an argument is missing or out of range
    TK004  option_id is stored with other values
The same option_id with the same values may be sent again: it creates one option.';

--
-- Name: get_purchase(uuid, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) RETURNS TABLE(id uuid, ticket_option_id uuid, user_id uuid, quantity integer, created_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO ''
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

COMMENT ON FUNCTION ticketing.get_purchase(option_id uuid, purchase_id uuid) IS 'The purchase as one row, or no row when there is none:
    select * from get_purchase(''<option>'', ''<purchase>'');';

--
-- Name: get_ticket_option(uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.get_ticket_option(option_id uuid) RETURNS TABLE(id uuid, name text, "desc" text, allocation integer)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO ''
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

COMMENT ON FUNCTION ticketing.get_ticket_option(option_id uuid) IS 'The ticket option as one row, or no row when there is none:
    select * from get_ticket_option(''<option>'');
allocation is what can still be purchased at this moment.';

--
-- Name: installed_files(); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.installed_files() RETURNS TABLE(path text, sha256 text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
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

COMMENT ON FUNCTION ticketing.installed_files() IS 'The migrations and procedures that made this database, each with the SHA-256 of its file.';

--
-- Name: purchase_tickets(uuid, uuid[], uuid[], integer[]); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets(option_id uuid, purchase_ids uuid[], user_ids uuid[], quantities integer[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    batch_size CONSTANT integer := coalesce(cardinality(purchase_ids), 0);
    smallest_quantity integer;
    has_repeated_ids boolean;
    remaining integer;
    stored record;
    earlier integer;
    outcomes text[] := array_fill(NULL::text, ARRAY[batch_size]);
    sold_ids uuid[] := '{}';
    sold_user_ids uuid[] := '{}';
    sold_quantities integer[] := '{}';
BEGIN
    IF cardinality(user_ids) IS DISTINCT FROM batch_size
        OR cardinality(quantities) IS DISTINCT FROM batch_size
        OR array_position(purchase_ids, NULL) IS NOT NULL
        OR array_position(user_ids, NULL) IS NOT NULL
        OR array_position(quantities, NULL) IS NOT NULL
        OR 1 > ANY (quantities)
    THEN
        RAISE EXCEPTION 'each purchase needs an id, a user and a quantity of at least 1'
            USING ERRCODE = 'TK003',
                  HINT = 'Give three arrays of one length, without NULL, with quantities from 1 to 2147483647.';
    END IF;

    SELECT min(asked.quantity), count(DISTINCT asked.id) < batch_size
    INTO smallest_quantity, has_repeated_ids
    FROM unnest(purchase_ids, quantities) AS asked (id, quantity);

    SELECT option.allocation
    INTO remaining
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;

    IF smallest_quantity <= remaining THEN
        SELECT option.allocation
        INTO remaining
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
        FOR NO KEY UPDATE;
    END IF;

    IF remaining IS NULL THEN
        RETURN array_fill('not_found'::text, ARRAY[batch_size]);
    END IF;

    FOR stored IN
        SELECT
            asked.place,
            purchase.user_id = user_ids[asked.place]
                AND purchase.quantity = quantities[asked.place] AS is_same
        FROM ticketing_private.purchases AS purchase
        CROSS JOIN LATERAL unnest(array_positions(purchase_ids, purchase.id)) AS asked (place)
        WHERE purchase.ticket_option_id = option_id
            AND purchase.id = ANY (purchase_ids)
    LOOP
        outcomes[stored.place] := CASE WHEN stored.is_same THEN 'exists' ELSE 'exists_different' END;
    END LOOP;

    FOR i IN 1..batch_size LOOP
        CONTINUE WHEN outcomes[i] IS NOT NULL;

        earlier := CASE WHEN has_repeated_ids THEN array_position(sold_ids, purchase_ids[i]) END;

        IF earlier IS NOT NULL THEN
            outcomes[i] := CASE
                WHEN sold_user_ids[earlier] = user_ids[i] AND sold_quantities[earlier] = quantities[i]
                    THEN 'exists'
                ELSE 'exists_different'
            END;
        ELSIF quantities[i] > remaining THEN
            outcomes[i] := 'sold_out';
        ELSE
            outcomes[i] := 'created';
            remaining := remaining - quantities[i];
            sold_ids := sold_ids || purchase_ids[i];
            sold_user_ids := sold_user_ids || user_ids[i];
            sold_quantities := sold_quantities || quantities[i];
        END IF;
    END LOOP;

    IF sold_ids <> '{}' THEN
        UPDATE ticketing_private.ticket_options AS option
        SET
            allocation = remaining,
            updated_at = greatest(option.updated_at, clock_timestamp())
        WHERE option.id = option_id;

        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT option_id, sold.id, sold.user_id, sold.quantity
        FROM unnest(sold_ids, sold_user_ids, sold_quantities) AS sold (id, user_id, quantity);
    END IF;

    RETURN outcomes;
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
    sold_out          fewer tickets are left than were asked for; nothing is taken
    not_found         there is no such ticket option
Raises TK003 for arrays that differ in length or hold a NULL or a quantity below 1.';

--
-- Name: purchase_tickets(uuid, uuid, integer, uuid); Type: FUNCTION; Schema: ticketing; Owner: ticketing_owner
--

CREATE FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid DEFAULT gen_random_uuid()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    outcome text;
    remaining integer;
BEGIN
    IF option_id IS NULL OR user_id IS NULL OR purchase_id IS NULL OR qty IS NULL OR qty < 1 THEN
        RAISE EXCEPTION 'option_id, user_id and qty are needed, and qty is at least 1: got %, %, %',
            coalesce(option_id::text, 'NULL'), coalesce(user_id::text, 'NULL'), coalesce(qty::text, 'NULL')
            USING ERRCODE = 'TK003',
                  HINT = 'select purchase_tickets(option_id, user_id, qty), with qty from 1 to 2147483647.';
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

            RAISE EXCEPTION '% tickets were asked for, % are left', qty, remaining
                USING ERRCODE = 'TK002',
                      DETAIL = format('Ticket option: %s', option_id),
                      HINT = CASE
                          WHEN remaining > 0 THEN format('Ask for %s or fewer.', remaining)
                          ELSE 'The ticket option is sold out.'
                      END;
    END CASE;
END
$$;

ALTER FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) OWNER TO ticketing_owner;

--
-- Name: FUNCTION purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid); Type: COMMENT; Schema: ticketing; Owner: ticketing_owner
--

COMMENT ON FUNCTION ticketing.purchase_tickets(option_id uuid, user_id uuid, qty integer, purchase_id uuid) IS 'Sells qty tickets of an option to a user and returns the purchase''s id:
    select purchase_tickets(''<option>'', ''<user>'', 2);
Raises, with nothing taken:
    TK001  there is no such ticket option
    TK002  fewer tickets are left than were asked for
    TK003  an argument is missing or out of range
    TK004  purchase_id is stored with another user or quantity
The same purchase_id with the same user and qty may be sent again: it sells once.';

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

COMMENT ON TABLE ticketing_private.purchases IS 'Who took how many tickets of which option. One row a purchase, however many tickets.';

--
-- Name: COLUMN purchases.id; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.purchases.id IS 'Given by the caller, so that a call whose outcome is unknown can be sent again.';

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

COMMENT ON VIEW ticketing.purchases IS 'Who took how many tickets of which option.';

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

COMMENT ON TABLE ticketing_private.ticket_options IS 'What is on sale. capacity = allocation + the quantities purchased, always.';

--
-- Name: COLUMN ticket_options.capacity; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS 'Tickets that the option was created with.';

--
-- Name: COLUMN ticket_options.allocation; Type: COMMENT; Schema: ticketing_private; Owner: ticketing_owner
--

COMMENT ON COLUMN ticketing_private.ticket_options.allocation IS 'Tickets that can still be purchased.';

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

COMMENT ON VIEW ticketing.ticket_options IS 'What is on sale: capacity is what it began with, allocation what is left.';

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

COMMENT ON TABLE ticketing_private.installed_files IS 'The migrations and procedures that made this database. Written by migrate, read by /readyz.';

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
GRANT ALL ON FUNCTION ticketing.create_ticket_option(name text, "desc" text, allocation integer, option_id uuid) TO ticketing_service;
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
GRANT ALL ON FUNCTION ticketing.get_ticket_option(option_id uuid) TO ticketing_service;
GRANT ALL ON FUNCTION ticketing.get_ticket_option(option_id uuid) TO ticketing_operator;

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
