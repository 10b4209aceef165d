-- The settings that plans depend on, and how this database's texts sort.
SELECT (SELECT pg_catalog.json_object_agg(s.name, pg_catalog.current_setting(s.name))
        FROM pg_catalog.pg_settings s
        WHERE s.name LIKE 'enable\_%' OR s.name LIKE 'geqo%' OR s.name LIKE '%\_cost'
           OR s.name IN ('jit', 'effective_cache_size', 'work_mem', 'hash_mem_multiplier', 'max_parallel_workers',
                         'max_parallel_workers_per_gather', 'min_parallel_table_scan_size',
                         'min_parallel_index_scan_size', 'parallel_leader_participation', 'from_collapse_limit',
                         'join_collapse_limit', 'constraint_exclusion', 'cursor_tuple_fraction',
                         'effective_io_concurrency', 'recursive_worktable_factor', 'default_statistics_target')),
       d.datcollate::text, d.datctype::text
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
