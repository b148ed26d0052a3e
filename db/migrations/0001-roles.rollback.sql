-- The roles stay: other databases of the server may use them, and a role that
-- a DBA made, with its password, is not ours to drop. 0001-roles.sql copes with
-- roles that are there already. An empty statement, because yoyo wants one.

SELECT 1 WHERE false;
