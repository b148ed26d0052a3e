-- depends: 0007-comments

-- The clients of the functions and constraints that go are our own, and the table of
-- options is small.
-- squawk-ignore-file ban-drop-constraint, ban-drop-function, constraint-missing-not-valid

-- Buyers queue up behind whoever waits for these locks. So each is waited for
-- only briefly, and what was had is given back before the next attempt. What
-- follows takes milliseconds: no table is rewritten or read, but for the small one.
DO $$
BEGIN
    FOR attempt IN 1..100 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '400ms', true);
            LOCK ticketing_private.ticket_options, ticketing_private.purchases;
            PERFORM set_config('lock_timeout', '5s', true);
            RETURN;
        EXCEPTION
            WHEN lock_not_available THEN
                PERFORM pg_sleep(0.2);
        END;
    END LOOP;

    RAISE EXCEPTION 'other transactions kept the tables locked'
        USING ERRCODE = 'lock_not_available',
              HINT = 'See which have been open for long, and try again: '
                  || 'select pid, usename, xact_start, query from pg_stat_activity '
                  || 'where xact_start is not null order by xact_start;';
END
$$;

SET LOCAL ROLE ticketing_owner;

-- No index has a column here that a sale changes. And PostgreSQL prepares every CHECK
-- anew for each call that sells, so there are as few as can be, and short ones.
ALTER TABLE ticketing_private.ticket_options
    ADD COLUMN held integer NOT NULL DEFAULT 0,
    ADD COLUMN max_per_purchase integer,
    ADD COLUMN max_per_user integer,
    ADD COLUMN on_sale_from timestamptz,
    ADD COLUMN on_sale_until timestamptz,
    ADD COLUMN paused boolean NOT NULL DEFAULT false,
    ADD COLUMN has_refused_resends boolean NOT NULL DEFAULT false,
    ADD COLUMN created_as jsonb,
    DROP CONSTRAINT ticket_options_capacity_range,
    DROP CONSTRAINT ticket_options_allocation_range,
    ADD CONSTRAINT ticket_options_allocation_range
        CHECK (allocation >= 0 AND held >= 0 AND held <= capacity - allocation);

COMMENT ON TABLE ticketing_private.ticket_options IS
    'What is on sale. capacity = allocation + held + what the purchases have now, always.';

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS
    'All tickets: those that are left, those that are held, and those that are sold.';

COMMENT ON COLUMN ticketing_private.ticket_options.held IS
    'Tickets of the holds whose state is held.';

COMMENT ON COLUMN ticketing_private.ticket_options.on_sale_from IS
    'On sale from this moment on; NULL: from the beginning.';

COMMENT ON COLUMN ticketing_private.ticket_options.on_sale_until IS
    'No longer on sale at this moment; NULL: for ever.';

COMMENT ON COLUMN ticketing_private.ticket_options.has_refused_resends IS
    'Whether refused_resends has rows of it: else nobody need look.';

COMMENT ON COLUMN ticketing_private.ticket_options.created_as IS
    'The values that it was created with, once some were changed: for a creation that is sent again.';

-- What the purchases there are have in these columns is right as it is, so the
-- constraints are validated in the next migration, which keeps nobody waiting.
--
-- The foreign key goes: whoever inserts a purchase has its option locked, and checking
-- each row once more cost a sale as much as the index of a user's purchases does.
-- The audit finds a purchase without an option.
ALTER TABLE ticketing_private.purchases
    DROP CONSTRAINT purchases_ticket_option_id_fkey,
    ADD COLUMN returned integer NOT NULL DEFAULT 0,
    ADD COLUMN cancelled_at timestamptz,
    ADD CONSTRAINT purchases_returned_range
        CHECK (
            returned >= 0
            AND returned <= quantity
            AND (returned > 0) = (cancelled_at IS NOT NULL)
        ) NOT VALID;

COMMENT ON COLUMN ticketing_private.purchases.quantity IS
    'Tickets that were purchased. What the purchase has now is quantity - returned.';

COMMENT ON COLUMN ticketing_private.purchases.returned IS
    'Tickets that were given back.';

COMMENT ON COLUMN ticketing_private.purchases.cancelled_at IS
    'When tickets were given back last; NULL: never.';

CREATE TABLE ticketing_private.holds (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    quantity integer NOT NULL,
    state text NOT NULL DEFAULT 'held',
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    expired_at timestamptz,
    released_at timestamptz,
    purchased_at timestamptz,
    CONSTRAINT holds_pkey PRIMARY KEY (ticket_option_id, id),
    CONSTRAINT holds_quantity_range
        CHECK (quantity >= 1),
    CONSTRAINT holds_expire_after_they_are_made
        CHECK (expires_at > created_at),
    CONSTRAINT holds_state_has_its_times
        CHECK (
            state = CASE
                WHEN purchased_at IS NOT NULL THEN 'purchased'
                WHEN released_at IS NOT NULL THEN 'released'
                WHEN expired_at IS NOT NULL THEN 'expired'
                ELSE 'held'
            END
            AND (purchased_at IS NULL OR released_at IS NULL)
        )
);

CREATE INDEX holds_of_a_user
    ON ticketing_private.holds (ticket_option_id, user_id, id);

CREATE INDEX holds_that_may_run_out
    ON ticketing_private.holds (ticket_option_id, expires_at)
    WHERE state = 'held';

-- For the sweep, which looks for options: the only index that begins with
-- something else.
CREATE INDEX holds_to_sweep
    ON ticketing_private.holds (expires_at)
    WHERE state = 'held';

COMMENT ON TABLE ticketing_private.holds IS
    'Tickets kept for a user for a while. One that is purchased has a row in purchases with its id.';

COMMENT ON COLUMN ticketing_private.holds.state IS
    'held, purchased, released or expired. One that ran out stays held until its tickets are returned.';

COMMENT ON COLUMN ticketing_private.holds.expired_at IS
    'When its tickets were returned because it had run out. If it was purchased afterwards, its tickets were taken anew.';

CREATE TABLE ticketing_private.returns (
    ticket_option_id uuid NOT NULL,
    purchase_id uuid NOT NULL,
    number integer NOT NULL,
    quantity integer NOT NULL,
    returned_at timestamptz NOT NULL,
    CONSTRAINT returns_pkey PRIMARY KEY (ticket_option_id, purchase_id, number),
    CONSTRAINT returns_ticket_option_id_purchase_id_fkey
        FOREIGN KEY (ticket_option_id, purchase_id)
        REFERENCES ticketing_private.purchases (ticket_option_id, id),
    CONSTRAINT returns_number_range
        CHECK (number >= 1),
    CONSTRAINT returns_quantity_range
        CHECK (quantity >= 1)
);

COMMENT ON TABLE ticketing_private.returns IS
    'What was given back of purchases, a row each time. Never changed.';

CREATE TABLE ticketing_private.capacity_changes (
    ticket_option_id uuid NOT NULL,
    number integer NOT NULL,
    capacity_before integer NOT NULL,
    capacity_after integer NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT capacity_changes_pkey PRIMARY KEY (ticket_option_id, number),
    CONSTRAINT capacity_changes_ticket_option_id_fkey
        FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options (id),
    CONSTRAINT capacity_changes_number_range
        CHECK (number >= 1),
    CONSTRAINT capacity_changes_capacity_range
        CHECK (capacity_before >= 0 AND capacity_after >= 0),
    CONSTRAINT capacity_changes_change_something
        CHECK (capacity_before <> capacity_after)
);

COMMENT ON TABLE ticketing_private.capacity_changes IS
    'How the capacities of options were changed, a row each time. Never changed.';

CREATE TABLE ticketing_private.refused_resends (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    resend_id uuid NOT NULL,
    outcome text NOT NULL,
    detail jsonb,
    refused_at timestamptz NOT NULL,
    CONSTRAINT refused_resends_pkey PRIMARY KEY (ticket_option_id, id, resend_id),
    CONSTRAINT refused_resends_ticket_option_id_fkey
        FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options (id)
);

-- For the sweep, which forgets them after a day.
CREATE INDEX refused_resends_to_forget
    ON ticketing_private.refused_resends (refused_at);

COMMENT ON TABLE ticketing_private.refused_resends IS
    'Calls that were sent again and refused: their earlier sendings, which may still come, must not be filled.';

COMMENT ON COLUMN ticketing_private.refused_resends.id IS
    'Of the purchase or the hold that was asked for.';

COMMENT ON COLUMN ticketing_private.refused_resends.resend_id IS
    'Of the request: all of its resends have it.';

CREATE OR REPLACE VIEW ticketing.ticket_options AS
SELECT
    id,
    name,
    description AS "desc",
    capacity,
    allocation,
    capacity - allocation - held AS sold,
    created_at,
    updated_at,
    held,
    max_per_purchase,
    max_per_user,
    on_sale_from,
    on_sale_until,
    paused
FROM ticketing_private.ticket_options;

COMMENT ON VIEW ticketing.ticket_options IS
    'What is on sale: capacity is all tickets, allocation what is left, held what holds keep, sold the rest.';

CREATE OR REPLACE VIEW ticketing.purchases AS
SELECT
    ticket_option_id,
    id,
    user_id,
    quantity - returned AS quantity,
    created_at,
    quantity AS purchased_quantity,
    cancelled_at
FROM ticketing_private.purchases;

COMMENT ON VIEW ticketing.purchases IS
    'Who has how many tickets of which option, and how many they were before some were given back.';

CREATE VIEW ticketing.holds AS
SELECT
    ticket_option_id,
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

COMMENT ON VIEW ticketing.holds IS
    'Who keeps, or kept, how many tickets of which option without having purchased them. One that ran out is expired when its tickets are back.';

CREATE VIEW ticketing.returns AS
SELECT
    ticket_option_id,
    purchase_id,
    number,
    quantity,
    returned_at
FROM ticketing_private.returns;

COMMENT ON VIEW ticketing.returns IS
    'What was given back of which purchase, and when.';

CREATE VIEW ticketing.capacity_changes AS
SELECT
    ticket_option_id,
    number,
    capacity_before,
    capacity_after,
    changed_at
FROM ticketing_private.capacity_changes;

COMMENT ON VIEW ticketing.capacity_changes IS
    'How the capacities of options were changed, and when.';

GRANT SELECT ON ticketing.holds, ticketing.returns, ticketing.capacity_changes TO ticketing_operator;

-- These get more arguments or columns, which replacing a function cannot give it.
DROP FUNCTION IF EXISTS ticketing.create_ticket_option(text, text, integer, uuid);

DROP FUNCTION IF EXISTS ticketing.audit_allocations();

RESET ROLE;
