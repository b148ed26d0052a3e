-- purchase_tickets_unless_busy(option_id, purchase_ids[], user_ids[], quantities[], lock_wait_ms)
--
-- Sells tickets of one option as purchase_tickets_of_one.sql does, which it
-- calls, with the same outcomes, in order; but it does not wait long for the
-- option's lock:
--
--     0     not at all: where another transaction has the option locked, the
--           outcome of every purchase is busy, and nothing was decided
--     more  at most so many milliseconds, but in turn with others who wait;
--           then it raises 55P03, lock_not_available, and nothing was sold
--
-- So a caller with few connections is not held up by options that somebody
-- keeps locked: it sends what was busy again. It runs where the option is, and
-- a database distributed by option can delegate it.
--
-- Raises TK003 as purchase_tickets_of_one.sql does. The limit on the wait holds
-- until the end of the transaction.
--
-- It has a name of its own for the same reason as purchase_tickets_of_many.sql.
-- That a lock wait raises, and is not caught here and returned as busy, is for
-- those who are in line: a subtransaction would wake them twice for each sale.

CREATE OR REPLACE FUNCTION ticketing.purchase_tickets_unless_busy(
    option_id uuid,
    purchase_ids uuid[],
    user_ids uuid[],
    quantities integer[],
    lock_wait_ms integer
)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
BEGIN
    IF lock_wait_ms > 0 THEN
        PERFORM set_config('lock_timeout', lock_wait_ms::text, true);
    ELSE
        PERFORM
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id
            AND option.allocation >= ANY (quantities)
        FOR NO KEY UPDATE SKIP LOCKED;

        -- What is not to be sold is not locked by the other function either.
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
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer) IS
'Sells tickets of one option to many buyers at once as purchase_tickets(uuid, uuid[], uuid[], integer[])
does, but waits for a lock on the option for at most so many milliseconds. With 0 it does not wait: every
outcome is busy, which decides nothing, where another transaction has the option locked. With more it
raises lock_not_available (55P03) when they are over.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer)
    TO ticketing_service, ticketing_operator;
