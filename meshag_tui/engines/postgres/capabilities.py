"""What of pg_stat_statements can be read here, and the exact step that mends what cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.remedies import EXTENSION, preload_step, setting_step
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server


def preloaded(server: Server) -> bool:
    """Whether the library was loaded at server start: its settings exist then, visible to any role."""
    return any(name.startswith(f"{EXTENSION}.") for name in server.session_settings)


def readable(server: Server) -> bool:
    """Whether the functions of pg_stat_statements are there, ours to call, and would answer."""
    return bool(server.statement_columns) and preloaded(server)


def statements_finding(server: Server) -> Finding | None:
    """Why pg_stat_statements gives nothing, from the facts alone; None when it can be read."""
    created = EXTENSION in server.extension_schemas or server.statements_elsewhere is not None
    database, user = server.facts.database, server.facts.user
    if not preloaded(server):
        return Finding(
            "pgss-not-preloaded" if created else "pgss-missing",
            "missing",
            "pg_stat_statements is created but not preloaded" if created else "pg_stat_statements is not set up",
            "The server counts no statements, because the library is not in shared_preload_libraries"
            + ("" if created else f", and the extension is not created in {database}"),
            preload_step(server) + ("" if created else f"\nCREATE EXTENSION pg_stat_statements;  -- in {database}"),
        )
    if not created:
        return Finding(
            "pgss-not-created",
            "missing",
            f"pg_stat_statements is loaded but not created in {database}",
            "The server counts statements, but an extension is created in each database for itself",
            f"CREATE EXTENSION pg_stat_statements;  -- in {database}, as its owner",
        )
    if not server.statement_columns:
        schema = server.extension_schemas[EXTENSION]
        return Finding(
            "pgss-no-privilege",
            "missing",
            "No privilege on pg_stat_statements",
            f"{user} may not use schema {schema} or the function in it",
            f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(user)};\n"
            f"GRANT EXECUTE ON FUNCTION {quoted(schema)}.pg_stat_statements(boolean) TO {quoted(user)};",
        )
    if server.session_settings.get("compute_query_id") == "off":
        return Finding(
            "query-id-off",
            "degraded",
            "compute_query_id is off: no statements are counted",
            "pg_stat_statements counts only statements that have an identifier",
            setting_step(server, "compute_query_id", "auto"),
        )
    if server.session_settings.get(f"{EXTENSION}.track") == "none":
        return Finding(
            "pgss-track-none",
            "degraded",
            "pg_stat_statements.track is none: no statements are counted",
            "The setting of our own session; other roles and databases may have another",
            setting_step(server, "pg_stat_statements.track", "top"),
        )
    return None


def unseen_finding(server: Server, unseen: int, seen: int) -> Finding:
    """Rows of other roles are hidden from ours (`<insufficient privilege>`)."""
    return Finding(
        "pgss-insufficient-privilege",
        "degraded",
        f"{unseen:,} of {unseen + seen:,} statements are hidden from {server.facts.user}",
        "The server shows statements of other roles only to members of pg_read_all_stats (<insufficient privilege>)",
        f"GRANT pg_read_all_stats TO {quoted(server.facts.user)};",
        {"hidden": unseen, "seen": seen},
    )
