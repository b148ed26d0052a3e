-- purchase_tickets_unless_busy(option_id, purchase_ids[], user_ids[], quantities[], lock_wait_ms)
--
-- Sells tickets of one ticket option by calling purchase_tickets_of_one.sql,
-- and returns its outcomes, in order; but it bounds the wait for the option's
-- lock. lock_wait_ms is
--
--     0        not to wait: if another transaction has the option locked, the
--              outcome of every purchase is busy, and nothing was decided
--     above 0  to wait in line for at most that many milliseconds; after that
--              it raises 55P03, lock_not_available, and nothing was sold
--
-- So options that somebody keeps locked do not tie up a caller that has few
-- connections: it retries what was busy. Like purchase_tickets_of_one.sql it
-- runs where the option is stored, so a database distributed by option can
-- delegate it.
--
-- Raises TK003 as purchase_tickets_of_one.sql does. The bound on the wait stays
-- in force until the end of the transaction.
--
-- It has a name of its own for the same reason as purchase_tickets_of_many.sql.
-- A wait that times out raises, and is not caught here and returned as busy,
-- for the sake of those in line: a subtransaction would wake them twice per sale.

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
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
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
$function$;

COMMENT ON FUNCTION ticketing.purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer) IS
'Sells tickets of one ticket option to many buyers, as purchase_tickets(uuid, uuid[], uuid[], integer[])
does, but waits at most lock_wait_ms milliseconds for the lock of the ticket option. With 0 it does not
wait: if another transaction holds the lock, every outcome is busy, which decides nothing. With more it
raises lock_not_available (55P03) when the time is up.';

GRANT EXECUTE ON FUNCTION ticketing.purchase_tickets_unless_busy(uuid, uuid[], uuid[], integer[], integer)
    TO ticketing_service, ticketing_operator;
