-- Who holds or waits for a lock on these relations that stands in the way of CONCURRENTLY, ANALYZE and VACUUM.
SELECT l.pid, l.mode, l.granted, coalesce(a.backend_type, ''), coalesce(a.usename, ''), coalesce(a.application_name, ''),
       coalesce(a.query LIKE '%%(to prevent wraparound)%%', false)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.relation = ANY(%s::oid[]) AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
ORDER BY l.granted DESC, l.pid
LIMIT 5
