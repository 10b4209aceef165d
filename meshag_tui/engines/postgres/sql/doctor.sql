-- What could be had but is not: extensions on the server's disk, tables our role may not read, entries evicted.
SELECT
    (
        SELECT pg_catalog.array_agg(ARRAY[x.name::text, x.default_version])
        FROM pg_catalog.pg_available_extensions x WHERE x.name IN ('pg_stat_statements', 'hypopg')
    ),
    (
        SELECT pg_catalog.count(*)::int4
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
            AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
    ),
    (
        SELECT pg_catalog.array_agg(d.datname::text ORDER BY d.oid)
        FROM pg_catalog.pg_database d
        WHERE d.datallowconn AND d.datname <> pg_catalog.current_database()
            AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')
    ),
    (
        SELECT pg_catalog.array_agg(d.datname::text ORDER BY d.oid)
        FROM pg_catalog.pg_database d
        WHERE pg_catalog.pg_encoding_to_char(d.encoding) = 'SQL_ASCII' AND d.datname <> pg_catalog.current_database()
    )
