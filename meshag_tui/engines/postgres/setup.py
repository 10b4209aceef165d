"""The least-rights role MeshAG needs, as a script an administrator runs once."""

from __future__ import annotations

from meshag_tui.engines.postgres.errors import quoted

_SCRIPT = """\
-- A role for MeshAG that can watch everything and change nothing.
-- Run it as a superuser (or the provider's administrator) in database {database}, with a password of your own.
CREATE ROLE {user} LOGIN PASSWORD 'choose a password' CONNECTION LIMIT 10;
ALTER ROLE {user} SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE {database} TO {user};

-- Sees all statements, sessions and settings.
GRANT pg_monitor TO {user};

-- May read tables, which EXPLAIN of a SELECT needs: it checks the rights of the statement though it does not run it.
-- EXPLAIN of INSERT, UPDATE and DELETE would need those rights too, and is left out.
DO $meshag$
DECLARE
    space name;
BEGIN
    IF current_setting('server_version_num')::int >= 140000 THEN
        GRANT pg_read_all_data TO {user};
    ELSE
        FOR space IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO {escaped}', space);
            EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {escaped}', space);
            EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO {escaped}', space);
        END LOOP;
    END IF;
END
$meshag$;

-- Counts statements. It must also be in shared_preload_libraries (a restart).
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
DO $meshag$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {escaped}',
        (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'pg_stat_statements'));
END
$meshag$;

-- Optional: lets the planner price indexes that do not exist.
-- CREATE EXTENSION IF NOT EXISTS hypopg;
"""


def setup_sql(user: str, database: str) -> str:
    """The script for a role `user` in `database`; safe for any names. Works on PostgreSQL 13 and later."""
    name = quoted(user)
    if "$meshag$" in name:
        name = quoted(user.replace("$meshag$", ""))
    return _SCRIPT.format(user=name, database=quoted(database), escaped=name.replace("'", "''").replace("%", "%%"))
