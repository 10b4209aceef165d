-- The search path this database gives to everybody, where one was set by ALTER DATABASE or ALTER ROLE ALL.
SELECT pg_catalog.substr(setting, 13)
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) setting
WHERE s.setrole = 0 AND setting LIKE 'search_path=%%'
  AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
ORDER BY s.setdatabase DESC
LIMIT 1
