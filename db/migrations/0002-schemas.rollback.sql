-- The functions in `ticketing` come from db/procedures, not from a migration;
-- hence CASCADE.

REVOKE ALL ON ALL TABLES IN SCHEMA ticketing_migrations FROM ticketing_owner;

REVOKE ALL ON SCHEMA ticketing_migrations FROM ticketing_owner;

DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
END
$$;

DROP SCHEMA ticketing CASCADE;

DROP SCHEMA ticketing_private;

ALTER DEFAULT PRIVILEGES FOR ROLE ticketing_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
