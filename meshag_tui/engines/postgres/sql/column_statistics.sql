-- The planner's statistics of a table's columns; of a partitioned table, those over all its partitions.
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), s.null_frac, s.n_distinct, s.avg_width,
       s.most_common_vals::text::text[], s.most_common_freqs, s.histogram_bounds::text::text[], s.correlation,
       s.most_common_elems::text::text[]
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
     AND s.inherited = (c.relkind = 'p')
WHERE n.nspname = %s AND c.relname = %s
ORDER BY a.attnum
