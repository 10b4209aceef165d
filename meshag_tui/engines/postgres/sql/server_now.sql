-- What may differ at each connect, in one row: who and where we are, the clocks, settings. Catalogue only: nothing here
-- needs a right that a plain role lacks. Functions are asked rather than the views over them: a new session reads each
-- catalogue for the first time, which costs more than all the rest.
-- {settings}: a value each, named one by one because a list to look up costs more. {…}: what a hardened server may have
-- taken from PUBLIC; {tls}: even a part that is not run costs its planning.
SELECT
    pg_catalog.current_setting('server_version_num')::int4 AS version_number,
    d.datname::text AS database,
    d.oid::int8 AS database_oid,
    CURRENT_USER::text AS "user",
    pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole::pg_catalog.oid::int8 AS user_oid,
    pg_catalog.current_setting('is_superuser') = 'on' AS superuser,
    pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_stats,
    pg_catalog.pg_is_in_recovery() AS in_recovery,
    {started_at} AS started_at,
    {objects_reset} AS objects_reset,
    {replicas} AS replicas,
    {tls} AS tls,
    ARRAY[{settings}] AS settings,
    pg_catalog.clock_timestamp() AS observed_at
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
