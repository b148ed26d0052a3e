-- message_of_constraint(constraint_name)
--
-- Says in words what the constraint of ticket_options says that a value broke.

CREATE OR REPLACE FUNCTION ticketing_private.message_of_constraint(
    constraint_name text
)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN CASE
        WHEN constraint_name IN ('ticket_options_name_length', 'ticket_options_name_is_not_blank')
            THEN 'name must be 1 to 255 characters long and not only white space'
        WHEN constraint_name = 'ticket_options_description_length'
            THEN 'desc must be at most 10000 characters long'
        WHEN constraint_name = 'ticket_options_allocation_range'
            THEN 'allocation must be an integer from 0 to 2147483647'
        WHEN constraint_name = 'max_per_purchase_range'
            THEN 'max_per_purchase must be an integer from 1 to 2147483647'
        WHEN constraint_name = 'max_per_user_range'
            THEN 'max_per_user must be an integer from 1 to 2147483647'
        WHEN constraint_name = 'on_sale_from_before_until'
            THEN 'on_sale_from must be before on_sale_until'
        WHEN constraint_name = 'on_sale_years'
            THEN 'on_sale_from and on_sale_until must be of the years 1 to 9999'
        ELSE 'name, desc, allocation and option_id must not be NULL'
    END;
END
$function$;

COMMENT ON FUNCTION ticketing_private.message_of_constraint(text) IS
'Says in words which constraint of ticket_options was broken.';
