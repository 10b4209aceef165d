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
_SETTING: Mapping[Provider, str] = {
    "RDS": "In the DB parameter group set {name} = {value}",
    "Aurora": "In the DB cluster parameter group set {name} = {value}",
    "Cloud SQL": "gcloud sql instances patch INSTANCE --database-flags={name}={value}  (list your other flags too)",
    "Azure": "Under Server parameters set {name} = {value}",
    "Supabase": "supabase postgres-config update --config {name}={value}",
    "Neon": "Neon does not let you change {name} for the server; ALTER ROLE … SET {name} may do",
}
_HYPOPG: Mapping[Provider, str] = {
    "Azure": "Under Server parameters add hypopg to azure.extensions, then: CREATE EXTENSION hypopg;",
    "Supabase": "In the dashboard under Database, Extensions, enable hypopg",
}


def preload_step(server: Server, library: str = EXTENSION) -> str:
    """How a library gets into shared_preload_libraries, those already in it kept where we may see them."""
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
    create = f"CREATE EXTENSION hypopg;  -- in {server.facts.database}, as a superuser"
    if available or server.provider != "local":
        return create
    major = server.facts.version_number // 10_000
    return f"Install it on the server (Debian: apt install postgresql-{major}-hypopg), then:\n{create}"
