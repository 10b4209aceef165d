-- Other client sessions: state (NULL: not ours to see), and who sits in a transaction doing nothing since when. It is the
-- function under pg_stat_activity, and its bare rows: the view opens two catalogues more, and sums cost more than few rows.
SELECT s.state, s.pid,
    CASE WHEN s.state LIKE 'idle in transaction%%' THEN pg_catalog.pg_get_userbyid(s.usesysid)::text END,
    s.application_name, s.xact_start, s.state_change, pg_catalog.clock_timestamp()
FROM pg_catalog.pg_stat_get_activity(NULL) s
WHERE (s.backend_type = 'client backend') IS NOT FALSE AND s.pid <> pg_catalog.pg_backend_pid()
