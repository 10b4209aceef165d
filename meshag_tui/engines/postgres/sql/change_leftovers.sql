-- Invalid indexes of one table with the endings that REINDEX CONCURRENTLY gives.
SELECT ic.oid::bigint, ic.relname
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
WHERE i.indrelid = %s AND NOT i.indisvalid AND ic.relname ~ '_cc(new|old)[0-9]*$'
