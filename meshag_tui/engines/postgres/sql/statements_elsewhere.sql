-- A function or view of ours to name that gives what pg_stat_statements does, if it is here and ours to read: how it is
-- called, and its columns. Functions take no argument, or one (whether texts are wanted).
SELECT CASE p.pronargs WHEN 0 THEN 'call' ELSE 'flag' END, COALESCE(
    NULLIF(p.proargnames[p.pronargs + 1:], '{}'),
    (
        SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum)
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = p.prorettype AND a.attnum > 0 AND NOT a.attisdropped
    )
)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s AND p.proretset
    AND (p.pronargs = 0 OR p.pronargs = 1 AND p.proargtypes[0] = 'pg_catalog.bool'::pg_catalog.regtype)
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
UNION ALL
SELECT 'view', (
    SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('v', 'm', 'r')
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
ORDER BY 1 DESC
LIMIT 1
