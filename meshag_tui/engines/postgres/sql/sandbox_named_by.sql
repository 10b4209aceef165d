-- The foreign keys that refer to a table: who refers, by which columns, to which.
SELECT f.conrelid::pg_catalog.regclass::text,
    (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.at)
        FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY k(n, at)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.n),
    (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.at)
        FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY k(n, at)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.n)
FROM pg_catalog.pg_constraint f
WHERE f.contype = 'f' AND f.confrelid = pg_catalog.to_regclass(%s)
