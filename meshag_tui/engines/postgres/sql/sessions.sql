-- Other client sessions by state (NULL: not ours to see), each that sits in a transaction doing nothing by itself. The
-- function under pg_stat_activity: the view opens two catalogues for names that we do not need, or have by a function.
SELECT a.state, pg_catalog.count(*)::int4, a.holder,
    pg_catalog.min(pg_catalog.pg_get_userbyid(a.usesysid)::text), pg_catalog.min(a.application_name),
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.min(a.xact_start)) * 1000,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.min(a.state_change)) * 1000
FROM (
    SELECT s.*, CASE WHEN s.state LIKE 'idle in transaction%%' AND s.xact_start IS NOT NULL THEN s.pid END AS holder
    FROM pg_catalog.pg_stat_get_activity(NULL) s
    WHERE COALESCE(s.backend_type, 'client backend') = 'client backend' AND s.pid <> pg_catalog.pg_backend_pid()
) a
GROUP BY a.state, a.holder
ORDER BY 6 DESC
