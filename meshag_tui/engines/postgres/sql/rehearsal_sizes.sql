-- Rows as last counted and bytes of tables, with what is kept out of line, without indexes; and whether we may read them.
SELECT c.oid::bigint, GREATEST(c.reltuples, 0)::bigint, pg_catalog.pg_table_size(c.oid),
       pg_catalog.has_table_privilege(c.oid, 'SELECT'), pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
FROM pg_catalog.pg_class c
WHERE c.oid = ANY(%s::oid[]) AND c.relkind IN ('r', 'm', 'p')
