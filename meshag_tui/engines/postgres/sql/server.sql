-- What seldom changes while the server lives, in one row: what it is, its extensions, what we may call.
SELECT
    pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_setting('server_encoding') AS encoding,
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_shdepend o
        WHERE o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
            AND o.refobjid = pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole AND o.deptype = 'o'
    ) AS owns_things,
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_control,
    -- What providers leave in every cluster of theirs.
    pg_catalog.array_remove(ARRAY[
        pg_catalog.to_regrole('rds_superuser')::text,
        pg_catalog.to_regrole('cloudsqlsuperuser')::text,
        pg_catalog.to_regrole('azure_pg_admin')::text,
        pg_catalog.to_regrole('supabase_admin')::text,
        pg_catalog.to_regrole('neon_superuser')::text,
        (SELECT 'aurora_version()' FROM pg_catalog.pg_proc f WHERE f.proname = 'aurora_version' LIMIT 1)
    ], NULL) AS signs,
    (
        SELECT pg_catalog.array_agg(ARRAY[e.extname::text, e.extversion, n.nspname::text])
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    ) AS extensions,
    -- The functions of pg_stat_statements, wherever it lives, with the columns they really have.
    (
        SELECT pg_catalog.array_agg(p.proname || ' ' || pg_catalog.array_to_string(p.proargnames[p.pronargs + 1:], ' '))
        FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_depend x ON x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            AND x.refobjid = e.oid AND x.deptype = 'e' AND x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc p ON p.oid = x.objid
        WHERE e.extname = 'pg_stat_statements' AND p.proname IN ('pg_stat_statements', 'pg_stat_statements_info')
            AND pg_catalog.has_schema_privilege(p.pronamespace, 'USAGE')
            AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
    ) AS statement_functions
