-- Texts of this database's sessions, running or last run, that compare with a pattern. Only PostgreSQL's own view of them:
-- what a prepared statement was given is not in its text.
SELECT s.query
FROM pg_catalog.pg_stat_activity s
WHERE s.datname = pg_catalog.current_database() AND s.pid <> pg_catalog.pg_backend_pid()
    AND s.query ~* '\m(i?like|similar)\M|~' AND pg_catalog.length(s.query) < 20000
LIMIT 100
