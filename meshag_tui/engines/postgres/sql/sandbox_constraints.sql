-- Checks and foreign keys among these relations: they exclude parts and tell how many rows of two tables match.
SELECT n.nspname::text, t.relname::text, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class t ON t.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE k.conrelid = ANY(%(oids)s::oid[]) AND k.conislocal AND k.conparentid = 0 AND k.convalidated
  AND (k.contype = 'c' OR (k.contype = 'f' AND k.confrelid = ANY(%(oids)s::oid[])))
ORDER BY k.contype, k.oid
