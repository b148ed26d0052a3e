-- depends: 0002-schemas

SET LOCAL ROLE ticketing_owner;

-- The low fillfactor leaves room on each page for new versions of its rows: a
-- hot option is then updated in place (HOT), without touching an index. The
-- white space of ticket_options_name_is_not_blank is Unicode's White_Space,
-- spelled out, because what '\s' matches depends on the server's locale.
CREATE TABLE ticketing_private.ticket_options (
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    capacity integer NOT NULL,
    allocation integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ticket_options_pkey PRIMARY KEY (id),
    CONSTRAINT ticket_options_name_length
        CHECK (char_length(name) BETWEEN 1 AND 255),
    CONSTRAINT ticket_options_name_is_not_blank
        CHECK (
            name ~ '[^\u0009-\u000D\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]'
        ),
    CONSTRAINT ticket_options_description_length
        CHECK (char_length(description) <= 10000),
    CONSTRAINT ticket_options_capacity_range
        CHECK (capacity >= 0),
    CONSTRAINT ticket_options_allocation_range
        CHECK (allocation BETWEEN 0 AND capacity),
    CONSTRAINT ticket_options_updated_after_created
        CHECK (updated_at >= created_at)
) WITH (fillfactor = 20);

COMMENT ON TABLE ticketing_private.ticket_options IS
    'What is on sale. capacity = allocation + the quantities purchased, always.';

COMMENT ON COLUMN ticketing_private.ticket_options.capacity IS
    'Tickets that the option was created with.';

COMMENT ON COLUMN ticketing_private.ticket_options.allocation IS
    'Tickets that can still be purchased.';

CREATE TABLE ticketing_private.purchases (
    ticket_option_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    quantity integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT purchases_pkey PRIMARY KEY (ticket_option_id, id),
    CONSTRAINT purchases_ticket_option_id_fkey
        FOREIGN KEY (ticket_option_id) REFERENCES ticketing_private.ticket_options (id),
    CONSTRAINT purchases_quantity_range
        CHECK (quantity >= 1)
);

COMMENT ON TABLE ticketing_private.purchases IS
    'Who took how many tickets of which option. One row a purchase, however many tickets.';

COMMENT ON COLUMN ticketing_private.purchases.id IS
    'Given by the caller, so that a call whose outcome is unknown can be sent again.';

CREATE TABLE ticketing_private.installed_files (
    path text NOT NULL,
    sha256 text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT installed_files_pkey PRIMARY KEY (path),
    CONSTRAINT installed_files_sha256_format
        CHECK (sha256 ~ '^[0-9a-f]{64}$')
);

COMMENT ON TABLE ticketing_private.installed_files IS
    'The migrations and procedures that made this database. Written by migrate, read by /readyz.';

RESET ROLE;
