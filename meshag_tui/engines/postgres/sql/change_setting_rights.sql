-- What our role is to a role and a database that a setting is for: superuser, owner of it, allowed to alter the role.
SELECT u.rolsuper,
       coalesce(pg_catalog.pg_has_role(u.oid, d.datdba, 'USAGE'), false),
       coalesce(r.oid = u.oid OR (u.rolcreaterole AND NOT r.rolsuper
           AND (pg_catalog.current_setting('server_version_num')::int < 160000
                OR pg_catalog.pg_has_role(u.oid, r.oid, 'MEMBER WITH ADMIN OPTION'))), false),
       pg_catalog.current_setting('server_version_num')::int, u.rolname::text
FROM pg_catalog.pg_roles u
CROSS JOIN (SELECT %s::text AS role, %s::text AS database) a
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = a.role
LEFT JOIN pg_catalog.pg_database d ON d.datname = a.database
WHERE u.rolname = current_user
