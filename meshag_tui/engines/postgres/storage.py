"""How a table is kept, and how closely its columns are looked at: storage options and statistics targets.

Only options in `OPTIONS` are set, in the server's own ranges, so that whatever the table had before can be put back.
None of these statements makes a reader or writer wait: their lock is that of VACUUM.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.postgres import parse, trees
from meshag_tui.engines.postgres.catalogue import Reader, State, find_table, quote
from meshag_tui.engines.postgres.rewrite import literal
from meshag_tui.types import SetStatisticsTarget, SetTableOptions

Options = Sequence[tuple[str, str | None]]

_MOST = 2**31 - 1
_SWITCH = None
_LIMITS: Mapping[str, tuple[float, float] | None] = {
    "fillfactor": (10, 100),
    "parallel_workers": (0, 1024),
    "toast_tuple_target": (128, 32640),
    "vacuum_truncate": _SWITCH,
    "autovacuum_enabled": _SWITCH,
    "autovacuum_vacuum_threshold": (0, _MOST),
    "autovacuum_vacuum_max_threshold": (-1, _MOST),
    "autovacuum_vacuum_scale_factor": (0, 100),
    "autovacuum_vacuum_insert_threshold": (-1, _MOST),
    "autovacuum_vacuum_insert_scale_factor": (0, 100),
    "autovacuum_analyze_threshold": (0, _MOST),
    "autovacuum_analyze_scale_factor": (0, 100),
    "autovacuum_vacuum_cost_delay": (0, 100),
    "autovacuum_vacuum_cost_limit": (1, 10_000),
    "autovacuum_freeze_min_age": (0, 1_000_000_000),
    "autovacuum_freeze_table_age": (0, 2_000_000_000),
    "autovacuum_freeze_max_age": (100_000, 2_000_000_000),
    "log_autovacuum_min_duration": (-1, _MOST),
}
_FRACTIONS = frozenset(name for name in _LIMITS if name.endswith(("scale_factor", "cost_delay")))
OPTIONS = frozenset(_LIMITS)
MOST_TARGET = 10_000
_SWITCH_WORDS = frozenset(("true", "false", "on", "off", "yes", "no", "1", "0"))
_NUMBER = re.compile(r"-?\d{1,10}(\.\d{1,17})?([eE][-+]?\d{1,3})?")
_BARE = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?|[a-z]+")


def checked_option(name: str, value: str | None) -> None:
    """Raises Refused for an option that is not in the list, or a value it cannot have."""
    if name not in OPTIONS:
        raise Refused(f"{name} is not an option that MeshAG sets: {', '.join(sorted(OPTIONS))}")
    if value is None:
        return
    limits = _LIMITS[name]
    if limits is None:
        if value.lower() not in _SWITCH_WORDS:
            raise Refused(f"{name} is on or off, not {value[:40]}")
        return
    low, high = limits
    whole = name in _FRACTIONS or "." not in value
    if not _NUMBER.fullmatch(value) or not whole or not low <= float(value) <= high:
        raise Refused(f"{name} goes from {low:g} to {high:g}, not {value[:40]}")


async def set_options(session: Reader, change: SetTableOptions) -> RenderedChange:
    table = await find_table(session, change.schema, change.table)
    if table.kind not in ("r", "m"):
        raise Refused(f"{table.schema}.{table.name} is not a table that has storage options")
    if not change.options:
        raise Refused("No option is named")
    for name, value in change.options:
        checked_option(name, value)
    before = await _options(session, table.oid)
    after = with_options(before, change.options)
    names = list(dict.fromkeys(name for name, _ in change.options))
    if list(after.items()) == list(before.items()):
        said = ", ".join(f"{name} = {before.get(name, 'the default')}" for name in names)
        raise Refused(f"{table.schema}.{table.name} has {said} already")
    quoted = await quote(session, [table.schema, table.name])
    full = f"{quoted[table.schema]}.{quoted[table.name]}"
    undo = undoing(before, change.options)
    return RenderedChange(
        sql=_altering(full, change.options),
        undo_sql=_altering(full, undo),
        target={
            "table_oid": table.oid,
            "schema": table.schema,
            "table": table.name,
            "before": {name: before.get(name) for name in names},
            "undo": [list(pair) for pair in undo],
        },
    )


def with_options(before: Mapping[str, str], options: Options) -> dict[str, str]:
    """The options a table has afterwards, in the server's order: what is set comes last."""
    reset = {name for name, value in options if value is None}
    given = {name: value for name, value in options if value is not None}
    kept = {name: value for name, value in before.items() if name not in reset and name not in given}
    return {**kept, **given}


def undoing(before: Mapping[str, str], options: Options) -> list[tuple[str, str | None]]:
    """What puts the options back as they were, in their order too, which a dump shows."""
    names = dict.fromkeys(name for name, _ in options)
    plain = [(name, before.get(name)) for name in names]
    if list(with_options(with_options(before, options), plain).items()) == list(before.items()):
        return plain
    ours = [name for name in (*before, *names) if name in OPTIONS]
    anew: list[tuple[str, str | None]] = [(name, before[name]) for name in before if name in OPTIONS]
    return [*((name, None) for name in dict.fromkeys(ours)), *anew]


def _altering(table: str, options: Options) -> str:
    resets = [name for name, value in options if value is None]
    sets = [f"{name} = {_written(value)}" for name, value in options if value is not None]
    parts = [f"{word} ({', '.join(of)})" for word, of in (("RESET", resets), ("SET", sets)) if of]
    return f"ALTER TABLE {table} {', '.join(parts)}"


def _written(value: str) -> str:
    """A value so that the server keeps just these characters."""
    return value if _BARE.fullmatch(value) else literal(value)


def sets_options(change: SetTableOptions, statements: Sequence[parse.Statement]) -> bool:
    tree = statements[0].tree
    if [one.node for one in statements] != ["AlterTableStmt"] or tree.get("missing_ok"):
        return False
    if tree.get("objtype") != "OBJECT_TABLE" or trees.relation(tree) != (change.schema, change.table):
        return False
    found: list[tuple[str, str | None]] = []
    for command in tree.get("cmds", ()):
        one = command.get("AlterTableCmd") or {}
        elements = [each.get("DefElem") or {} for each in ((one.get("def") or {}).get("List") or {}).get("items", ())]
        if any("defnamespace" in each for each in elements):
            return False
        if one.get("subtype") == "AT_ResetRelOptions":
            found += [(str(each.get("defname")), None) for each in elements]
        elif one.get("subtype") == "AT_SetRelOptions":
            found += [(str(each.get("defname")), trees.constant(each.get("arg"))) for each in elements]
        else:
            return False
    return found == sorted(change.options, key=lambda pair: pair[1] is not None)


async def has_options(
    session: Reader, change: SetTableOptions, rendered: RenderedChange, ran_at: float | None
) -> State:
    now = await _options(session, rendered.target["table_oid"])
    wanted = dict(change.options)  # of a name that comes twice the later counts
    return "done" if all(now.get(name) == value for name, value in wanted.items()) else "absent"


async def _options(session: Reader, oid: int) -> dict[str, str]:
    rows = await session.fetch("SELECT reloptions FROM pg_catalog.pg_class WHERE oid = %s", (oid,))
    pairs: Iterable[str] = (rows[0][0] or ()) if rows else ()
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


# ---------------------------------------------------------------------------------------------- statistics targets


async def set_target(session: Reader, change: SetStatisticsTarget) -> RenderedChange:
    table = await find_table(session, change.schema, change.table)
    if table.kind not in ("r", "m", "p"):
        raise Refused(f"{table.schema}.{table.name} is not a table")
    if change.column not in table.columns:
        raise Refused(f"There is no column {change.column} in {table.schema}.{table.name}")
    if change.target is not None and not 0 <= change.target <= MOST_TARGET:
        raise Refused(f"A statistics target goes from 0 to {MOST_TARGET}, not {change.target}")
    before = await _target(session, table.oid, change.column)
    if before == change.target:
        raise Refused(f"The statistics target of {table.name}.{change.column} is {_said(before)} already")
    quoted = await quote(session, [table.schema, table.name, change.column])

    def setting(target: int | None) -> str:
        return (
            f"ALTER TABLE {quoted[table.schema]}.{quoted[table.name]} ALTER COLUMN {quoted[change.column]} "
            f"SET STATISTICS {-1 if target is None else target}"
        )

    return RenderedChange(
        sql=setting(change.target),
        undo_sql=setting(before),
        target={"table_oid": table.oid, "schema": table.schema, "table": table.name, "before": before},
    )


def sets_target(change: SetStatisticsTarget, statements: Sequence[parse.Statement]) -> bool:
    tree = statements[0].tree
    commands = [command.get("AlterTableCmd") or {} for command in tree.get("cmds", ())]
    if [one.node for one in statements] != ["AlterTableStmt"] or len(commands) != 1 or tree.get("missing_ok"):
        return False
    number = trees.constant(commands[0].get("def"))
    return (
        tree.get("objtype") == "OBJECT_TABLE"
        and trees.relation(tree) == (change.schema, change.table)
        and commands[0].get("subtype") == "AT_SetStatistics"
        and commands[0].get("name") == change.column
        and number == str(-1 if change.target is None else change.target)
    )


async def has_target(
    session: Reader, change: SetStatisticsTarget, rendered: RenderedChange, ran_at: float | None
) -> State:
    now = await _target(session, rendered.target["table_oid"], change.column)
    return "done" if now == change.target else "absent"


async def _target(session: Reader, oid: int, column: str) -> int | None:
    """NULL from version 17 on, -1 before, is none of its own."""
    rows: list[Any] = await session.fetch(
        "SELECT nullif(attstattarget, -1) FROM pg_catalog.pg_attribute WHERE attrelid = %s AND attname = %s",
        (oid, column),
    )
    return rows[0][0] if rows else None


def _said(target: int | None) -> str:
    return "the default" if target is None else str(target)
