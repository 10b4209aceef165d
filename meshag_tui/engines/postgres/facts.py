"""What a server is: version, role, settings, extensions, and the epoch two readings must share to be compared."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from meshag_tui.engines.base import CannotConnect, PermissionDenied
from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import CostModel, Epoch, ServerFacts

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.wire import Wire

SETTINGS = (
    *("application_name", "default_transaction_read_only", "idle_in_transaction_session_timeout", "lock_timeout"),
    *("statement_timeout", "search_path", "block_size", "server_encoding", "shared_buffers", "effective_cache_size"),
    *("work_mem", "hash_mem_multiplier", "maintenance_work_mem", "random_page_cost", "seq_page_cost", "jit"),
    *("cpu_tuple_cost", "cpu_index_tuple_cost", "cpu_operator_cost", "default_statistics_target", "plan_cache_mode"),
    *("max_connections", "superuser_reserved_connections", "reserved_connections", "max_worker_processes"),
    *("max_parallel_workers_per_gather", "compute_query_id", "track_counts", "track_activities", "track_io_timing"),
    *("track_activity_query_size", "autovacuum", "autovacuum_max_workers", "autovacuum_freeze_max_age"),
    *("autovacuum_vacuum_threshold", "autovacuum_vacuum_scale_factor", "autovacuum_vacuum_max_threshold"),
    *("autovacuum_analyze_threshold", "autovacuum_analyze_scale_factor", "wal_level", "hot_standby_feedback"),
    *("fsync", "log_min_duration_statement"),
    *("pg_stat_statements.max", "pg_stat_statements.track", "pg_stat_statements.track_utility"),
    *("pg_stat_statements.track_planning", "pg_stat_statements.save", "auto_explain.log_min_duration"),
)
_GUARDED = ("shared_preload_libraries", "session_preload_libraries")
_UNITS = {
    **{"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4},
    **{"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000},
}


Provider = Literal["local", "RDS", "Aurora", "Cloud SQL", "Azure", "Supabase", "Neon"]
"""Who runs the server, as far as its roles tell; it decides how a setting is changed there."""

_PROVIDERS: Mapping[str, Provider] = {
    "aurora_version()": "Aurora",
    "rds_superuser": "RDS",
    "cloudsqlsuperuser": "Cloud SQL",
    "azure_pg_admin": "Azure",
    "supabase_admin": "Supabase",
    "neon_superuser": "Neon",
}


@dataclass(frozen=True, slots=True)
class Server:
    """The facts, and what reading this server depends on but nobody else needs."""

    facts: ServerFacts
    user_oid: int
    dedicated: bool  # the role only watches: its own statements are not the application's
    sees_all_stats: bool
    session_settings: Mapping[str, str]  # as the server has them in this session, see facts.settings for the units
    extension_schemas: Mapping[str, str]
    statement_columns: tuple[str, ...]  # of pg_stat_statements(boolean), empty when it is not to be read
    has_statement_info: bool
    provider: Provider


async def read(wire: Wire) -> Server:
    """Read the facts with two statements (one where the system identifier is denied).

    Sources: pg_database, pg_roles, pg_settings, pg_extension, pg_proc, pg_stat_ssl, pg_control_system().
    Where pg_control_system() may not be called, the identity is host, port and database oid: it does not survive a
    change of address, and two nodes behind one address look like one. Start, reset of the object counters and number of
    replicas are 0 and None where their functions may not be called.
    """
    begin = time.monotonic()
    asked = {"settings": list(SETTINGS), "guarded": list(_GUARDED), "encrypted": wire.tls}
    try:
        rows = await wire.fetch(load("server").format(**_TAKEABLE), asked)
    except PermissionDenied:
        rows = await wire.fetch(load("server").format(**_TAKEN), asked)
    elapsed_ms = (time.monotonic() - begin) * 1000
    if not rows:
        raise CannotConnect(f"{wire.target.label}: the server does not know its own database")
    row: dict[str, Any] = dict(zip(_COLUMNS, rows[0], strict=True))
    identifier = f"{wire.target.host}:{wire.target.port}/{row['database_oid']}"
    if row["may_read_control"]:
        begin = time.monotonic()
        with contextlib.suppress(PermissionDenied):  # a provider's own check inside the function
            ((identifier,),) = await wire.fetch(load("system_identifier"))
        elapsed_ms = (time.monotonic() - begin) * 1000  # next to no work for the server: the line's own time
    settings = {name: _plain(value) for name, value in row["settings"] or ()}
    functions = {words[0]: tuple(words[1:]) for words in (text.split(" ") for text in row["statement_functions"] or ())}
    columns = functions.get("pg_stat_statements", ())
    facts = ServerFacts(
        engine="PostgreSQL",
        version=row["version"].split(" ")[0],
        version_number=row["version_number"],
        database=row["database"],
        database_oid=row["database_oid"],
        user=row["user"],
        superuser=row["superuser"],
        encoding=row["encoding"],
        in_recovery=row["in_recovery"],
        observed_at=row["observed_at"],
        epoch=Epoch(
            system_identifier=identifier,
            role="replica" if row["in_recovery"] else "primary",
            started_at=row["started_at"] or 0,
            stats_reset=None,  # known when the counters are read
            objects_reset=row["objects_reset"],
        ),
        latency_ms=elapsed_ms,
        tls=(row["tls"] or "TLS") if wire.tls else None,
        extensions={name: version for name, version, _ in row["extensions"] or ()},
        settings={name: value for name, value in settings.items() if name not in _OF_THE_SESSION},
        block_size=int(settings.get("block_size", "8192")),
        replicas=row["replicas"],
        costs=costs(settings),
    )
    return Server(
        facts=facts,
        user_oid=row["user_oid"],
        dedicated=row["sees_all_stats"] and not row["superuser"] and not row["owns_things"],
        sees_all_stats=row["sees_all_stats"],
        session_settings=settings,
        extension_schemas={name: schema for name, _, schema in row["extensions"] or ()},
        statement_columns=columns,
        has_statement_info="pg_stat_statements_info" in functions,
        provider=next((name for sign, name in _PROVIDERS.items() if sign in (row["signs"] or ())), "local"),
    )


def costs(settings: Mapping[str, str]) -> CostModel:
    """What the planner reckons with, from its settings; its own defaults for those we may not see."""
    usual = CostModel()

    def cost(name: str, otherwise: float) -> float:
        try:
            return float(settings[name])
        except (KeyError, ValueError):
            return otherwise

    return CostModel(
        random_page=cost("random_page_cost", usual.random_page),
        sequential_page=cost("seq_page_cost", usual.sequential_page),
        row=cost("cpu_tuple_cost", usual.row),
        index_entry=cost("cpu_index_tuple_cost", usual.index_entry),
        operator=cost("cpu_operator_cost", usual.operator),
    )


# Ours, or a path of the server's: nothing advice depends on.
_OF_THE_SESSION = frozenset(
    (
        *("application_name", "default_transaction_read_only", "idle_in_transaction_session_timeout", "lock_timeout"),
        *("statement_timeout", "search_path"),
    )
)
_TAKEABLE = {
    "started_at": "pg_catalog.pg_postmaster_start_time()",
    "objects_reset": "pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)",
    "replicas": "(SELECT pg_catalog.count(*)::int4 FROM pg_catalog.pg_stat_get_wal_senders())",
}
_TAKEN = {"started_at": "NULL::timestamptz", "objects_reset": "NULL::timestamptz", "replicas": "0"}
_COLUMNS = (
    *("version", "version_number", "database", "database_oid", "encoding", "user", "user_oid", "superuser"),
    *("sees_all_stats", "owns_things", "in_recovery", "started_at", "objects_reset", "replicas", "tls"),
    *("may_read_control", "signs", "extensions", "settings", "statement_functions", "observed_at"),
)


def _plain(value: str) -> str:
    """A setting as the server prints it ("4MB", "1min") as a bare figure: sizes in bytes, times in ms."""
    found = re.fullmatch(r"(-?[\d.]+) ?([a-zA-Z]+)", value)
    if found is None or found[2] not in _UNITS:
        return value
    return f"{float(found[1]) * _UNITS[found[2]]:.15g}"
