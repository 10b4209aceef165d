"""The pre-flight checks of a change: each with its value and its limit as shown, and whether it lets us through.

In: a session that may run the change, the change as rendered. Out: `base.Gate` values. What cannot be known blocks and
says what to grant, but for what PostgreSQL tells nobody: the free disk of another machine, and the size of an index
that nothing reckoned. There somebody must go on without knowing. The cores of another machine only bound the load.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import Gate, PermissionDenied, Refused, RenderedChange
from meshag_tui.engines.here import free_bytes, is_local, megabytes
from meshag_tui.engines.postgres import render, server_settings
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.names import MAX_NAME_BYTES
from meshag_tui.engines.postgres.sql import load
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    Reindex,
    RenameIndex,
    RestoreIndex,
    RestoreStatistics,
    SetSetting,
    Target,
    Vacuum,
)

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.ddl import PostgresDdlSession

LONGEST_TRANSACTION_S = 60
MOST_LAG_S = 10
MOST_LAG_BYTES = 16 * 1024 * 1024  # where a replica that has nothing to do reports no time
FEWEST_FREE_CONNECTIONS = 10
DISK_FACTOR = 3


async def gates(
    session: PostgresDdlSession, change: Change, rendered: RenderedChange, estimated_bytes: int | None
) -> tuple[Gate, ...]:
    """Every check for this change, in the order they are shown.

    Args:
        estimated_bytes: expected size of an index to be made; None: not known.
    """
    server = (await session.fetch(load("change_server")))[0]
    in_recovery, sees_all, most, used, active, workers, data_directory, version = server
    builds = isinstance(change, CreateIndex | RestoreIndex | Reindex)
    found = [_role(in_recovery)]
    if isinstance(change, SetSetting):
        found += [await server_settings.rights(session, change), await _still_as_rendered(session, change, rendered)]
    else:
        found += await _object(session, change, rendered, version)
    if builds or isinstance(change, DropIndex):
        found.append(await _transactions(session, sees_all))
    if not isinstance(change, SetSetting):
        found.append(await _locks(session, rendered.target))
        found.append(_lock_taken(change))
    found.append(await _replicas(session, sees_all))
    found.append(_load(session, active, workers, sees_all))
    found.append(_connections(session, most, used, sees_all))
    if isinstance(change, Reindex):  # what is built anew takes at most what it takes now
        estimated_bytes = await _bytes(session, "pg_relation_size", rendered.target["oid"])
    if builds:
        table = None
        if estimated_bytes is None:
            table = await _bytes(session, "pg_table_size", rendered.target["table_oid"])
        found.append(_disk(session.target, data_directory, estimated_bytes, table))
    return tuple(found)


def _role(in_recovery: bool) -> Gate:
    value = "standby" if in_recovery else "primary"
    return Gate("server role", value, "primary", "block" if in_recovery else "pass")


async def _object(session: PostgresDdlSession, change: Change, rendered: RenderedChange, version: int) -> list[Gate]:
    """Is it the object that was looked at, may we act on it, and is there nothing equal or of its name?"""
    target = rendered.target
    rows = await session.fetch(load("change_table"), (target["table_oid"],))
    name = f"{target['schema']}.{target['table']}"
    if not rows:
        return [Gate("table", "gone", name, "block", "It was dropped since it was looked at")]
    schema, table, owner, owns, may_create, owns_database, user = rows[0]
    same = table == target["table"] and (isinstance(change, DropIndex) or schema == target["schema"])
    found = [Gate("table", f"{schema}.{table}", name, "pass" if same else "block", "" if same else "It was renamed")]
    allowed = owns
    if isinstance(change, CreateIndex | RestoreIndex | RenameIndex | CreateStatistics | RestoreStatistics):
        allowed = owns and may_create
    elif isinstance(change, Analyze | Vacuum) and not owns:
        allowed = owns_database or (version >= 170000 and await _may_maintain(session, target["table_oid"]))
    detail = "" if allowed else f"GRANT {quoted(owner)} TO {quoted(user)};"
    if owns and not allowed:
        detail = f"GRANT CREATE ON SCHEMA {quoted(schema)} TO {quoted(user)};"
    found.append(Gate("owner", owner, f"a role of {user}", "pass" if allowed else "block", detail))
    found += _new_name(change, rendered)
    if not isinstance(change, Analyze | Vacuum):
        found.append(await _still_as_rendered(session, change, rendered))
    return found


def _new_name(change: Change, rendered: RenderedChange) -> list[Gate]:
    """Of what gets a name: the server would cut a longer one, and it might then be another's."""
    if isinstance(change, RenameIndex):
        name: str | None = change.new_name
    elif isinstance(change, CreateIndex | RestoreIndex | CreateStatistics | RestoreStatistics):
        name = rendered.target.get("index") or rendered.target.get("statistics")
    else:
        return []
    taken = len(str(name).encode())
    state: Any = "pass" if taken <= MAX_NAME_BYTES else "block"
    return [Gate("length of the name", f"{taken} bytes", f"≤ {MAX_NAME_BYTES} bytes", state)]


async def _may_maintain(session: PostgresDdlSession, oid: int) -> bool:
    rows = await session.fetch("SELECT pg_catalog.has_table_privilege(%s::oid, 'MAINTAIN')", (oid,))
    return bool(rows[0][0])


async def _still_as_rendered(session: PostgresDdlSession, change: Change, rendered: RenderedChange) -> Gate:
    """Rendering again checks everything at once: an equal index, a free name and its bytes, the definition."""
    label, limit = _NEW.get(type(change), (_same_label(change), "as it was looked at"))
    try:
        again = await render.render(session, change)
    except (Refused, PermissionDenied) as refusal:
        return Gate(label, "no longer possible", limit, "block", str(refusal))
    same = again.sql == rendered.sql and dict(again.target) == dict(rendered.target)
    value = str(rendered.target.get("index") or rendered.target.get("statistics") or _said(rendered.target))
    return Gate(label, value, limit, "pass" if same else "block", "" if same else "It has changed: look at it again")


_NEW: Mapping[type[Change], tuple[str, str]] = {
    CreateIndex: ("name and equal indexes", "free, none"),
    RestoreIndex: ("name and equal indexes", "free, none"),
    CreateStatistics: ("name and equal statistics", "free, none"),
    RestoreStatistics: ("name and equal statistics", "free, none"),
}


def _same_label(change: Change) -> str:
    if isinstance(change, DropIndex | RenameIndex | Reindex):
        return "index"
    return "statistics" if isinstance(change, DropStatistics) else "value before"


def _said(target: Mapping[str, Any]) -> str:
    """What something that is set has now."""
    before = target.get("before")
    values = before if isinstance(before, Mapping) else {"": before}
    return ", ".join(f"{name} {'not set' if value is None else value}".strip() for name, value in values.items())


async def _bytes(session: PostgresDdlSession, function: str, oid: int) -> int | None:
    """What a relation takes on disk, by one of the server's functions; None: nothing of its own."""
    rows = await session.fetch(f"SELECT pg_catalog.{function}(%s::pg_catalog.oid)", (oid,))
    return rows[0][0] or None if rows else None


async def _transactions(session: PostgresDdlSession, sees_all: bool) -> Gate:
    limit = f"≤ {LONGEST_TRANSACTION_S} s"
    if not sees_all:
        return Gate("oldest transaction", "unknown", limit, "block", _grant(session))
    rows = await session.fetch(load("change_transactions"), (LONGEST_TRANSACTION_S, LONGEST_TRANSACTION_S))
    if not rows:
        return Gate("oldest transaction", limit, limit, "pass")
    who = "; ".join(
        f"{'pid ' + str(pid) if pid else application} ({user}{', ' + application if pid and application else ''}), "
        f"{state or 'state unknown'}, {age:.0f} s"
        for pid, user, application, age, state in rows
    )
    return Gate("oldest transaction", f"{rows[0][3]:.0f} s", limit, "block", f"CONCURRENTLY would wait for {who}")


async def _locks(session: PostgresDdlSession, target: Mapping[str, Any]) -> Gate:
    oids = [target[name] for name in ("table_oid", "oid") if target.get(name)]
    rows = await session.fetch(load("change_locks"), (oids,))
    if not rows:
        return Gate("locks on the table", "none", "none", "pass")
    said, state = [], "pass"
    for pid, mode, granted, backend, user, application, for_wraparound in rows:
        # Ordinary autovacuum gives way to whoever waits for its lock.
        yields = backend == "autovacuum worker" and not for_wraparound
        state = "block" if not yields else ("warn" if state == "pass" else state)
        who = backend if backend == "autovacuum worker" else ", ".join(filter(None, (user, application)))
        said.append(f"pid {pid} ({who or 'unknown'}) {'has' if granted else 'waits for'} {mode}")
    verdict: Any = state
    return Gate("locks on the table", str(len(rows)), "none", verdict, "; ".join(said))


def _lock_taken(change: Change) -> Gate:
    """What all listed changes take of a table; an index that goes is locked itself when nobody uses it any more."""
    value = "SHARE UPDATE EXCLUSIVE"
    if isinstance(change, DropIndex | Reindex):
        value += ", ACCESS EXCLUSIVE of the index at the end"
    elif isinstance(change, DropStatistics):
        value += ", ACCESS EXCLUSIVE of the statistics"
    return Gate("lock it takes", value, "reads and writes go on", "pass")


async def _replicas(session: PostgresDdlSession, sees_all: bool) -> Gate:
    limit = f"< {MOST_LAG_S} s"
    rows = await session.fetch(load("change_replicas"))
    if not rows:
        return Gate("replica lag", "no replicas", limit, "pass")
    if not sees_all:
        return Gate("replica lag", "unknown", limit, "block", _grant(session))
    late = [row for row in rows if not _keeps_up(row)]
    worst = max((row[2] or 0.0 for row in rows), default=0.0)
    detail = "; ".join(
        f"{name or 'a replica'} ({state}) is {_lag(lag, behind)} behind" for name, state, lag, behind in late
    )
    value = f"{worst:.1f} s" if not late else _lag(late[0][2], late[0][3])
    return Gate("replica lag", value, limit, "block" if late else "pass", detail)


def _keeps_up(row: Sequence[Any]) -> bool:
    _, _, lag, behind = row
    if lag is not None:
        return bool(lag < MOST_LAG_S)
    return behind is not None and behind < MOST_LAG_BYTES


def _lag(lag: float | None, behind: int | None) -> str:
    if lag is not None:
        return f"{lag:.0f} s"
    return "an unknown time" if behind is None else f"{behind / 1024 / 1024:.0f} MB"


def _load(session: PostgresDdlSession, active: int, workers: int, sees_all: bool) -> Gate:
    """Cores are known only of this machine; elsewhere max_worker_processes stands for them, and only warns."""
    here = is_local(session.target)
    cores = (os.cpu_count() or 1) if here else workers
    limit = f"< {2 * cores}" + ("" if here else " (2 × max_worker_processes; the number of cores is not known)")
    if not sees_all:
        return Gate("active sessions", "unknown", limit, "block", _grant(session))
    if active < 2 * cores:
        return Gate("active sessions", str(active), limit, "pass")
    return Gate("active sessions", str(active), limit, "block" if here else "warn", "The server is busy")


def _connections(session: PostgresDdlSession, most: int, used: int, sees_all: bool) -> Gate:
    """Of what kind another's session is, is not shown to everybody: who sees only their own would count too few."""
    free, limit = most - used, f"≥ {FEWEST_FREE_CONNECTIONS}"
    if not sees_all:
        return Gate("free connections", "unknown", limit, "block", _grant(session))
    return Gate("free connections", str(free), limit, "pass" if free >= FEWEST_FREE_CONNECTIONS else "block")


def _disk(target: Target, data_directory: str | None, estimated: int | None, table: int | None) -> Gate:
    """An index that nothing reckoned is taken to be no larger than its table."""
    most = table if estimated is None else estimated
    needed = None if most is None else DISK_FACTOR * most
    limit = "3 × the index" if needed is None else f"≥ {megabytes(needed)}"
    if estimated is None and needed is not None:
        limit += ", 3 × the table, as nothing reckoned the index"
    free = free_bytes(data_directory) if data_directory and is_local(target) else None
    if free is None:
        return Gate("free disk", "unknown", limit, "unknown", "PostgreSQL does not say; make sure that the index fits")
    if needed is None or (estimated is None and free < needed):
        value = f"{megabytes(free)} for an index of unknown size"
        return Gate("free disk", value, limit, "unknown", "Nothing reckoned it; make sure that the index fits")
    return Gate("free disk", megabytes(free), limit, "pass" if free >= needed else "block")


def _grant(session: PostgresDdlSession) -> str:
    return f"Our role does not see other sessions: GRANT pg_monitor TO {quoted(session.target.user)};"
