-- The setting stays, as the role does: other databases of the server may be
-- operated by it, and a value that a DBA has set is not ours to take away. A
-- block that does nothing, because yoyo wants a statement.

DO $$
BEGIN
END
$$;
