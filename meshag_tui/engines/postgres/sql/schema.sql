-- Structure: columns by relation, definitions of views, definitions of constraints (NOT NULL is said by the columns).
WITH relation AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND c.relpersistence <> 't'
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
        )
)
SELECT 'columns', r.name, pg_catalog.array_agg(
    ARRAY[
        a.attname::text,
        pg_catalog.format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'no' ELSE 'yes' END,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid)
    ] ORDER BY a.attnum
)
FROM relation r
JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
GROUP BY r.oid, r.name
UNION ALL
SELECT 'view', r.name, ARRAY[ARRAY[pg_catalog.pg_get_viewdef(r.oid)]] FROM relation r WHERE r.relkind IN ('v', 'm')
UNION ALL
SELECT 'constraints', r.name, pg_catalog.array_agg(ARRAY[x.conname || ' ' || pg_catalog.pg_get_constraintdef(x.oid)] ORDER BY x.conname)
FROM relation r JOIN pg_catalog.pg_constraint x ON x.conrelid = r.oid AND x.contype <> 'n'
GROUP BY r.oid, r.name
