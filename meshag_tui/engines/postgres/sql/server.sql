-- What the server is, in one row. Catalogue only: nothing here needs a right that a plain role lacks.
-- %(settings)s: names of the settings wanted. Sizes come back in bytes, times in ms.
SELECT
    pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_setting('server_version_num')::int4 AS version_number,
    d.datname::text AS database,
    d.oid::int8 AS database_oid,
    pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding,
    r.rolname::text AS "user",
    r.oid::int8 AS user_oid,
    r.rolsuper AS superuser,
    -- A role that watches and owns nothing: what it runs is not the application's.
    NOT r.rolsuper
        AND pg_catalog.pg_has_role(r.oid, (SELECT s.oid FROM pg_catalog.pg_roles s WHERE s.rolname = 'pg_read_all_stats'), 'USAGE')
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_shdepend o
            WHERE o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND o.refobjid = r.oid AND o.deptype = 'o'
        ) AS dedicated,
    pg_catalog.pg_has_role(r.oid, (SELECT s.oid FROM pg_catalog.pg_roles s WHERE s.rolname = 'pg_read_all_stats'), 'USAGE') AS sees_all_stats,
    pg_catalog.pg_is_in_recovery() AS in_recovery,
    (EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000)::int8 AS started_at,
    (EXTRACT(epoch FROM pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)) * 1000)::int8 AS objects_reset,
    (SELECT pg_catalog.count(*)::int4 FROM pg_catalog.pg_stat_get_wal_senders()) AS replicas,
    (SELECT pg_catalog.concat_ws(' ', t.version, t.cipher) FROM pg_catalog.pg_stat_ssl t
        WHERE t.pid = pg_catalog.pg_backend_pid() AND t.ssl) AS tls,
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_control,
    -- What providers leave in every cluster of theirs.
    (
        SELECT pg_catalog.array_agg(a.sign) FROM (
            SELECT w.rolname::text AS sign FROM pg_catalog.pg_roles w
            WHERE w.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'supabase_admin', 'neon_superuser')
            UNION ALL
            SELECT 'aurora_version()' FROM pg_catalog.pg_proc f WHERE f.proname = 'aurora_version'
        ) a
    ) AS signs,
    (
        SELECT pg_catalog.array_agg(ARRAY[e.extname::text, e.extversion, n.nspname::text])
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    ) AS extensions,
    (
        SELECT pg_catalog.array_agg(ARRAY[
            s.name,
            CASE
                WHEN s.unit IS NULL OR s.setting LIKE '-%%' OR s.vartype NOT IN ('integer', 'real') THEN s.setting
                WHEN s.unit = 'B' OR s.unit = 'ms' THEN s.setting
                WHEN s.unit = 's' THEN (s.setting::numeric * 1000)::text
                WHEN s.unit = 'min' THEN (s.setting::numeric * 60000)::text
                WHEN s.unit = 'kB' THEN (s.setting::numeric * 1024)::text
                WHEN s.unit = 'MB' THEN (s.setting::numeric * 1048576)::text
                WHEN s.unit = '8kB' THEN (s.setting::numeric * 8192)::text
                ELSE s.setting || ' ' || s.unit
            END
        ])
        FROM pg_catalog.pg_settings s
        WHERE s.name = ANY (%(settings)s) OR s.name LIKE 'pg\_stat\_statements.%%' OR s.name LIKE 'auto\_explain.%%'
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
    (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000)::int8 AS observed_at
FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
WHERE d.datname = pg_catalog.current_database() AND r.rolname = CURRENT_USER
