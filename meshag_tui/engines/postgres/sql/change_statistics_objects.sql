-- The extended statistics of one table: schema, name, columns, kinds, oid, whether of expressions too.
SELECT n.nspname, s.stxname,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = s.stxrelid AND a.attnum = ANY(s.stxkeys::smallint[]) ORDER BY a.attnum),
       s.stxkind::text[], s.oid::bigint, 'e' = ANY(s.stxkind)
FROM pg_catalog.pg_statistic_ext s
JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxrelid = %s
ORDER BY s.oid
