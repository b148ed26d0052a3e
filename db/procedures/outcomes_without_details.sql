-- outcomes_without_details(outcomes[])
--
-- The outcomes of purchases for callers of the release before this one, which
-- knows one refusal only: whatever was refused is sold_out.

CREATE OR REPLACE FUNCTION ticketing_private.outcomes_without_details(
    outcomes text[]
)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    refusal text;
BEGIN
    FOREACH refusal IN ARRAY ARRAY['not_on_sale', 'limit_reached', 'refused_before'] LOOP
        outcomes := array_replace(outcomes, refusal, 'sold_out');
    END LOOP;

    RETURN outcomes;
END
$function$;

COMMENT ON FUNCTION ticketing_private.outcomes_without_details(text[]) IS
'The outcomes of purchases for callers that know one refusal only, which is sold_out.';
