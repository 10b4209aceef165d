"""How a thing is switched on where the server runs: local, or at a provider that has its own way for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Provider, Server

EXTENSION = "pg_stat_statements"

_PRELOAD: Mapping[Provider, str] = {
    "RDS": "In the DB parameter group add {library} to shared_preload_libraries, then reboot the instance",
    "Aurora": "In the DB cluster parameter group add {library} to shared_preload_libraries, then reboot the writer",
    "Cloud SQL": "Cloud SQL preloads pg_stat_statements itself; for others see its list of supported extensions",
    "Azure": "Under Server parameters add {library} to azure.extensions and shared_preload_libraries, save and restart",
    "Supabase": "In the dashboard under Database, Extensions, enable {library}; Supabase preloads it",
    "Neon": "Neon preloads pg_stat_statements itself; restart the compute if it is missing",
}
_AUTO_EXPLAIN: Mapping[Provider, str] = {  # a library without an extension
    "Cloud SQL": "gcloud sql instances patch INSTANCE --database-flags=cloudsql.enable_auto_explain=on  "
    "(list your other flags too)",
    "Azure": "Under Server parameters add auto_explain to shared_preload_libraries, save and restart",
    "Supabase": "Supabase preloads it; where it is missing, ask its support",
    "Neon": "Neon itself decides what is preloaded: see its list of extensions",
}
_SETTING: Mapping[Provider, str] = {
    "RDS": "In the DB parameter group set {name} = {value}",
    "Aurora": "In the DB cluster parameter group set {name} = {value}",
    "Cloud SQL": "gcloud sql instances patch INSTANCE --database-flags={name}={value}  (list your other flags too)",
    "Azure": "Under Server parameters set {name} = {value}",
    "Supabase": "supabase postgres-config update --config {name}={value}",
    "Neon": "Neon does not let you change {name} for the server; ALTER ROLE … SET {name} may do",
}
_ADMINISTRATOR: Mapping[Provider, str] = {
    "RDS": "a member of rds_superuser",
    "Aurora": "a member of rds_superuser",
    "Cloud SQL": "a member of cloudsqlsuperuser",
    "Neon": "a member of neon_superuser",
}
_HYPOPG: Mapping[Provider, str] = {
    "Azure": "Under Server parameters add hypopg to azure.extensions, then: CREATE EXTENSION hypopg;",
    "Supabase": "In the dashboard under Database, Extensions, enable hypopg",
}


def preload_step(server: Server, library: str = EXTENSION) -> str:
    """How a library gets into shared_preload_libraries, those already in it kept where we may see them."""
    if library == "auto_explain" and server.provider in _AUTO_EXPLAIN:
        return _AUTO_EXPLAIN[server.provider]
    if server.provider in _PRELOAD:
        return _PRELOAD[server.provider].format(library=library)
    present = [name.strip() for name in server.session_settings.get("shared_preload_libraries", "").split(",")]
    libraries = ", ".join([name for name in present if name and name != library] + [library])
    known = "shared_preload_libraries" in server.session_settings
    note = "" if known else "  -- keep the libraries that are in it already"
    return f"ALTER SYSTEM SET shared_preload_libraries = {libraries};{note}\n-- then restart the server"


def setting_step(server: Server, name: str, value: str, restart: bool = False) -> str:
    """How a server setting is changed."""
    if server.provider in _SETTING:
        step = _SETTING[server.provider].format(name=name, value=value)
        return step + (", then restart" if restart else "")
    after = "-- then restart the server" if restart else "SELECT pg_reload_conf();"
    return f"ALTER SYSTEM SET {name} = '{value}';\n{after}"


def hypopg_step(server: Server, available: bool) -> str:
    """How HypoPG gets into this database."""
    if server.provider in _HYPOPG:
        return _HYPOPG[server.provider]
    by = _ADMINISTRATOR.get(server.provider, "a superuser")
    create = f"CREATE EXTENSION hypopg;  -- in {server.facts.database}, as {by}"
    if available:
        return create
    major = server.facts.version_number // 10_000
    if server.provider != "local":
        return f"{server.provider} does not offer it with {server.facts.version}; with later releases:\n{create}"
    return f"Install it on the server (Debian: apt install postgresql-{major}-hypopg), then:\n{create}"
