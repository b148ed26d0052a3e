-- rules_of_option(option_id, user_ids[], at)
--
-- What the option's own rules say at that moment: whether it is on sale, and how
-- many tickets a purchase and each of the users may have.
--
-- not_on_sale is NULL when it is, else the detail that the refusal shows. What a
-- user has are the purchases as they are now, and the holds that run. The caller
-- has the option locked, or sells nothing.
--
-- user_places has for each element of user_ids the place of that user in
-- left_for_users; both are NULL where there is no max_per_user.

CREATE OR REPLACE FUNCTION ticketing_private.rules_of_option(
    option_id uuid,
    user_ids uuid[],
    at timestamptz,
    OUT not_on_sale jsonb,
    OUT max_per_purchase integer,
    OUT max_per_user integer,
    OUT user_places integer[],
    OUT left_for_users bigint[]
)
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
-- A plan made while the tables are still empty would scan them, and would be kept
-- after they have grown. So the function plans once, whatever the arguments, and
-- as for large tables.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
DECLARE
    users uuid[];
    has_holds boolean;
BEGIN
    SELECT
        CASE
            WHEN option.paused
                THEN jsonb_build_object('reason', 'paused')
            WHEN at < option.on_sale_from
                THEN jsonb_build_object(
                    'reason', 'not_yet',
                    'on_sale_from', ticketing_private.rfc3339(option.on_sale_from)
                )
            WHEN at >= option.on_sale_until
                THEN jsonb_build_object('reason', 'over')
        END,
        option.max_per_purchase,
        option.max_per_user,
        option.held > 0
    INTO not_on_sale, max_per_purchase, max_per_user, has_holds
    FROM ticketing_private.ticket_options AS option
    WHERE option.id = option_id;

    IF max_per_user IS NULL THEN
        RETURN;
    END IF;

    users := ARRAY(
        SELECT DISTINCT asked.user_id
        FROM unnest(user_ids) AS asked (user_id)
        ORDER BY asked.user_id
    );

    -- width_bucket finds each user among the sorted ones by binary search.
    user_places := ARRAY(
        SELECT width_bucket(asked.user_id, users)
        FROM unnest(user_ids) WITH ORDINALITY AS asked (user_id, place)
        ORDER BY asked.place
    );

    left_for_users := ARRAY(
        SELECT greatest(
            0,
            rules_of_option.max_per_user
            - coalesce(
                (
                    SELECT sum(purchase.quantity - purchase.returned)
                    FROM ticketing_private.purchases AS purchase
                    WHERE purchase.ticket_option_id = option_id
                        AND purchase.user_id = asked.user_id
                ),
                0
            )
            - CASE
                WHEN has_holds
                    THEN coalesce(
                        (
                            SELECT sum(hold.quantity)
                            FROM ticketing_private.holds AS hold
                            WHERE hold.ticket_option_id = option_id
                                AND hold.user_id = asked.user_id
                                AND hold.state = 'held'
                                AND hold.expires_at > at
                        ),
                        0
                    )
                ELSE 0
            END
        )
        FROM unnest(users) WITH ORDINALITY AS asked (user_id, place)
        ORDER BY asked.place
    );
END
$function$;

COMMENT ON FUNCTION ticketing_private.rules_of_option(uuid, uuid[], timestamptz) IS
'Whether an option is on sale at that moment, and how many tickets a purchase and each user may have.';
