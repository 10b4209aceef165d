-- Other client sessions by state (NULL: not ours to see), then those that sit in a transaction doing nothing, oldest first.
SELECT a.state, pg_catalog.count(*)::int4, NULL::text, NULL::text, NULL::float8, NULL::float8
FROM pg_catalog.pg_stat_activity a
WHERE COALESCE(a.backend_type, 'client backend') = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
GROUP BY a.state
UNION ALL
(
    SELECT NULL, a.pid, a.usename::text, a.application_name,
        pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start) * 1000,
        pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.state_change) * 1000
    FROM pg_catalog.pg_stat_activity a
    WHERE a.state LIKE 'idle in transaction%%' AND a.pid <> pg_catalog.pg_backend_pid() AND a.xact_start IS NOT NULL
    ORDER BY a.xact_start
    LIMIT 50
)
