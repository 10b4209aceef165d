-- Indexes of the users' tables. Definitions, expressions and predicates are not asked for on a locked table: the server
-- opens the table to print them. {last_scan} is of 16 and later, {nulls_not_distinct} of 15 and later.
WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.database = %(database)s
)
SELECT
    i.indexrelid::int8,
    i.indrelid::int8,
    n.nspname::text,
    t.relname::text,
    c.relname::text,
    tl.relation IS NOT NULL OR il.relation IS NOT NULL,
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
    m.amname::text,
    k.names,
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL AND i.indexprs IS NOT NULL THEN (
        SELECT pg_catalog.array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, p, false) ORDER BY p)
        FROM pg_catalog.generate_series(1, i.indnkeyatts::int4) p
    ) END,
    k.opclasses,
    k.collations,
    i.indoption::int2[],
    i.indnkeyatts,
    i.indexprs IS NOT NULL,
    i.indpred IS NOT NULL,
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL AND i.indpred IS NOT NULL
        THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END,
    i.indisunique,
    i.indisprimary,
    i.indisvalid,
    i.indisready,
    (SELECT x.conname::text FROM pg_catalog.pg_constraint x WHERE x.conindid = i.indexrelid AND x.contype IN ('p', 'u', 'x')
        ORDER BY x.oid LIMIT 1),
    i.indisreplident,
    i.indisclustered,
    (SELECT pn.nspname || '.' || p.relname FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE c.relispartition AND h.inhrelid = c.oid),
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL AND c.relkind = 'i' THEN {size} END,
    c.reltuples::float8,
    CASE WHEN c.relkind = 'i' THEN pg_catalog.pg_stat_get_numscans(i.indexrelid) END,
    CASE WHEN c.relkind = 'i' THEN pg_catalog.pg_stat_get_tuples_returned(i.indexrelid) END,
    CASE WHEN c.relkind = 'i' THEN pg_catalog.pg_stat_get_tuples_fetched(i.indexrelid) END,
    {last_scan},
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid AND d.deptype = 'e'
    ),
    g.index_relid IS NOT NULL,
    {nulls_not_distinct}
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = c.relam
LEFT JOIN locked tl ON tl.relation = i.indrelid
LEFT JOIN locked il ON il.relation = i.indexrelid
LEFT JOIN pg_catalog.pg_stat_progress_create_index g ON g.index_relid = i.indexrelid
CROSS JOIN LATERAL (
    SELECT
        pg_catalog.array_agg(a.attname::text ORDER BY p.n) AS names,
        pg_catalog.array_agg(o.opcname::text ORDER BY p.n) AS opclasses,
        pg_catalog.array_agg(
            CASE WHEN i.indcollation[p.n] <> 0 AND i.indcollation[p.n] <> COALESCE(a.attcollation, 100) THEN l.collname::text END
            ORDER BY p.n
        ) AS collations
    FROM pg_catalog.generate_series(0, i.indnatts - 1) p (n)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.n] AND i.indkey[p.n] <> 0
    LEFT JOIN pg_catalog.pg_opclass o ON p.n < i.indnkeyatts AND o.oid = i.indclass[p.n]
    LEFT JOIN pg_catalog.pg_collation l ON p.n < i.indnkeyatts AND l.oid = i.indcollation[p.n]
) k
WHERE t.relkind IN ('r', 'p', 'm')
    AND t.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
    )
