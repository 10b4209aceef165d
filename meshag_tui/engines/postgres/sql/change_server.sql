-- What a change depends on of the server as a whole, one row.
SELECT pg_catalog.pg_is_in_recovery(),
       r.rolsuper OR pg_catalog.pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE'),
       (SELECT pg_catalog.sum(setting::int) FILTER (WHERE name = 'max_connections')
               - coalesce(pg_catalog.sum(setting::int) FILTER (WHERE name <> 'max_connections'), 0)
        FROM pg_catalog.pg_settings
        WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))::int,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')::int,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
        WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_catalog.pg_backend_pid())::int,
       pg_catalog.current_setting('max_worker_processes')::int,
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'),
       pg_catalog.current_setting('server_version_num')::int
FROM pg_catalog.pg_roles r
WHERE r.rolname = current_user
