-- All that a change can change of the users' tables: what each index, table and object of statistics is, how it is kept
-- and what is said of it.
SELECT n.nspname || '.' || c.relname, pg_catalog.jsonb_build_array(
    pg_catalog.pg_get_indexdef(c.oid), i.indisvalid AND i.indisready AND i.indislive,
    i.indisunique, i.indisprimary, i.indisclustered, i.indisreplident, c.reloptions::text, c.reltablespace::text,
    pg_catalog.pg_get_userbyid(c.relowner), pg_catalog.obj_description(c.oid, 'pg_class'),
    (SELECT pg_catalog.array_agg(a.attnum || '=' || coalesce(a.attstattarget, -1) ORDER BY a.attnum)::text
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid),
    (SELECT d.refobjid::text FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'x'))::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL
SELECT n.nspname || '.' || c.relname, pg_catalog.jsonb_build_array(
    c.reloptions::text, t.reloptions::text, pg_catalog.pg_get_userbyid(c.relowner),
    (SELECT pg_catalog.array_agg(a.attname || '=' || coalesce(a.attstattarget, -1) || coalesce(a.attoptions::text, '')
        ORDER BY a.attnum)::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'statistics ' || n.nspname || '.' || s.stxname, pg_catalog.jsonb_build_array(
    pg_catalog.pg_get_statisticsobjdef(s.oid), pg_catalog.pg_get_userbyid(s.stxowner),
    pg_catalog.obj_description(s.oid, 'pg_statistic_ext'), coalesce(s.stxstattarget, -1))::text
FROM pg_catalog.pg_statistic_ext s
JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
ORDER BY 1
