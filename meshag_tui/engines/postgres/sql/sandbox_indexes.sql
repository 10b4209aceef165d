-- Indexes that plans may use, of these relations, with the constraint that owns one and the index it is a part of.
SELECT c.oid::bigint, n.nspname::text, t.relname::text, c.relname::text, m.amname::text, c.relkind = 'I',
       pg_catalog.pg_get_indexdef(i.indexrelid), k.conname::text, pg_catalog.pg_get_constraintdef(k.oid),
       (SELECT pg_catalog.json_build_array(pn.nspname, p.relname)
        FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE h.inhrelid = c.oid),
       c.relpages, c.reltuples
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
     AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = ANY(%s::oid[]) AND i.indisvalid AND i.indislive
ORDER BY c.relkind = 'i', c.oid
