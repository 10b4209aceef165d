-- Foreign keys, in the shape of sequences.
SELECT
    'key',
    ARRAY[x.conname::text, n.nspname::text, c.relname::text, rn.nspname::text, rc.relname::text],
    (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.n) FROM pg_catalog.unnest(x.conkey) WITH ORDINALITY k (num, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = x.conrelid AND a.attnum = k.num),
    (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.n) FROM pg_catalog.unnest(x.confkey) WITH ORDINALITY k (num, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = x.confrelid AND a.attnum = k.num),
    NULL::int8[],
    NULL::boolean
FROM pg_catalog.pg_constraint x
JOIN pg_catalog.pg_class c ON c.oid = x.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class rc ON rc.oid = x.confrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
WHERE x.contype = 'f' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
