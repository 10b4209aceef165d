-- Where the statement of one backend is: phase, share done, whom it waits for, and the index it makes.
SELECT coalesce(c.phase, v.phase, an.phase, CASE WHEN a.state = 'active' THEN 'running' END),
       CASE WHEN c.blocks_total > 0 THEN c.blocks_done::float8 / c.blocks_total
            WHEN c.tuples_total > 0 THEN c.tuples_done::float8 / c.tuples_total
            WHEN c.lockers_total > 0 THEN c.lockers_done::float8 / c.lockers_total
            WHEN v.heap_blks_total > 0 THEN v.heap_blks_scanned::float8 / v.heap_blks_total
            WHEN an.sample_blks_total > 0 THEN an.sample_blks_scanned::float8 / an.sample_blks_total END,
       w.pid, w.usename, w.application_name, nullif(c.index_relid, 0)::bigint
FROM pg_catalog.pg_stat_activity a
LEFT JOIN pg_catalog.pg_stat_progress_create_index c ON c.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_vacuum v ON v.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze an ON an.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_activity w
    ON w.pid = coalesce(nullif(c.current_locker_pid, 0), (pg_catalog.pg_blocking_pids(a.pid))[1])
WHERE a.pid = %s AND a.state = 'active'
