-- What the server is, in one row. Catalogue only: nothing here needs a right that a plain role lacks. Functions are
-- asked rather than the views over them: the views join more than is wanted, and this runs at each connect.
-- {…}: what a hardened server may have taken from PUBLIC.
-- %(settings)s: names of settings; %(guarded)s: those that only members of pg_read_all_settings may read.
SELECT
    pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_setting('server_version_num')::int4 AS version_number,
    d.datname::text AS database,
    d.oid::int8 AS database_oid,
    pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding,
    CURRENT_USER::text AS "user",
    pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole::pg_catalog.oid::int8 AS user_oid,
    pg_catalog.current_setting('is_superuser') = 'on' AS superuser,
    pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_stats,
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_shdepend o
        WHERE o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
            AND o.refobjid = pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole AND o.deptype = 'o'
    ) AS owns_things,
    pg_catalog.pg_is_in_recovery() AS in_recovery,
    (pg_catalog.date_part('epoch', {started_at}) * 1000)::int8 AS started_at,
    (pg_catalog.date_part('epoch', {objects_reset}) * 1000)::int8 AS objects_reset,
    {replicas} AS replicas,
    CASE WHEN %(encrypted)s THEN (
        SELECT pg_catalog.concat_ws(' ', t.version, t.cipher) FROM pg_catalog.pg_stat_ssl t
        WHERE t.pid = pg_catalog.pg_backend_pid()
    ) END AS tls,
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
    (
        SELECT pg_catalog.array_agg(ARRAY[s.name, s.value]) FROM (
            SELECT u.name, pg_catalog.current_setting(u.name, true) FROM pg_catalog.unnest(%(settings)s::text[]) u (name)
            UNION ALL
            SELECT g.name, CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
                THEN pg_catalog.current_setting(g.name, true) END
            FROM pg_catalog.unnest(%(guarded)s::text[]) g (name)
        ) s (name, value)
        WHERE s.value IS NOT NULL
    ) AS settings,
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
    ) AS statement_functions,
    (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::int8 AS observed_at
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
