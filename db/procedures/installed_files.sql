-- installed_files()
--
-- Returns the migrations and procedures that this database was built from, each
-- with the SHA-256 of its file. The service compares them with the files it
-- ships, and is not ready while they differ.

CREATE OR REPLACE FUNCTION ticketing.installed_files()
RETURNS TABLE (
    path text,
    sha256 text
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT
        file.path,
        file.sha256
    FROM ticketing_private.installed_files AS file
    ORDER BY file.path;
$function$;

COMMENT ON FUNCTION ticketing.installed_files() IS
'The migrations and procedures that this database was built from, each with the SHA-256 of its file.';

GRANT EXECUTE ON FUNCTION ticketing.installed_files()
    TO ticketing_service, ticketing_operator;
