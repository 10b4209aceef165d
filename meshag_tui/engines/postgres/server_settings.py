"""A setting of the server, of a role or of a database: from a list, its value checked, and exactly put back.

ALTER SYSTEM writes a file that the server reads when it is told to, so pg_reload_conf() goes with it and is shown. What
a role or a database gets, its sessions get at their start. Settings that need a restart are not in the list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui.engines.base import Gate, Refused, RenderedChange
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.catalogue import Reader, State, quote
from meshag_tui.engines.postgres.errors import quoted as in_quotes
from meshag_tui.engines.postgres.rewrite import literal
from meshag_tui.engines.postgres.sql import load
from meshag_tui.types import SetSetting

RELOAD = "SELECT pg_catalog.pg_reload_conf()"
KB, MB, GB = 1024, 1024**2, 1024**3
_SECOND, _MINUTE, _DAY = 1_000.0, 60_000.0, 86_400_000.0


class Limits(NamedTuple):
    """What a setting may be: from `low` to `high` in bytes, ms or its own number; or one of `words`."""

    low: float = 0
    high: float = 0
    words: frozenset[str] = frozenset()
    also: tuple[float, ...] = ()  # what stands for "off" or "as another setting has it"


_SWITCH = Limits(words=frozenset(("on", "off")))
SETTINGS: Mapping[str, Limits] = {
    "work_mem": Limits(64 * KB, 2 * GB),
    "hash_mem_multiplier": Limits(1, 16),
    "maintenance_work_mem": Limits(1 * MB, 16 * GB),
    "autovacuum_work_mem": Limits(1 * MB, 16 * GB, also=(-1024,)),
    "temp_file_limit": Limits(64 * MB, 2**50, also=(-1024,)),
    "effective_cache_size": Limits(8 * KB, 2**45),
    "effective_io_concurrency": Limits(0, 1000),
    "random_page_cost": Limits(0.1, 100),
    "seq_page_cost": Limits(0.1, 100),
    "cpu_tuple_cost": Limits(0.0001, 10),
    "default_statistics_target": Limits(1, 10_000),
    "from_collapse_limit": Limits(1, 32),
    "join_collapse_limit": Limits(1, 32),
    "max_parallel_workers_per_gather": Limits(0, 64),
    "max_parallel_maintenance_workers": Limits(0, 64),
    "jit": _SWITCH,
    "jit_above_cost": Limits(0, 1e12, also=(-1,)),
    "plan_cache_mode": Limits(words=frozenset(("auto", "force_generic_plan", "force_custom_plan"))),
    "statement_timeout": Limits(_SECOND, 7 * _DAY, also=(0,)),
    "lock_timeout": Limits(100, _DAY, also=(0,)),
    "idle_in_transaction_session_timeout": Limits(_SECOND, 7 * _DAY, also=(0,)),
    "idle_session_timeout": Limits(_SECOND, 30 * _DAY, also=(0,)),
    "log_min_duration_statement": Limits(0, _DAY, also=(-1,)),
    "log_lock_waits": _SWITCH,
    "log_temp_files": Limits(0, 2**45, also=(-1024,)),
    "log_autovacuum_min_duration": Limits(0, _DAY, also=(-1,)),
    "log_checkpoints": _SWITCH,
    "track_io_timing": _SWITCH,
    "track_wal_io_timing": _SWITCH,
    "track_functions": Limits(words=frozenset(("none", "pl", "all"))),
    "checkpoint_timeout": Limits(30 * _SECOND, _DAY),
    "checkpoint_completion_target": Limits(0.1, 1),
    "max_wal_size": Limits(32 * MB, 2**45),
    "min_wal_size": Limits(32 * MB, 2**45),
    "wal_compression": Limits(words=frozenset(("on", "off", "pglz", "lz4", "zstd"))),
    "bgwriter_delay": Limits(10, 10 * _SECOND),
    "bgwriter_lru_maxpages": Limits(0, 100_000),
    "autovacuum": _SWITCH,
    "autovacuum_naptime": Limits(_SECOND, _DAY),
    "autovacuum_vacuum_threshold": Limits(0, 2**31 - 1),
    "autovacuum_vacuum_scale_factor": Limits(0, 1),
    "autovacuum_vacuum_insert_threshold": Limits(0, 2**31 - 1, also=(-1,)),
    "autovacuum_vacuum_insert_scale_factor": Limits(0, 1),
    "autovacuum_analyze_threshold": Limits(0, 2**31 - 1),
    "autovacuum_analyze_scale_factor": Limits(0, 1),
    "autovacuum_vacuum_cost_delay": Limits(0, 100, also=(-1,)),
    "autovacuum_vacuum_cost_limit": Limits(1, 10_000, also=(-1,)),
    "vacuum_cost_limit": Limits(1, 10_000),
}
_BY_SESSION = frozenset(("user", "superuser"))
_VALUE = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)\s?(|B|kB|MB|GB|TB|us|ms|s|min|h|d)")
_UNITS: Mapping[str, float] = {
    **{"B": 1, "kB": KB, "8kB": 8 * KB, "MB": MB, "GB": GB, "TB": 1024 * GB},
    **{"us": 0.001, "ms": 1, "s": _SECOND, "min": _MINUTE, "h": 60 * _MINUTE, "d": _DAY},
}


def checked_value(name: str, value: str, unit: str | None) -> None:
    """Raises Refused unless the setting is in the list and the value within its limits.

    Args:
        unit: what a bare number of it counts (pg_settings.unit).
    """
    limits = SETTINGS.get(name)
    if limits is None:
        raise Refused(f"{name} is not a setting that MeshAG changes")
    if limits.words:
        if value not in limits.words:
            raise Refused(f"{name} is one of {', '.join(sorted(limits.words))}, not {value[:40]}")
        return
    match = _VALUE.fullmatch(value)
    given = match[2] if match is not None else ""
    fits = match is not None and (not given or (unit is not None and (given in _MEMORY) == (unit in _MEMORY)))
    if match is None or not fits:
        raise Refused(f"{value[:40]} is not a value of {name}")
    number = float(match[1]) * _UNITS.get(given or unit or "", 1)
    if not limits.low <= number <= limits.high and number not in limits.also:
        raise Refused(f"{name} = {value} is beyond what MeshAG sets ({_range(limits, unit)})")


_MEMORY = frozenset(("B", "kB", "8kB", "MB", "GB", "TB"))


def _range(limits: Limits, unit: str | None) -> str:
    def said(number: float) -> str:
        if unit not in _MEMORY:
            return f"{number:g}{' ms' if unit in _UNITS else ''}"
        of = next((each for each in ("TB", "GB", "MB", "kB") if number >= _UNITS[each]), "B")
        return f"{number / _UNITS[of]:g} {of}"

    return f"{said(limits.low)} to {said(limits.high)}"


async def set_setting(session: Reader, change: SetSetting) -> RenderedChange:
    if change.name not in SETTINGS:
        raise Refused(f"{change.name} is not a setting that MeshAG changes")
    rows = await session.fetch(load("change_setting"), (change.name, change.role, change.database))
    if not rows:
        raise Refused(f"This server has no setting {change.name}")
    unit, context, database_id, role_id, database, _, kept = rows[0]
    if change.value is not None:
        checked_value(change.name, change.value, unit)
    if change.role is not None and role_id is None:
        raise Refused(f"There is no role {change.role}")
    if change.role is not None and change.role.startswith("pg_"):
        raise Refused(f"{change.role} is a role of the system")
    if change.database is not None and database != change.database:
        raise Refused(f"{change.database} is not the database of this connection, {database}")
    of_all = change.role is None and change.database is None
    if not of_all and context not in _BY_SESSION:
        raise Refused(f"{change.name} is of the whole server: neither a role nor a database has its own")
    before = await _in_file(session, change.name) if of_all else kept
    if before == change.value:
        raise Refused(f"{change.name} is {_said(before)} there already")
    names = [name for name in (change.role, change.database) if name is not None]
    quoted = await quote(session, names)
    return RenderedChange(
        sql=_setting(change, change.value, quoted),
        undo_sql=_setting(change, before, quoted),
        target={
            "setting": change.name,
            "role": change.role,
            "role_id": role_id,
            "database": change.database,
            "database_id": database_id,
            "before": before,
        },
    )


def _setting(change: SetSetting, value: str | None, quoted: Mapping[str, str]) -> str:
    what = f"RESET {change.name}" if value is None else f"SET {change.name} = {literal(value)}"
    if change.role is not None:
        within = f" IN DATABASE {quoted[change.database]}" if change.database is not None else ""
        return f"ALTER ROLE {quoted[change.role]}{within} {what}"
    if change.database is not None:
        return f"ALTER DATABASE {quoted[change.database]} {what}"
    return f"ALTER SYSTEM {what};\n{RELOAD}"


def sets(change: SetSetting, statements: Sequence[parse.Statement]) -> bool:
    first, tree = statements[0], statements[0].tree
    found: tuple[Any, ...] = (first.node,)
    wanted: tuple[Any, ...] = ("AlterSystemStmt",)
    if change.role is not None:
        role = tree.get("role") or {}
        found = (first.node, role.get("roletype"), role.get("rolename"), tree.get("database"))
        wanted = ("AlterRoleSetStmt", "ROLESPEC_CSTRING", change.role, change.database)
    elif change.database is not None:
        found, wanted = (first.node, tree.get("dbname")), ("AlterDatabaseSetStmt", change.database)
    reloads = [one.text for one in statements[1:]] == ([RELOAD] if first.node == "AlterSystemStmt" else [])
    return found == wanted and reloads and _sets_only(change, tree.get("setstmt") or {})


def _sets_only(change: SetSetting, node: Mapping[str, Any]) -> bool:
    if node.get("name") != change.name or node.get("is_local"):
        return False
    if change.value is None:
        return bool(node.get("kind") == "VAR_RESET")
    values = [((one.get("A_Const") or {}).get("sval") or {}).get("sval") for one in node.get("args", ())]
    return bool(node.get("kind") == "VAR_SET_VALUE") and values == [change.value]


async def is_set(session: Reader, change: SetSetting, rendered: RenderedChange, ran_at: float | None) -> State:
    if change.role is not None or change.database is not None:
        rows = await session.fetch(load("change_setting"), (change.name, change.role, change.database))
        return "done" if rows and rows[0][6] == change.value else "absent"
    if await _in_file(session, change.name) != change.value:
        return "absent"
    rows = await session.fetch("SELECT pg_catalog.date_part('epoch', pg_catalog.pg_conf_load_time())::float8")
    return "done" if ran_at is not None and rows[0][0] >= ran_at else "partial"


async def _in_file(session: Reader, name: str) -> str | None:
    """What ALTER SYSTEM wrote last. Raises Refused where we may not see it: then it could not be put back."""
    may = await session.fetch(
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE')"
    )
    if not may[0][0]:
        raise Refused(
            "What ALTER SYSTEM has set so far is not shown to our role, so it could not be put back",
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO our role, or set it yourself",
        )
    rows = await session.fetch(
        "SELECT setting FROM pg_catalog.pg_file_settings WHERE name = %s AND sourcefile LIKE '%%/postgresql.auto.conf' "
        "ORDER BY seqno DESC LIMIT 1",
        (name,),
    )
    return rows[0][0] if rows else None


async def rights(session: Reader, change: SetSetting) -> Gate:
    """Whether our role may set it there."""
    rows = await session.fetch(load("change_setting_rights"), (change.role, change.database))
    superuser, owns_database, over_role, version, us = rows[0]
    rows = await session.fetch("SELECT context FROM pg_catalog.pg_settings WHERE name = %s", (change.name,))
    allowed = superuser
    fix = "ask a superuser"
    if change.role is not None:
        allowed, fix = superuser or over_role, f"GRANT {in_quotes(change.role)} TO {in_quotes(us)} WITH ADMIN OPTION;"
    elif change.database is not None:
        allowed, fix = superuser or owns_database, f"ALTER DATABASE {in_quotes(change.database)} OWNER TO …"
    right = None
    if change.role is None and change.database is None:
        right = "ALTER SYSTEM"
    elif rows and rows[0][0] == "superuser":
        right = "SET"
    if right is not None and not superuser and (allowed or right == "ALTER SYSTEM"):
        fix = f"GRANT {right} ON PARAMETER {change.name} TO {in_quotes(us)};"
        allowed = version >= 150000 and await _has_parameter(session, change.name, right)
        if allowed and right == "ALTER SYSTEM":
            fix = f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {in_quotes(us)};"
            may = await session.fetch(
                "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE')"
            )
            allowed = bool(may[0][0])
    limit = "may set it there"
    return Gate("privileges", us, limit, "pass" if allowed else "block", "" if allowed else fix)


async def _has_parameter(session: Reader, name: str, right: str) -> bool:
    rows = await session.fetch("SELECT pg_catalog.has_parameter_privilege(%s, %s)", (name, right))
    return bool(rows[0][0])


def _said(value: str | None) -> str:
    return "not set" if value is None else value
