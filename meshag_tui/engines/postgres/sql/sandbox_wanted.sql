-- The relations that some texts name or plans read, and what those stand on: parents, parts, the tables of views and, if
-- keys are to be followed, the tables that foreign keys name.
WITH RECURSIVE named AS (
    SELECT c.oid
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
      AND (%(everything)s OR c.relname = ANY(%(names)s::text[])
           OR (n.nspname, c.relname) IN (SELECT * FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(tables)s::text[]))))
), wanted(oid) AS (
    SELECT oid FROM named
    UNION
    SELECT near.oid
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = w.oid
        UNION ALL
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = w.oid
        UNION ALL
        SELECT d.refobjid
        FROM pg_catalog.pg_rewrite r
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
             AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.oid
        WHERE r.ev_class = w.oid
        UNION ALL
        SELECT f.confrelid FROM pg_catalog.pg_constraint f
        WHERE f.conrelid = w.oid AND f.contype = 'f' AND f.conparentid = 0 AND %(keys)s
    ) near(oid)
)
SELECT w.oid::bigint FROM wanted w ORDER BY 1 LIMIT %(most)s
