-- The table of a change by its oid: its name now, and whether we may act on it.
SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner),
       r.rolsuper OR pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE'),
       pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE'),
       r.rolsuper OR pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE'),
       r.rolname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.rolname = current_user
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
WHERE c.oid = %s
