-- One index: what it is to others, which forbids dropping it, and all that pg_get_indexdef does not say of it.
SELECT ic.oid::bigint, i.indrelid::bigint, tn.nspname, t.relname, ic.relkind::text,
       i.indisprimary, i.indisunique, i.indisvalid, i.indisreplident, i.indisclustered,
       pg_catalog.pg_get_indexdef(ic.oid),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid),
       ts.spcname,
       pg_catalog.obj_description(ic.oid, 'pg_class'),
       (SELECT co.conname FROM pg_catalog.pg_constraint co WHERE co.conindid = ic.oid ORDER BY co.contype, co.conname LIMIT 1),
       (SELECT pn.nspname || '.' || pc.relname FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class pc ON pc.oid = h.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
        WHERE h.inhrelid = ic.oid),
       (SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid IN (ic.oid, t.oid) AND d.deptype = 'e'
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass LIMIT 1),
       (SELECT pg_catalog.array_agg(e.extname ORDER BY e.extname)
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = ic.oid AND d.deptype = 'x'),
       (SELECT pg_catalog.json_object_agg(a.attnum, a.attstattarget ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = ic.oid AND a.attnum > 0 AND a.attstattarget >= 0)
FROM pg_catalog.pg_class ic
JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
JOIN pg_catalog.pg_index i ON i.indexrelid = ic.oid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace
WHERE n.nspname = %s AND ic.relname = %s
