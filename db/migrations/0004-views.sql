-- depends: 0003-tables

SET LOCAL ROLE ticketing_owner;

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
    'What is on sale: capacity is what it began with, allocation what is left.';

CREATE VIEW ticketing.purchases AS
SELECT
    ticket_option_id,
    id,
    user_id,
    quantity,
    created_at
FROM ticketing_private.purchases;

COMMENT ON VIEW ticketing.purchases IS
    'Who took how many tickets of which option.';

GRANT SELECT ON ticketing.ticket_options, ticketing.purchases TO ticketing_operator;

RESET ROLE;
