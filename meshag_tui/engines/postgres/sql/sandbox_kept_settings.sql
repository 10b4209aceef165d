-- What settings are kept: of the server in its files, of roles and databases beside them.
SELECT 'the setting ' || f.name, f.setting
FROM pg_catalog.pg_file_settings f
WHERE f.sourcefile LIKE '%postgresql.auto.conf'
UNION ALL
SELECT 'settings of ' || coalesce(r.rolname, 'all') || ' in ' || coalesce(d.datname, 'all'), s.setconfig::text
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
ORDER BY 1
