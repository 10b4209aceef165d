-- Transactions of this database older than %s seconds, which CONCURRENTLY waits for, oldest first.
SELECT a.pid, a.usename, a.application_name, pg_catalog.date_part('epoch', pg_catalog.now() - a.xact_start)::float8 AS age,
       coalesce(a.state, '')
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.backend_type NOT IN ('autovacuum worker', 'walsender')
  AND a.xact_start < pg_catalog.now() - pg_catalog.make_interval(secs => %s)
UNION ALL
SELECT NULL, p.owner, 'prepared transaction ' || p.gid,
       pg_catalog.date_part('epoch', pg_catalog.now() - p.prepared)::float8, 'prepared'
FROM pg_catalog.pg_prepared_xacts p
WHERE p.database = pg_catalog.current_database() AND p.prepared < pg_catalog.now() - pg_catalog.make_interval(secs => %s)
ORDER BY age DESC
LIMIT 5
