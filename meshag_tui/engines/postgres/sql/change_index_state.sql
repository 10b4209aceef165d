-- The index of a name now.
SELECT ic.oid::bigint, i.indrelid::bigint, i.indisvalid AND i.indisready AND i.indislive,
       pg_catalog.pg_get_indexdef(ic.oid)
FROM pg_catalog.pg_class ic
JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
JOIN pg_catalog.pg_index i ON i.indexrelid = ic.oid
WHERE n.nspname = %s AND ic.relname = %s
