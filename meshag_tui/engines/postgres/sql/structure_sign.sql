-- Sums of row versions that any change of the structure moves, and ANALYZE, VACUUM and work on rows do not (what they
-- write into pg_class, they write in place). Not in the catalogues named here, but always with a row of them: defaults
-- (pg_attribute), views and partitions (pg_class). Tables of a session's own, made and dropped all day, are left out.
WITH temporary AS MATERIALIZED (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relpersistence = 't')
SELECT
    (SELECT pg_catalog.sum(c.xmin::text::int8) FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.relpersistence <> 't'),
    (SELECT pg_catalog.sum(i.xmin::text::int8) FROM pg_catalog.pg_index i
        WHERE i.indexrelid >= 16384 AND i.indrelid NOT IN (SELECT t.oid FROM temporary t)),
    (SELECT pg_catalog.sum(a.xmin::text::int8) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid >= 16384 AND a.attrelid NOT IN (SELECT t.oid FROM temporary t)),
    (SELECT pg_catalog.sum(x.xmin::text::int8) FROM pg_catalog.pg_constraint x
        WHERE x.conrelid NOT IN (SELECT t.oid FROM temporary t)),
    (SELECT pg_catalog.sum(n.xmin::text::int8) FROM pg_catalog.pg_namespace n WHERE n.nspname NOT LIKE 'pg\_%')
