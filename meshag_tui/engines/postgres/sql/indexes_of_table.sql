-- The indexes of one table, in the parts that make two of them equivalent.
SELECT ic.relname, am.amname, i.indisvalid, i.indisready,
       (SELECT pg_catalog.array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, false) ORDER BY k)
        FROM pg_catalog.generate_series(1, i.indnatts) k),
       i.indnkeyatts,
       (SELECT pg_catalog.array_agg(CASE WHEN oc.opcdefault THEN '' ELSE oc.opcname END ORDER BY o.k)
        FROM pg_catalog.unnest(i.indclass::oid[]) WITH ORDINALITY o(oid, k)
        JOIN pg_catalog.pg_opclass oc ON oc.oid = o.oid),
       i.indoption::smallint[],
       pg_catalog.pg_get_expr(i.indpred, i.indrelid),
       (SELECT pg_catalog.bool_or(co.oid <> 0 AND co.oid IS DISTINCT FROM a.attcollation)
        FROM ROWS FROM (pg_catalog.unnest(i.indcollation::oid[]), pg_catalog.unnest(i.indkey::smallint[])) co(oid, attnum)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = co.attnum AND co.attnum > 0
        WHERE co.attnum > 0)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = ic.relam
WHERE i.indrelid = %s
ORDER BY ic.relname
