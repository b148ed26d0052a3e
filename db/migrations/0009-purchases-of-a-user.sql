-- depends: 0008-life-of-a-ticket
-- transactional: false

-- What reads all purchases: it takes a while, and nobody has to wait for it.
-- Each statement may be run again after one that was interrupted, which leaves an
-- index that is not valid.
-- squawk-ignore-file prefer-robust-stmts, ban-concurrent-index-creation-in-transaction

DROP INDEX CONCURRENTLY IF EXISTS ticketing_private.purchases_of_a_user;

CREATE INDEX CONCURRENTLY purchases_of_a_user
    ON ticketing_private.purchases (ticket_option_id, user_id, id);

DROP INDEX CONCURRENTLY IF EXISTS ticketing_private.ticket_options_newest_first;

CREATE INDEX CONCURRENTLY ticket_options_newest_first
    ON ticketing_private.ticket_options (created_at, id);

ALTER TABLE ticketing_private.purchases VALIDATE CONSTRAINT purchases_returned_range;
