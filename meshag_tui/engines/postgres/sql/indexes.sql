-- Indexes of the users' tables. Definitions, expressions and predicates are not asked for on a locked table: the server
-- opens the table to print them. {nulls_not_distinct} is of 15 and later.
WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.database = %(database)s
)
SELECT
    i.indexrelid::int8,
    n.nspname::text,
    t.relname::text,
    c.relname::text,
    tl.relation IS NOT NULL OR il.relation IS NOT NULL,
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
    m.amname::text,
    ARRAY(
        SELECT (SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = k.num AND k.num <> 0)
        FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k (num, at) ORDER BY k.at
    ),
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL AND i.indexprs IS NOT NULL THEN (
        SELECT pg_catalog.array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, p, false) ORDER BY p)
        FROM pg_catalog.generate_series(1, i.indnkeyatts::int4) p
    ) END,
    ARRAY(
        SELECT (SELECT o.opcname::text FROM pg_catalog.pg_opclass o WHERE o.oid = k.id)
        FROM pg_catalog.unnest(i.indclass::pg_catalog.oid[]) WITH ORDINALITY k (id, at) ORDER BY k.at
    ),
    -- Only a collation that is not the column's own.
    CASE WHEN i.indcollation::text ~ '[1-9]' THEN ARRAY(
        SELECT (
            SELECT l.collname::text FROM pg_catalog.pg_collation l
            WHERE l.oid = k.id AND k.id <> COALESCE((
                SELECT a.attcollation FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at - 1] AND i.indkey[k.at - 1] <> 0
            ), 100)
        )
        FROM pg_catalog.unnest(i.indcollation::pg_catalog.oid[]) WITH ORDINALITY k (id, at) ORDER BY k.at
    ) END,
    i.indoption::int2[],
    i.indnkeyatts,
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL AND i.indpred IS NOT NULL
        THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END,
    i.indisunique,
    i.indisprimary,
    i.indisvalid,
    i.indisready,
    x.conname::text,
    i.indisreplident,
    i.indisclustered,
    (SELECT pn.nspname || '.' || p.relname FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE c.relispartition AND h.inhrelid = c.oid),
    CASE WHEN tl.relation IS NULL AND il.relation IS NULL AND c.relkind = 'i' THEN {size} END,
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid AND d.deptype = 'e'
    ),
    i.indexrelid IN (SELECT g.index_relid FROM pg_catalog.pg_stat_progress_create_index g),
    {nulls_not_distinct},
    {figures}
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = c.relam
LEFT JOIN locked tl ON tl.relation = i.indrelid
LEFT JOIN locked il ON il.relation = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint x
    ON x.conrelid = i.indrelid AND x.conindid = i.indexrelid AND x.contype IN ('p', 'u', 'x')
WHERE t.relkind IN ('r', 'p', 'm')
    AND t.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
    )
