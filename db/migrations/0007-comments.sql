-- depends: 0006-fewer-callable-functions

-- The same descriptions in plainer English.

SET LOCAL ROLE ticketing_owner;

COMMENT ON SCHEMA ticketing_private IS
    'Ticket allocation: the tables, and what the functions share. Reached only through the schema ticketing.';

COMMENT ON TABLE ticketing_private.ticket_options IS
    'What is on sale. Always: capacity = allocation + the quantities purchased.';

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS
    'The number of tickets that the option was created with.';

COMMENT ON COLUMN ticketing_private.ticket_options.allocation IS
    'The number of tickets that can still be purchased.';

COMMENT ON TABLE ticketing_private.purchases IS
    'Who purchased how many tickets of which option. One row per purchase, whatever its quantity.';

COMMENT ON COLUMN ticketing_private.purchases.id IS
    'Chosen by the caller, so that a call whose outcome is unknown can be retried.';

COMMENT ON TABLE ticketing_private.installed_files IS
    'The migrations and procedures that this database was built from. Written by migrate, read by /readyz.';

COMMENT ON VIEW ticketing.ticket_options IS
    'What is on sale: capacity is the original number of tickets, allocation what is left.';

COMMENT ON VIEW ticketing.purchases IS
    'Who purchased how many tickets of which option.';

RESET ROLE;
