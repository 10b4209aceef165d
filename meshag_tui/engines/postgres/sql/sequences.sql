-- Sequences with the column each feeds (owned, or by its default).
SELECT
    'sequence',
    ARRAY[n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text, a.attname::text,
        pg_catalog.format_type(a.atttypid, NULL)],
    NULL,
    NULL,
    ARRAY[
        CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT')
                AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
                AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.relation = c.oid
                    AND l.database = %(database)s AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock'))
            THEN pg_catalog.pg_sequence_last_value(c.oid) END,
        s.seqmax, s.seqmin, s.seqincrement
    ],
    s.seqcycle
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT o.refobjid AS relid, o.refobjsubid::int2 AS num FROM pg_catalog.pg_depend o
    WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = c.oid AND o.deptype IN ('a', 'i')
        AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refobjsubid > 0
    UNION ALL
    SELECT d.adrelid, d.adnum FROM pg_catalog.pg_depend o
    JOIN pg_catalog.pg_attrdef d ON d.oid = o.objid
    WHERE o.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND o.deptype = 'n'
        AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refobjid = c.oid
    LIMIT 1
) f ON true
LEFT JOIN pg_catalog.pg_class t ON t.oid = f.relid
LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = f.relid AND a.attnum = f.num
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
