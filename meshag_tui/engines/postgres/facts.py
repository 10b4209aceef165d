"""What a server is: version, role, settings, extensions, and the epoch two readings must share to be compared."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from meshag_tui.engines.base import CannotConnect, PermissionDenied
from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import CostModel, Epoch, ServerFacts

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.wire import Wire
    from meshag_tui.types import Target

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
    *("fsync", "log_min_duration_statement", "join_collapse_limit", "min_parallel_table_scan_size"),
    *("pg_stat_statements.max", "pg_stat_statements.track", "pg_stat_statements.track_utility"),
    *("pg_stat_statements.track_planning", "pg_stat_statements.save", "auto_explain.log_min_duration"),
)
_GUARDED = ("shared_preload_libraries", "session_preload_libraries")
_READS_SETTINGS = "pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')"
LASTING_S = 3_600
"""How long what lasts is remembered between syncs."""
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
class Elsewhere:
    """A function or view that somebody set up in place of pg_stat_statements, as services and hardened servers do."""

    schema: str
    name: str
    form: Literal["flag", "call", "view"]  # a function that is told whether texts are wanted, one that is not, a view


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
    statements_elsewhere: Elsewhere | None = None  # what is read in place of pg_stat_statements(boolean)
    remembered: bool = False  # what lasts is of an earlier reading


@dataclass(frozen=True, slots=True)
class _Known:
    """What lasts, as read from the server that `sign` tells from any other, at `read_at` (s, monotonic)."""

    sign: tuple[Any, ...]
    read_at: float
    lasting: Mapping[str, Any]


_known: dict[tuple[Any, ...], _Known] = {}  # by target


async def read(wire: Wire, remember: bool = False) -> Server:
    """Read the facts with at most three statements: what may differ each time, what lasts, who the server is; and one
    more where the settings name what stands for pg_stat_statements.

    Sources: pg_database, pg_roles, pg_settings, pg_extension, pg_proc, pg_stat_ssl, pg_control_system().
    Where pg_control_system() may not be called, the identity is host, port and database oid: it does not survive a
    change of address, and two nodes behind one address look like one. Start, reset of the object counters and number of
    replicas are 0 and None where their functions may not be called.

    Args:
        remember: what lasts (version, extensions and their functions, identity) may be up to `LASTING_S` old, if it is
            of the same start of the server, role, database and rights. It costs a new session thrice the rest, because
            each catalogue is read for the first time; what is missing is never remembered, so that a remedy shows.
    """
    now, latency_ms = await _now(wire)
    target = wire.target
    place = place_of(target)
    sign = tuple(now[name] for name in _SIGN)
    known = _known.get(place)
    remembered = remember and known is not None and known.sign == sign and time.monotonic() < known.read_at + LASTING_S
    if known is None or not remembered:
        _known.pop(place, None)
        found, latency_ms = await _lasting(wire, latency_ms)
        known = _Known(sign, time.monotonic(), found)
        if found["identifier"] and now["started_at"] and "pg_stat_statements" in found["functions"]:
            _known[place] = known
    lasting = known.lasting
    listed = zip((*SETTINGS, *_GUARDED), now["settings"], strict=True)
    settings = {name: _plain(value) for name, value in listed if value is not None}
    functions: dict[str, tuple[str, ...]] = lasting["functions"]
    extensions: list[list[str]] = lasting["extensions"] or []
    facts = ServerFacts(
        engine="PostgreSQL",
        version=lasting["version"].split(" ")[0],
        version_number=now["version_number"],
        database=now["database"],
        database_oid=now["database_oid"],
        user=now["user"],
        superuser=now["superuser"],
        encoding=lasting["encoding"],
        in_recovery=now["in_recovery"],
        observed_at=_epoch_ms(now["observed_at"]) or 0,
        epoch=Epoch(
            system_identifier=lasting["identifier"] or f"{target.host}:{target.port}/{now['database_oid']}",
            role="replica" if now["in_recovery"] else "primary",
            started_at=_epoch_ms(now["started_at"]) or 0,
            stats_reset=None,  # known when the counters are read
            objects_reset=_epoch_ms(now["objects_reset"]),
        ),
        latency_ms=latency_ms,
        tls=(now["tls"] or "TLS") if wire.tls else None,
        extensions={name: version for name, version, _ in extensions},
        settings={name: value for name, value in settings.items() if name not in _OF_THE_SESSION},
        block_size=int(settings.get("block_size", "8192")),
        replicas=now["replicas"],
        costs=costs(settings),
    )
    return Server(
        facts=facts,
        user_oid=now["user_oid"],
        dedicated=now["sees_all_stats"] and not now["superuser"] and not lasting["owns_things"],
        sees_all_stats=now["sees_all_stats"],
        session_settings=settings,
        extension_schemas={name: schema for name, _, schema in extensions},
        statement_columns=functions.get("pg_stat_statements", ()),
        has_statement_info="pg_stat_statements_info" in functions,
        provider=next((name for sign, name in _PROVIDERS.items() if sign in (lasting["signs"] or ())), "local"),
        remembered=remembered,
        statements_elsewhere=lasting["elsewhere"],
    )


def place_of(target: Target) -> tuple[Any, ...]:
    """What is remembered of a server is remembered under this."""
    return target.host, target.port, target.database, target.user, target.proxy


async def _now(wire: Wire) -> tuple[dict[str, Any], float]:
    """What may differ at each connect, and how long the answer took, ms."""
    begin = time.monotonic()
    settings = ", ".join(map(_setting, (*SETTINGS, *_GUARDED)))
    parts = {"settings": settings, "tls": _TLS if wire.tls else "NULL::text"}
    try:
        rows = await wire.fetch(load("server_now").format(**parts, **_TAKEABLE))
    except PermissionDenied:
        rows = await wire.fetch(load("server_now").format(**parts, **_TAKEN))
    if not rows:
        raise CannotConnect(f"{wire.target.label}: the server does not know its own database")
    return dict(zip(_NOW, rows[0], strict=True)), (time.monotonic() - begin) * 1000


def _setting(name: str) -> str:
    """SQL for a setting's value; NULL where there is none, or where it is guarded and not ours to read."""
    value = f"pg_catalog.current_setting('{name}', true)"
    return f"CASE WHEN {_READS_SETTINGS} THEN {value} END" if name in _GUARDED else value


async def _lasting(wire: Wire, latency_ms: float) -> tuple[dict[str, Any], float]:
    """What lasts; and the line's own time, ms: that of the identity, which is next to no work for the server."""
    (row,) = await wire.fetch(load("server"), ())
    lasting: dict[str, Any] = dict(zip(_LASTING, row, strict=True))
    functions = (text.split(" ") for text in lasting["statement_functions"] or ())
    lasting["functions"] = {words[0]: tuple(words[1:]) for words in functions}
    lasting["elsewhere"] = None
    if (named := wire.limits.statements_from) is not None:
        schema, name = named
        for form, columns in await wire.fetch(load("statements_elsewhere"), {"schema": schema, "name": name}):
            lasting["elsewhere"] = Elsewhere(schema, name, form)
            lasting["functions"]["pg_stat_statements"] = tuple(columns)
    lasting["identifier"] = None
    if lasting["may_read_control"]:
        begin = time.monotonic()
        with contextlib.suppress(PermissionDenied):  # a provider's own check inside the function
            ((lasting["identifier"],),) = await wire.fetch(load("system_identifier"))
        latency_ms = (time.monotonic() - begin) * 1000
    return lasting, latency_ms


def _epoch_ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


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
        *("statement_timeout", "search_path", "jit"),
    )
)
_TLS = """(SELECT pg_catalog.concat_ws(' ', t.version, t.cipher) FROM pg_catalog.pg_stat_ssl t
    WHERE t.pid = pg_catalog.pg_backend_pid())"""
_TAKEABLE = {
    "started_at": "pg_catalog.pg_postmaster_start_time()",
    "objects_reset": "pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)",
    "replicas": "(SELECT pg_catalog.count(*)::int4 FROM pg_catalog.pg_stat_get_wal_senders())",
}
_TAKEN = {"started_at": "NULL::timestamptz", "objects_reset": "NULL::timestamptz", "replicas": "0"}
_SIGN = ("version_number", "database_oid", "user_oid", "superuser", "sees_all_stats", "in_recovery", "started_at")
_NOW = (
    *("version_number", "database", "database_oid", "user", "user_oid", "superuser", "sees_all_stats", "in_recovery"),
    *("started_at", "objects_reset", "replicas", "tls", "settings", "observed_at"),
)
_LASTING = ("version", "encoding", "owns_things", "may_read_control", "signs", "extensions", "statement_functions")


def _plain(value: str) -> str:
    """A setting as the server prints it ("4MB", "1min") as a bare figure: sizes in bytes, times in ms."""
    found = re.fullmatch(r"(-?[\d.]+) ?([a-zA-Z]+)", value)
    if found is None or found[2] not in _UNITS:
        return value
    return f"{float(found[1]) * _UNITS[found[2]]:.15g}"
