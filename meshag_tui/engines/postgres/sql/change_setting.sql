-- One setting, and what a role (the second value) in a database (the third) has of its own: unit, context, oids of
-- database and role, our database, our role, the value kept there.
WITH asked AS (SELECT %s::text AS name, %s::text AS role, %s::text AS database)
SELECT s.unit, s.context, d.oid::bigint, r.oid::bigint, pg_catalog.current_database()::text, current_user::text,
       (SELECT pg_catalog.substr(kept, pg_catalog.length(a.name) + 2)
        FROM pg_catalog.pg_db_role_setting o, pg_catalog.unnest(o.setconfig) kept
        WHERE o.setdatabase = CASE WHEN a.database IS NULL THEN 0 ELSE d.oid END
          AND o.setrole = CASE WHEN a.role IS NULL THEN 0 ELSE r.oid END
          AND pg_catalog.starts_with(pg_catalog.lower(kept), a.name || '='))
FROM asked a
JOIN pg_catalog.pg_settings s ON s.name = a.name
LEFT JOIN pg_catalog.pg_database d ON d.datname = a.database
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = a.role
