-- Tables, partitions, materialized views and foreign tables of the users' schemas, with sizes and cumulative counters.
-- A relation that is locked, or waited for, with AccessExclusive is not asked for its size: that would wait with it.
WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.database = %(database)s
)
SELECT
    c.oid::int8,
    n.nspname::text,
    c.relname::text,
    c.relispartition,
    (SELECT pn.nspname || '.' || p.relname FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE c.relispartition AND h.inhrelid = c.oid),
    l.relation IS NOT NULL,
    CASE WHEN l.relation IS NULL AND c.relkind IN ('r', 'm') THEN {size} END,
    c.reloptions,
    {figures}
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN locked l ON l.relation = c.oid
WHERE c.relkind IN ('r', 'p', 'm', 'f')
    AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
