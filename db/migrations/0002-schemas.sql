-- depends: 0001-roles
-- `ticketing` is the interface: functions and views. `ticketing_private` holds
-- the tables; nobody but the owner may look in.

CREATE SCHEMA ticketing AUTHORIZATION ticketing_owner;

CREATE SCHEMA ticketing_private AUTHORIZATION ticketing_owner;

COMMENT ON SCHEMA ticketing IS
    'Ticket allocation: the functions and views that clients and operators use.';

COMMENT ON SCHEMA ticketing_private IS
    'Ticket allocation: the tables. Reached through the functions in ticketing only.';

-- Before any function is made, so that none is ever executable by everybody.
ALTER DEFAULT PRIVILEGES FOR ROLE ticketing_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA ticketing TO ticketing_service, ticketing_operator;

-- What PUBLIC may make in a database by default, the service should not: its
-- role calls functions and does nothing else. Where the migrating role does not
-- own the database, this is a warning and the DBA's decision.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- Where yoyo keeps its history. The role that was the first to migrate owns it;
-- every member of ticketing_owner may be the next.
GRANT ALL ON SCHEMA ticketing_migrations TO ticketing_owner;

GRANT ALL ON ALL TABLES IN SCHEMA ticketing_migrations TO ticketing_owner;
