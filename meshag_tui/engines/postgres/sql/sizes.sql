-- Sizes of some tables and indexes. One that is locked, or waited for, with AccessExclusive is not asked.
WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.database = %(database)s
)
SELECT c.oid::int8, l.relation IS NOT NULL, CASE WHEN l.relation IS NULL THEN {size} END
FROM pg_catalog.pg_class c
LEFT JOIN locked l ON l.relation = c.oid
WHERE c.oid = ANY(%(relations)s::pg_catalog.oid[])
