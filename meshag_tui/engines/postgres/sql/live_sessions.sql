-- Other sessions now, those that work or hold a transaction first; idle ones only where {idle}. Who blocks a session is asked
-- for the few that wait for a lock: the question holds all partitions of the lock table. Bare rows, as in sessions.sql.
SELECT s.pid, s.backend_start, s.query_start, pg_catalog.pg_get_userbyid(s.usesysid)::text, d.datname::text,
    pg_catalog.host(s.client_addr), s.application_name, s.backend_type, s.state, s.wait_event_type, s.wait_event,
    s.xact_start, s.state_change, {query_id}, pg_catalog.left(s.query, 16384),
    CASE WHEN s.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(s.pid) END, pg_catalog.clock_timestamp()
FROM pg_catalog.pg_stat_get_activity(NULL) s
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.datid
WHERE s.usesysid IS NOT NULL AND s.backend_type IS DISTINCT FROM 'logical replication launcher' AND s.pid <> pg_catalog.pg_backend_pid()
    AND s.application_name NOT LIKE 'meshag/%%' AND ({idle} OR s.state IS DISTINCT FROM 'idle')
ORDER BY s.state = 'idle', s.xact_start NULLS LAST
LIMIT {limit}
