-- Figures of all relations that hold users' data or index it: whose they are is known already. Objects of initdb have ids
-- below 16384.
SELECT c.oid::int8, {figures}
FROM pg_catalog.pg_class c
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'f', 'i', 'I') AND c.relpersistence <> 't'
