DROP VIEW ticketing.purchases;

DROP VIEW ticketing.ticket_options;
