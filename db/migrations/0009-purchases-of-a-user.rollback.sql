DROP INDEX CONCURRENTLY IF EXISTS ticketing_private.ticket_options_newest_first;

DROP INDEX CONCURRENTLY IF EXISTS ticketing_private.purchases_of_a_user;
