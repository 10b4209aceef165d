"""A variable of the whole server: from a list, its value checked, and put back.

MySQL keeps it over a restart (SET PERSIST); MariaDB does not (SET GLOBAL), its option file is the administrator's.
Sessions take it up when they begin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from meshag_tui.engines.base import Gate, Refused, RenderedChange
from meshag_tui.engines.mysql import grants, reading
from meshag_tui.engines.mysql.catalogue import VIEWS, Asked, State
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.strict import Token, statements_in
from meshag_tui.engines.mysql.wire import Flavour
from meshag_tui.types import SetSetting

KB, MB, GB = 1024, 1024**2, 1024**3


class Limits(NamedTuple):
    """From `low` to `high`; `step`: what it must be a multiple of, so that the server takes it as it is."""

    low: float
    high: float
    step: int = 0


_SWITCH = Limits(0, -1)
SETTINGS: Mapping[str, Limits] = {
    "sort_buffer_size": Limits(32 * KB, GB, 4 * KB),
    "join_buffer_size": Limits(32 * KB, GB, 4 * KB),
    "read_rnd_buffer_size": Limits(32 * KB, GB, 4 * KB),
    "tmp_table_size": Limits(MB, 16 * GB, 16 * KB),
    "max_heap_table_size": Limits(MB, 16 * GB, 16 * KB),
    "table_open_cache": Limits(64, 500_000),
    "thread_cache_size": Limits(0, 16_384),
    "long_query_time": Limits(0, 3_600),
    "slow_query_log": _SWITCH,
    "log_queries_not_using_indexes": _SWITCH,
    "wait_timeout": Limits(10, 31_536_000),
    "interactive_timeout": Limits(10, 31_536_000),
    "lock_wait_timeout": Limits(1, 31_536_000),
    "innodb_lock_wait_timeout": Limits(1, 100_000),
    "innodb_io_capacity": Limits(100, 1_000_000),
    "innodb_max_dirty_pages_pct": Limits(10, 99),
    "innodb_stats_persistent_sample_pages": Limits(1, 65_535),
    "innodb_stats_auto_recalc": _SWITCH,
    "innodb_print_all_deadlocks": _SWITCH,
    "innodb_adaptive_hash_index": _SWITCH,
    "innodb_online_alter_log_max_size": Limits(64 * MB, 64 * GB, MB),
    "eq_range_index_dive_limit": Limits(0, 100_000),
    "optimizer_search_depth": Limits(0, 62),
    "group_concat_max_len": Limits(1_024, GB),
}
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,6})?")
_RIGHTS: Mapping[Flavour, tuple[str, ...]] = {
    "MySQL": ("SYSTEM_VARIABLES_ADMIN", "SUPER"),
    "MariaDB": ("SUPER",),
}


def checked_value(name: str, value: str) -> None:
    """Raises Refused unless the variable is in the list and the value within its limits."""
    limits = SETTINGS.get(name)
    if limits is None:
        raise Refused(f"{name} is not a setting that MeshAG changes")
    if limits is _SWITCH:
        if value not in ("ON", "OFF"):
            raise Refused(f"{name} is ON or OFF, not {value[:40]}")
        return
    if not (value.isascii() and _NUMBER.fullmatch(value)):
        raise Refused(f"{value[:40]} is not a value of {name}")
    number = float(value)
    if not limits.low <= number <= limits.high or (limits.step and number % limits.step):
        step = f", in steps of {limits.step:g}" if limits.step else ""
        raise Refused(f"{name} = {value} is beyond what MeshAG sets ({limits.low:g} to {limits.high:g}{step})")


async def set_setting(server: Asked, change: SetSetting) -> RenderedChange:
    if change.role is not None or change.database is not None:
        raise Refused(f"{server.flavour} has no settings of a role or a database")
    if change.name not in SETTINGS:
        raise Refused(f"{change.name} is not a setting that MeshAG changes")
    running = await _running(server, change.name)
    if running is None:
        raise Refused(f"This server has no setting {change.name}")
    for value in (change.value, change.until_restart):
        if value is not None:
            checked_value(change.name, value)
    before = await _kept(server, change.name) if server.flavour == "MySQL" else running
    if change.value is None and (server.flavour != "MySQL" or change.until_restart is None):
        raise Refused(f"{server.flavour} forgets what {change.name} was before it was set: name a value")
    if _same(before, change.value) and _same(running, change.until_restart or change.value):
        raise Refused(f"{change.name} is {running} already")
    return RenderedChange(
        sql=_setting(server.flavour, change.name, change.value, change.until_restart),
        undo_sql=_setting(server.flavour, change.name, _plain(before), _plain(running)),
        target={"setting": change.name, "before": _plain(before), "running": _plain(running)},
    )


def _setting(flavour: Flavour, name: str, value: str | None, until_restart: str | None) -> str:
    if value is not None:
        return f"SET {'PERSIST' if flavour == 'MySQL' else 'GLOBAL'} {name} = {value}"
    return f"RESET PERSIST IF EXISTS {name};\nSET GLOBAL {name} = {until_restart}"


def sets(change: SetSetting, sql: str) -> bool:
    found = [_words(one) for one in statements_in(sql)]
    if change.value is not None:
        return found in (
            [["SET", "PERSIST", change.name, "=", change.value]],
            [["SET", "GLOBAL", change.name, "=", change.value]],
        )
    return found == [
        ["RESET", "PERSIST", "IF", "EXISTS", change.name],
        ["SET", "GLOBAL", change.name, "=", change.until_restart],
    ]


def _words(sql: str) -> list[str]:
    """The words of a statement; a fraction is three tokens and one word."""
    words = list[str]()
    last: Token | None = None
    for token in reading.checked(sql):
        if token.kind != "space" and last is not None and (token.is_sign(".") or last.is_sign(".")):
            words[-1] += token.text
        elif token.kind != "space":
            words.append(token.text)
        last = token
    return words


async def is_set(server: Asked, change: SetSetting, rendered: RenderedChange) -> State:
    running = await _running(server, change.name)
    wanted = change.value if change.value is not None else change.until_restart
    kept = await _kept(server, change.name) if server.flavour == "MySQL" else change.value
    if not _same(kept, change.value):
        return "absent"
    return "done" if _same(running, wanted) else "partial"


async def rights(server: Asked, found: grants.Grants, us: str) -> Gate:
    """Whether our account may set variables of the whole server."""
    wanted = _RIGHTS[server.flavour]
    missing = not any(found.has_global(right) for right in wanted)
    grant = f"GRANT {wanted[0]} ON *.* TO {us};" if missing else ""
    return Gate("privileges", "missing" if missing else "granted", wanted[0], "block" if missing else "pass", grant)


def outlives(flavour: Flavour, change: SetSetting) -> Gate:
    """Whether a restart keeps what is set. MariaDB has no SET PERSIST."""
    if flavour == "MySQL":
        return Gate("after a restart", "as set", "as set", "pass")
    detail = f"MariaDB forgets it: write {change.name} = {change.value} under [mariadbd] in its option file too"
    return Gate("after a restart", "what the option file says", "as set", "warn", detail)


async def _running(server: Asked, name: str) -> str | None:
    rows = await server.fetch(load("change_setting").format(**VIEWS[server.flavour]), (name,))
    return str(rows[0][0]) if rows else None


async def _kept(server: Asked, name: str) -> str | None:
    """What a restart brings back by SET PERSIST."""
    rows = await server.fetch(
        load("change_setting").format(variables="performance_schema.persisted_variables"), (name,)
    )
    return str(rows[0][0]) if rows else None


def _same(one: str | None, other: str | None) -> bool:
    """Whether two values are one: the server prints 2 as 2.000000, and ON for 1 where it keeps what was written."""
    return _plain(one) == _plain(other)


def _plain(value: str | None) -> str | None:
    if value is None or not _NUMBER.fullmatch(value):
        return value.upper() if value is not None else None
    return f"{float(value):.6f}".rstrip("0").rstrip(".")
