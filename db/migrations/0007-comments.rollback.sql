SET LOCAL ROLE ticketing_owner;

COMMENT ON SCHEMA ticketing_private IS
    'Ticket allocation: the tables. Reached through the functions in ticketing only.';

COMMENT ON TABLE ticketing_private.ticket_options IS
    'What is on sale. capacity = allocation + the quantities purchased, always.';

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS
    'Tickets that the option was created with.';

COMMENT ON COLUMN ticketing_private.ticket_options.allocation IS
    'Tickets that can still be purchased.';

COMMENT ON TABLE ticketing_private.purchases IS
    'Who took how many tickets of which option. One row a purchase, however many tickets.';

COMMENT ON COLUMN ticketing_private.purchases.id IS
    'Given by the caller, so that a call whose outcome is unknown can be sent again.';

COMMENT ON TABLE ticketing_private.installed_files IS
    'The migrations and procedures that made this database. Written by migrate, read by /readyz.';

COMMENT ON VIEW ticketing.ticket_options IS
    'What is on sale: capacity is what it began with, allocation what is left.';

COMMENT ON VIEW ticketing.purchases IS
    'Who took how many tickets of which option.';

RESET ROLE;
