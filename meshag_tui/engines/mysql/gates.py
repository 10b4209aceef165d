"""The pre-flight checks of a change: each with its value and its limit as shown, and whether it lets us through.

In: a session that may run the change, the change as rendered. Out: `base.Gate` values. What cannot be known blocks and
says what to grant, but for what a server of this kind, or one set up like this, tells nobody: free disk, how far its
replicas are, and with performance_schema off who has locked a table and which statements name an index. There somebody
must go on without knowing. The cores of another machine only bound the load.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from meshag_tui.engines.base import Gate, PermissionDenied, Refused, RenderedChange
from meshag_tui.engines.here import free_bytes, is_local, megabytes
from meshag_tui.engines.mysql import cluster, grants, inuse, render, server_settings, sources
from meshag_tui.engines.mysql.catalogue import VIEWS, Asked, find_table
from meshag_tui.engines.mysql.errors import account, quoted
from meshag_tui.engines.mysql.sql import load
from meshag_tui.text import one_line
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    HideIndex,
    Rebuild,
    RenameIndex,
    RestoreIndex,
    SetSetting,
    SetTableOptions,
    Target,
    table_of,
)

LONGEST_TRANSACTION_S = 60
LONGEST_STATEMENT_S = 10
FEWEST_FREE_CONNECTIONS = 10
DISK_FACTOR = 3
REBUILD_FACTOR = 2
ASSUMED_CORES = 8
_OFF = ("", "0", "OFF", "NO")
_DEFINES = re.compile(r"\s*(?:/\*.*?\*/\s*)?(?:ALTER|CREATE|DROP|RENAME|TRUNCATE|OPTIMIZE|REPAIR|ANALYZE|LOCK)\b", re.I)
_SHOW_LOCKS = (
    "set performance_schema=ON and performance-schema-instrument='wait/lock/metadata/sql/mdl=ON' in the option file"
)


async def server_values(server: Asked) -> dict[str, str]:
    """What a change depends on of the server as a whole, by name in lower case."""
    rows = await server.fetch(load("change_server").format(**VIEWS[server.flavour]))
    return {str(name).lower(): "" if value is None else str(value) for name, value in rows}


def read_only(values: Mapping[str, str]) -> str | None:
    """The variable by which the server takes no changes, or None."""
    names = ("super_read_only", "read_only", "innodb_read_only")
    return next((name for name in names if values.get(name, "").upper() not in _OFF), None)


async def source(server: Asked, values: Mapping[str, str]) -> str | None:
    """The server that this one is a replica of, as host:port where we may know it, or None.

    Raises:
        Refused: it does not let us know, and a replica that has stopped must not be changed either.
    """
    found = await sources.sources(server, values.get("performance_schema", "").upper() not in _OFF)
    if found:
        return found[0]
    if values.get("slave_running", "").upper() not in _OFF:
        return "another server"
    if found is None:
        us = account(*values["current_user"].rsplit("@", 1))
        raise Refused(
            "Whether this server is a replica that has stopped cannot be known without performance_schema",
            f"GRANT {sources.RIGHTS[server.flavour]} ON *.* TO {us};",
        )
    return None


async def gates(
    server: Asked, target: Target, change: Change, rendered: RenderedChange, estimated_bytes: int | None
) -> tuple[Gate, ...]:
    """Every check for this change, in the order they are shown.

    Args:
        estimated_bytes: expected size of an index to be made; None: not known.
    """
    values = await server_values(server)
    rights = await grants.read(server)
    sees_all = rights.has_global("PROCESS")
    builds = isinstance(change, CreateIndex | RestoreIndex | Rebuild)
    us = account(*values["current_user"].rsplit("@", 1))
    found = [_role(server, values, await source(server, values))]
    if (node := cluster.gate(values, change)) is not None:
        found.append(node)
    if isinstance(change, SetSetting):
        found += [await server_settings.rights(server, rights, us), await _still_as_rendered(server, change, rendered)]
        found.append(server_settings.outlives(server.flavour, change))
        return (*found, _load(server, target, values), _connections(server, values))
    schema, table = rendered.target["schema"], rendered.target["table"]
    found += [_rights(rights, change, schema, table, us), await _still_as_rendered(server, change, rendered)]
    locks = await inuse.shows_locks(server)
    if holds_up(server, change):
        found.append(await _users(server, change, schema, table, sees_all, locks, us))
    found.append(await _locks(server, schema, table, sees_all, locks, us))
    found.append(_lock_taken(server, change))
    if isinstance(change, DropIndex | HideIndex | RenameIndex):
        collects = values.get("performance_schema", "").upper() not in _OFF
        found.append(await _hints(server, schema, table, change.name, collects, us))
    if builds:
        found.append(await _replicas(server, values, sees_all, us))
    found += [_load(server, target, values), _connections(server, values)]
    if builds:
        found.append(await _disk(server, target, change, values, estimated_bytes))
    return tuple(found)


def _role(server: Asked, values: Mapping[str, str], source: str | None) -> Gate:
    closed = read_only(values)
    if "read_only" not in values:
        return _not_told("server role", "takes changes", "read_only", server)
    if source is not None:
        detail = f"Change {source}, which hands the change on"
        return Gate("server role", f"replica of {source}", "primary that takes changes", "block", detail)
    return Gate("server role", closed or "takes changes", "takes changes", "block" if closed else "pass")


def _rights(found: grants.Grants, change: Change, schema: str, table: str, us: str) -> Gate:
    analyzes = isinstance(change, Analyze | CreateStatistics | DropStatistics)
    wanted = ("SELECT", "INSERT") if analyzes else ("ALTER",)
    missing = found.missing(wanted, schema, table)
    grant = f"GRANT {', '.join(missing)} ON {quoted(schema)}.{quoted(table)} TO {us};"
    value = "granted" if not missing else f"without {', '.join(missing)}"
    return Gate("privileges", value, ", ".join(wanted), "block" if missing else "pass", grant if missing else "")


async def _still_as_rendered(server: Asked, change: Change, rendered: RenderedChange) -> Gate:
    """Rendering again checks everything at once: the table, an equal index, a free name, the definition."""
    label, limit = "index", "as it was looked at"
    if isinstance(change, CreateIndex | RestoreIndex):
        label, limit = "name and equal indexes", "free, none"
    elif isinstance(change, Analyze | Rebuild | SetTableOptions):
        label = "table"
    elif isinstance(change, SetSetting):
        label = "value before"
    elif isinstance(change, CreateStatistics | DropStatistics):
        label = "histogram"
    try:
        again = await render.render(server, change)
    except (Refused, PermissionDenied) as refusal:
        return Gate(label, "no longer possible", limit, "block", str(refusal))
    same = again.sql == rendered.sql and dict(again.target) == dict(rendered.target)
    target = rendered.target
    value = str(target.get("running") or target.get("index") or target.get("statistics") or target["table"])
    return Gate(label, value, limit, "pass" if same else "block", "" if same else "It has changed: look at it again")


def holds_up(server: Asked, change: Change) -> bool:
    """Whether those who come to the table while the change waits for a transaction wait as well.

    ANALYZE waits for none, but until MySQL 8.0.24 it took the table out of the cache of definitions, and whoever came
    later waited until all statements on the old definition had ended. MariaDB left that with 10.5.
    """
    if isinstance(change, CreateStatistics | DropStatistics):
        return False
    return not isinstance(change, Analyze) or (server.flavour == "MySQL" and server.version < (8, 0, 24))


async def _users(server: Asked, change: Change, schema: str, table: str, sees_all: bool, locks: bool, us: str) -> Gate:
    label = "oldest transaction"
    most = LONGEST_STATEMENT_S if isinstance(change, Analyze) else LONGEST_TRANSACTION_S
    limit = f"≤ {most} s" + (" on this table" if locks else "")
    if not sees_all:
        return Gate(label, "unknown", limit, "block", _grant_process(us))
    users = await (inuse.table_users(server, schema, table) if locks else inuse.transactions(server, most))
    old = [each for each in users if each.age_s > most]
    if not old:
        return Gate(label, limit, limit, "pass")
    said = "; ".join(map(str, old[:5]))
    return Gate(label, f"{old[0].age_s:.0f} s", limit, "block", f"The change, and all behind it, would wait for {said}")


async def _locks(server: Asked, schema: str, table: str, sees_all: bool, locks: bool, us: str) -> Gate:
    """Where metadata locks are not shown, sessions say that they wait or define something; and a table that nobody has
    in use nobody has locked. What is left is a table in use, by a statement like any or under LOCK TABLES."""
    label = "locks on the table"
    if not sees_all:
        return Gate(label, "unknown", "none", "block", _grant_process(us))
    if locks:
        held = [user for user in await inuse.table_users(server, schema, table) if user.blocks]
        said = "; ".join(f"{user}, {'waits for' if user.waits else 'has'} {user.lock}" for user in held[:5])
        return Gate(label, str(len(held)) if held else "none", "none", "block" if held else "pass", said)
    sessions = await inuse.sessions(server)
    waiting = [row for row in sessions if str(row[5] or "").startswith("Waiting for table")]
    said = "; ".join(f"session {row[0]} ({row[1]}): {row[5]}" for row in waiting[:5])
    if waiting:
        return Gate(label, f"{len(waiting)} sessions wait for tables", "none", "block", said)
    defining = [row for row in sessions if _DEFINES.match(str(row[6] or "")) and table.lower() in str(row[6]).lower()]
    if defining:
        said = "; ".join(f"session {row[0]} ({row[1]}): {one_line(str(row[6]), 60)}" for row in defining[:5])
        return Gate(label, f"{len(defining)} sessions define it", "none", "block", said)
    if not await inuse.stays_in_use(server, schema, table):
        return Gate(label, "nobody has it in use", "none", "pass")
    detail = f"It is in use, and metadata locks, which tell how, are not shown: {_SHOW_LOCKS}"
    return Gate(label, "unknown", "none", "unknown", detail)


def _lock_taken(server: Asked, change: Change) -> Gate:
    label, limit = "lock it takes", "reads and writes go on"
    if not holds_up(server, change):
        return Gate(label, "a metadata lock that lets reads and writes go on", limit, "pass")
    if isinstance(change, Analyze):
        return Gate(label, "none, but the table is opened anew, which waits for statements on it", limit, "pass")
    value = "LOCK=NONE; at its begin and end a metadata lock alone, waited for 2 s at most"
    return Gate(label, value, limit, "pass")


async def _hints(server: Asked, schema: str, table: str, index: str, collects: bool, us: str) -> Gate:
    """A statement or view that names a hidden or missing index in FORCE INDEX and the like fails from then on.

    Of a view its statements say nothing: its own text does. Those of other schemas are not looked at.

    Args:
        collects: performance_schema is on.
    """
    label, limit = "statements that name it", "none"
    bare = quoted(index)[1:-1]
    like = bare.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = await server.fetch(load("change_view_hints"), (schema, f"%{like}%"))
    hidden = [what for what, text in rows if not text]
    denied = False
    try:
        rows += await server.fetch(load("change_hints"), (f"%{like}%",)) if collects else []
    except PermissionDenied:
        denied = True
    name = rf"`?{re.escape(bare)}`?"  # one that is a word of the language too stands there in capitals, without quotes
    hint = re.compile(
        rf"\b(?:USE|FORCE|IGNORE) (?:INDEX|KEY) (?:FOR [A-Z ]+ )?\( ?(?:[^()]* ?, ?)?{name} ?(?:,[^()]*)?\)",
        re.IGNORECASE,
    )
    naming = [what for what, text in rows if hint.search(text) and table.lower() in text.lower()]
    if naming:
        return Gate(label, str(len(naming)), limit, "block", f"It would fail: {naming[0]}")
    if hidden:
        detail = f"The text of {hidden[0]} is not shown to us: GRANT SHOW VIEW ON {quoted(schema)}.* TO {us};"
        return Gate(label, "unknown", limit, "block", detail)
    if denied:
        detail = f"Statements are not shown to us: GRANT SELECT ON performance_schema.* TO {us};"
        return Gate(label, "unknown", limit, "block", detail)
    if not collects:
        detail = "With performance_schema off nobody sees statements: make sure that none names it in an index hint"
        return Gate(label, "unknown", limit, "unknown", detail)
    return Gate(label, "none", limit, "pass")


async def _replicas(server: Asked, values: Mapping[str, str], sees_all: bool, us: str) -> Gate:
    """How far a replica is, only the replica knows; that it runs a long change again, behind us, is certain."""
    label, limit = "replica lag", "< 10 s"
    if "log_bin" not in values:
        return _not_told(label, limit, "log_bin", server)
    if values["log_bin"].upper() in _OFF:
        return Gate(label, "no replicas", limit, "pass", "There is no binary log")
    if not sees_all:
        return Gate(label, "unknown", limit, "block", _grant_process(us))
    dumps = [row for row in await inuse.sessions(server) if str(row[3]).startswith("Binlog Dump")]
    if not dumps:
        return Gate(label, "no replicas", limit, "pass")
    late = [row for row in dumps if "sent all" not in str(row[5]).lower()]
    detail = "They tell it only themselves, and each runs the change again after us, with its other work behind it"
    if late:
        detail += f"; to {late[0][2]} not all is sent"
    many = "1 replica" if len(dumps) == 1 else f"{len(dumps)} replicas"
    return Gate(label, f"unknown, {many}", limit, "unknown", detail)


def _load(server: Asked, target: Target, values: Mapping[str, str]) -> Gate:
    """Cores are known of this machine, and where MariaDB counts them for its pool; elsewhere eight stand for them."""
    here, counted = is_local(target), values.get("thread_pool_size", "")
    cores = (os.cpu_count() or 1) if here else int(counted) if counted.isdigit() else ASSUMED_CORES
    limit = f"< {2 * cores}" + ("" if here or counted.isdigit() else " (the number of cores is not known)")
    if not values.get("threads_running"):
        return _not_told("active sessions", limit, "Threads_running", server)
    active = int(values["threads_running"]) - 1  # ours is one of them
    if active < 2 * cores:
        return Gate("active sessions", str(max(0, active)), limit, "pass")
    return Gate("active sessions", str(active), limit, "block" if here else "warn", "The server is busy")


def _connections(server: Asked, values: Mapping[str, str]) -> Gate:
    limit = f"≥ {FEWEST_FREE_CONNECTIONS}"
    if not values.get("max_connections") or not values.get("threads_connected"):
        return _not_told("free connections", limit, "max_connections and Threads_connected", server)
    free = int(values["max_connections"]) - int(values["threads_connected"])
    state: Any = "pass" if free >= FEWEST_FREE_CONNECTIONS else "block"
    return Gate("free connections", str(free), limit, state)


async def _disk(
    server: Asked, target: Target, change: Change, values: Mapping[str, str], estimated: int | None
) -> Gate:
    """An index that nothing reckoned is taken to be no larger than its table."""
    factor, what, reckoned = DISK_FACTOR, "index", estimated is not None
    if isinstance(change, Rebuild):
        factor, what, reckoned = REBUILD_FACTOR, "table", True
    if not reckoned or isinstance(change, Rebuild):
        estimated = await _table_bytes(server, change)
    needed = None if estimated is None else factor * estimated
    limit = f"{factor} × the {what}" if needed is None else f"≥ {megabytes(needed)}"
    if not reckoned and needed is not None:
        limit += f", {factor} × the table, as nothing reckoned the index"
    free = _free(values) if is_local(target) else None
    if free is None:
        detail = f"The server does not say; make sure that the {what} fits"
        return Gate("free disk", "unknown", limit, "unknown", detail)
    if needed is None or (not reckoned and free < needed):
        value = f"{megabytes(free)} for one {what} of unknown size"
        return Gate("free disk", value, limit, "unknown", f"Nothing reckoned it; make sure that the {what} fits")
    return Gate("free disk", megabytes(free), limit, "pass" if free >= needed else "block")


async def _table_bytes(server: Asked, change: Change) -> int | None:
    """What the table takes with all its indexes; None: it is gone, or the server does not say."""
    of = table_of(change)
    try:
        return None if of is None else (await find_table(server, *of)).size_bytes
    except Refused:
        return None


def _free(values: Mapping[str, str]) -> int | None:
    """The smaller of what is free where the data is and where an index is sorted."""
    folders = (values.get("datadir", ""), values.get("innodb_tmpdir") or values.get("tmpdir", "").split(":")[0])
    known = [free_bytes(folder) if folder else None for folder in folders]
    return min(free for free in known if free is not None) if None not in known else None


def _not_told(label: str, limit: str, what: str, server: Asked) -> Gate:
    """Every account may read these: where they are missing, something stands between us and the server."""
    detail = f"{what} cannot be read in {VIEWS[server.flavour]['status' if what[0] == 'T' else 'variables']}"
    return Gate(label, "unknown", limit, "block", f"{detail}: connect to the server itself")


def _grant_process(us: str) -> str:
    return f"Our account does not see other sessions: GRANT PROCESS ON *.* TO {us};"
