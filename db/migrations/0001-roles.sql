-- Three roles: one owns, one serves, one operates. Roles belong to the whole
-- server, so they may be there already: made by a DBA, or for another database.
-- Passwords are the deployer's: ALTER ROLE ticketing_service PASSWORD '...'.

DO $$
DECLARE
    wanted record;
    missing text[] := '{}';
BEGIN
    FOR wanted IN
        SELECT *
        FROM (
            VALUES
                ('ticketing_owner', 'NOLOGIN'),
                ('ticketing_service', 'LOGIN'),
                ('ticketing_operator', 'LOGIN')
        ) AS roles (name, login)
    LOOP
        IF to_regrole(wanted.name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.login);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- made in the same moment, for another database
                WHEN insufficient_privilege THEN
                    missing := missing || format('CREATE ROLE %I %s;', wanted.name, wanted.login);
            END;
        END IF;
    END LOOP;

    IF missing <> '{}' THEN
        RAISE EXCEPTION '% may not create the roles that the service needs', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Ask a DBA to run: ' || array_to_string(missing, ' ')
                      || format(' GRANT ticketing_owner TO %I; ', current_user)
                      || 'ALTER ROLE ticketing_operator SET search_path = ticketing, public;';
    END IF;
END
$$;

-- The migrating role makes objects in the owner's name, so it must be a member.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'ticketing_owner', 'USAGE') THEN
        EXECUTE format('GRANT ticketing_owner TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR invalid_grant_operation THEN
        RAISE EXCEPTION '% is not a member of ticketing_owner', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Ask a DBA to run: GRANT ticketing_owner TO %I;', current_user);
END
$$;

-- An operator types purchase_tickets(...), without the schema's name.
DO $$
DECLARE
    is_set boolean := EXISTS (
        SELECT
        FROM pg_roles
        WHERE rolname = 'ticketing_operator'
            AND 'search_path=ticketing, public' = ANY (rolconfig)
    );
BEGIN
    IF NOT is_set THEN
        ALTER ROLE ticketing_operator SET search_path = ticketing, public;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION '% may not set the search_path of ticketing_operator', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Ask a DBA to run: '
                      || 'ALTER ROLE ticketing_operator SET search_path = ticketing, public;';
END
$$;
