-- Extended statistics of these tables, as they would be made.
SELECT n.nspname::text, e.stxname::text, pg_catalog.pg_get_statisticsobjdef(e.oid)
FROM pg_catalog.pg_statistic_ext e
JOIN pg_catalog.pg_namespace n ON n.oid = e.stxnamespace
WHERE e.stxrelid = ANY(%s::oid[])
ORDER BY e.oid
