-- The planner's statistics of these tables and of the expressions of their indexes, values as texts.
SELECT s.schemaname::text, s.tablename::text, s.attname::text, s.inherited, s.null_frac, s.avg_width, s.n_distinct,
       s.most_common_vals::text, s.most_common_freqs, s.histogram_bounds::text, s.correlation,
       s.most_common_elems::text, s.most_common_elem_freqs, s.elem_count_histogram, {ranges}
FROM pg_catalog.pg_stats s
WHERE (s.schemaname, s.tablename) IN (SELECT * FROM ROWS FROM (pg_catalog.unnest(%s::name[]), pg_catalog.unnest(%s::name[])))
