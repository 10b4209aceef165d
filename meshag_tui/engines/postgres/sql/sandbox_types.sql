-- Types made in this database, those of extensions left out: enums, domains, composite types and ranges.
SELECT n.nspname::text, t.typname::text, t.typtype::text,
       CASE t.typtype
           WHEN 'e' THEN (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
                          FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
           WHEN 'd' THEN pg_catalog.to_json(pg_catalog.format_type(t.typbasetype, t.typtypmod))
           WHEN 'r' THEN (SELECT pg_catalog.to_json(pg_catalog.format_type(r.rngsubtype, NULL))
                          FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)
           ELSE (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
                            a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
       END
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND e.objid = t.oid AND e.deptype = 'e')
ORDER BY t.oid
