-- What these views say.
SELECT c.oid::bigint, pg_catalog.pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c
WHERE c.oid = ANY(%s::oid[]) AND c.relkind = 'v'
ORDER BY c.oid
