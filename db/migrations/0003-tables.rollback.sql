DROP TABLE ticketing_private.installed_files;

DROP TABLE ticketing_private.purchases;

DROP TABLE ticketing_private.ticket_options;
