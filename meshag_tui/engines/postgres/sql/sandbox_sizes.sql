-- The present length of these relations in pages: the planner looks at it, not at what the catalogue remembers.
SELECT c.oid::bigint, (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int)::bigint
FROM pg_catalog.pg_class c
WHERE c.oid = ANY(%s::oid[])
