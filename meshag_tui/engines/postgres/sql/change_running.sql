-- Whether one of these statements of ours still runs; the server keeps only the beginning of a long one.
SELECT EXISTS (
    SELECT 1 FROM pg_catalog.pg_stat_activity a, pg_catalog.unnest(%s::text[]) sent
    WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.state = 'active' AND a.datname = pg_catalog.current_database()
      AND a.query <> '' AND pg_catalog.starts_with(sent, a.query))
