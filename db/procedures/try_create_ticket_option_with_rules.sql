-- try_create_ticket_option(option_id, name, "desc", allocation, max_per_purchase,
--     max_per_user, on_sale_from, on_sale_until, paused)
--
-- Puts a ticket option on sale with the given number of tickets and its rules,
-- and returns the outcome. Every creation is made here: over HTTP, and from psql,
-- where create_ticket_option.sql turns outcomes into errors.
--
--     created           the option is stored
--     exists            this id was created with these values: a call whose outcome
--                       was unknown, sent again; tickets may have been sold since,
--                       and values changed
--     exists_different  this id was created with other values; nothing was changed
--
-- A limit or a moment that is NULL is none. Raises TK003, with nothing stored, when
-- an argument is missing or out of range: the table's constraints say what may be
-- stored, message_of_constraint.sql only says it in words.
--
-- Concurrency: of two calls with one id, the second waits until the first is
-- committed or rolled back.
--
-- Durability: an option that is found stored is locked FOR KEY SHARE, so that
-- this call is answered only when the synchronous standby has it, as
-- take_tickets_of_one.sql says. That lock waits for no sale.

CREATE OR REPLACE FUNCTION ticketing.try_create_ticket_option(
    option_id uuid,
    name text,
    "desc" text,
    allocation integer,
    max_per_purchase integer,
    max_per_user integer,
    on_sale_from timestamptz,
    on_sale_until timestamptz,
    paused boolean
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    broken_constraint text;
    happens_at CONSTANT timestamptz := ticketing_private.clock();
    asked CONSTANT jsonb := ticketing_private.values_of_option(
        name, "desc", allocation, max_per_purchase, max_per_user, on_sale_from, on_sale_until, paused
    );
BEGIN
    IF try_create_ticket_option.paused IS NULL THEN
        RAISE EXCEPTION 'paused must not be NULL'
            USING ERRCODE = 'TK003',
                  HINT = 'Pass true or false.';
    END IF;

    PERFORM ticketing_private.check_rules(max_per_purchase, max_per_user, on_sale_from, on_sale_until);

    INSERT INTO ticketing_private.ticket_options (
        id, name, description, capacity, allocation, max_per_purchase, max_per_user,
        on_sale_from, on_sale_until, paused, created_at, updated_at
    )
    VALUES (
        try_create_ticket_option.option_id,
        try_create_ticket_option.name,
        try_create_ticket_option."desc",
        try_create_ticket_option.allocation,
        try_create_ticket_option.allocation,
        try_create_ticket_option.max_per_purchase,
        try_create_ticket_option.max_per_user,
        try_create_ticket_option.on_sale_from,
        try_create_ticket_option.on_sale_until,
        try_create_ticket_option.paused,
        happens_at,
        happens_at
    )
    ON CONFLICT (id) DO NOTHING;

    IF FOUND THEN
        RETURN 'created';
    END IF;

    PERFORM
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = try_create_ticket_option.option_id
        AND asked = coalesce(
            option.created_as,
            ticketing_private.values_of_option(
                option.name, option.description, option.capacity, option.max_per_purchase,
                option.max_per_user, option.on_sale_from, option.on_sale_until, option.paused
            )
        )
    FOR KEY SHARE;

    RETURN CASE WHEN FOUND THEN 'exists' ELSE 'exists_different' END;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS broken_constraint = CONSTRAINT_NAME;

        RAISE EXCEPTION '%', ticketing_private.message_of_constraint(broken_constraint)
            USING ERRCODE = 'TK003',
                  HINT = 'Pass a name of 1 to 255 characters, a desc of at most 10000 characters, '
                      'an allocation from 0 to 2147483647, limits from 1 to 2147483647 or none, '
                      'and an on_sale_from before on_sale_until, or none.';
END
$function$;

COMMENT ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer, integer, integer, timestamptz, timestamptz, boolean) IS
'Puts a ticket option on sale with the given number of tickets and its rules, and returns the outcome:
    created           the option is stored
    exists            option_id was created with these values
    exists_different  option_id was created with other values; nothing was changed
Raises TK003, with nothing stored, when an argument is missing or out of range.';

GRANT EXECUTE ON FUNCTION ticketing.try_create_ticket_option(uuid, text, text, integer, integer, integer, timestamptz, timestamptz, boolean)
    TO ticketing_service, ticketing_operator;
