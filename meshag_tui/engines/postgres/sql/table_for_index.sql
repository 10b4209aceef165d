-- One relation that an index might be made on, with its columns as {"name": "type"}.
SELECT c.oid::bigint, c.relkind::text, c.relispartition, c.relpersistence::text,
       pg_catalog.pg_get_userbyid(c.relowner),
       (SELECT pg_catalog.json_object_agg(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'i', 'I', 'S', 't')
