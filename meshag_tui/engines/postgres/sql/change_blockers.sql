-- Sessions of this database in a transaction: who holds a lock on the relation first, then the oldest.
SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
       pg_catalog.to_char(a.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS'),
       pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start)::float8,
       EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
               WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.relation = %s AND l.granted) AS holds
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND a.xact_start IS NOT NULL
  AND a.backend_type <> 'autovacuum worker'
ORDER BY holds DESC, a.xact_start
LIMIT 3
