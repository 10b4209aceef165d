-- What planning needs to know of these relations; no default, no trigger, no body of anything.
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, c.relpages, c.reltuples, c.relallvisible,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(pn.nspname, p.relname) ORDER BY i.inhseqno)
        FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid),
       pg_catalog.pg_get_expr(c.relpartbound, c.oid),
       CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
       (SELECT o.option_value FROM pg_catalog.pg_options_to_table(c.reloptions) o
        WHERE o.option_name = 'parallel_workers'),
       COALESCE((SELECT o.option_value::bool FROM pg_catalog.pg_options_to_table(c.reloptions) o
                 WHERE o.option_name = 'security_barrier'), false),
       c.relrowsecurity,
       EXISTS (SELECT FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace AND s.spcoptions IS NOT NULL),
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
                   a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
                   CASE WHEN a.attcollation <> t.typcollation THEN
                       (SELECT pg_catalog.json_build_array(cn.nspname, l.collname)
                        FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace cn ON cn.oid = l.collnamespace
                        WHERE l.oid = a.attcollation) END,
                   CASE WHEN a.attgenerated = 'v' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
                   pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s::oid[]) AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY c.oid
