-- depends: 0004-views

-- A transaction that is forgotten in psql keeps what it locked from everybody,
-- and its snapshot makes hot rows slower with every sale. So the server ends an
-- operator's session that has been idle in a transaction for a minute: longer
-- than anybody should think while buyers wait, and shorter than an on-sale. A
-- value that somebody has set is left as it is.

DO $$
DECLARE
    is_set boolean := EXISTS (
        SELECT
        FROM pg_db_role_setting AS settings
        CROSS JOIN unnest(settings.setconfig) AS setting
        WHERE settings.setrole = 'ticketing_operator'::regrole
            AND settings.setdatabase IN (
                0, (SELECT oid FROM pg_database WHERE datname = current_database())
            )
            AND setting LIKE 'idle\_in\_transaction\_session\_timeout=%'
    );
BEGIN
    IF NOT is_set THEN
        ALTER ROLE ticketing_operator SET idle_in_transaction_session_timeout = '60s';
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION '% may not set the idle_in_transaction_session_timeout of ticketing_operator',
            current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Ask a DBA to run: ALTER ROLE ticketing_operator '
                      || 'SET idle_in_transaction_session_timeout = ''60s'';';
END
$$;
