-- Whatever is lost by this is refused first: holds, returns, limits and windows.
-- The functions that need these tables go along. Those of the release before come
-- back with its own migrate, which installs what this list of files lacks.

SET LOCAL ROLE ticketing_owner;

DO $$
DECLARE
    function record;
BEGIN
    FOR function IN
        SELECT oid::regprocedure AS name
        FROM pg_proc
        WHERE pronamespace IN ('ticketing'::regnamespace, 'ticketing_private'::regnamespace)
    LOOP
        EXECUTE format('DROP FUNCTION %s', function.name);
    END LOOP;
END
$$;

DELETE FROM ticketing_private.installed_files WHERE path LIKE 'procedures/%';

DROP VIEW ticketing.capacity_changes;

DROP VIEW ticketing.returns;

DROP VIEW ticketing.holds;

DROP VIEW ticketing.purchases;

DROP VIEW ticketing.ticket_options;

DROP TABLE ticketing_private.refused_resends;

DROP TABLE ticketing_private.capacity_changes;

DROP TABLE ticketing_private.returns;

DROP TABLE ticketing_private.holds;

-- What is held goes back, and what was given back was never sold, so that the numbers
-- add up for the release before.
UPDATE ticketing_private.ticket_options
SET
    allocation = allocation + held,
    held = 0
WHERE held > 0;

DELETE FROM ticketing_private.purchases
WHERE returned = quantity;

UPDATE ticketing_private.purchases
SET
    quantity = quantity - returned,
    returned = 0,
    cancelled_at = NULL
WHERE returned > 0;

ALTER TABLE ticketing_private.purchases
    DROP COLUMN returned,
    DROP COLUMN cancelled_at,
    ADD CONSTRAINT purchases_ticket_option_id_fkey
        FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options (id);

ALTER TABLE ticketing_private.ticket_options
    DROP COLUMN held,
    DROP COLUMN max_per_purchase,
    DROP COLUMN max_per_user,
    DROP COLUMN on_sale_from,
    DROP COLUMN on_sale_until,
    DROP COLUMN paused,
    DROP COLUMN has_refused_resends,
    DROP COLUMN created_as,
    ADD CONSTRAINT ticket_options_capacity_range
        CHECK (capacity >= 0),
    ADD CONSTRAINT ticket_options_allocation_range
        CHECK (allocation BETWEEN 0 AND capacity);

COMMENT ON TABLE ticketing_private.ticket_options IS
    'What is on sale. Always: capacity = allocation + the quantities purchased.';

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS
    'The number of tickets that the option was created with.';

COMMENT ON COLUMN ticketing_private.purchases.quantity IS NULL;

CREATE VIEW ticketing.ticket_options AS
SELECT
    id,
    name,
    description AS "desc",
    capacity,
    allocation,
    capacity - allocation AS sold,
    created_at,
    updated_at
FROM ticketing_private.ticket_options;

COMMENT ON VIEW ticketing.ticket_options IS
    'What is on sale: capacity is the original number of tickets, allocation what is left.';

CREATE VIEW ticketing.purchases AS
SELECT
    ticket_option_id,
    id,
    user_id,
    quantity,
    created_at
FROM ticketing_private.purchases;

COMMENT ON VIEW ticketing.purchases IS
    'Who purchased how many tickets of which option.';

GRANT SELECT ON ticketing.ticket_options, ticketing.purchases TO ticketing_operator;

RESET ROLE;
