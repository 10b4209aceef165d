"""The structure of the watched schemas as long as nothing was altered: then it is not read again.

Reading it costs MariaDB more than the counters of thousands of statements, and MySQL half as much as all else beside
them. Cheap signs, read before it, tell whether it can have changed: each table's name, options and the second in which
it was last altered, which it has once that is done; and how many statements that alter something, a view or a right
among it, have begun (those of procedures and prepared ones are counted, too). MySQL's second is that in which the
alteration began, and another one may have begun in it: there InnoDB's number of the table, and the names of its
indexes, are signs too, and where they are not ours to see everything is read each time. What was only
about to happen while we read is had by reading twice before relying on the sign, and for what waited even longer (no
table or index, but a view may) everything is read once an hour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.mysql.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.relations import TableRows
    from meshag_tui.engines.mysql.schema import IndexRows, Structure
    from meshag_tui.engines.mysql.storage import Storage
    from meshag_tui.engines.mysql.wire import Wire
    from meshag_tui.types import Target

ALTERING = tuple(
    f"COM_{what}"
    for what in (
        *("ALTER_TABLE", "CREATE_TABLE", "DROP_TABLE", "RENAME_TABLE", "CREATE_INDEX", "DROP_INDEX", "CREATE_VIEW"),
        *("DROP_VIEW", "ALTER_DB", "CREATE_DB", "DROP_DB", "GRANT", "GRANT_ROLE", "GRANT_ROLES", "REVOKE"),
        *("REVOKE_ALL", "REVOKE_ROLE", "REVOKE_ROLES", "ALTER_USER_DEFAULT_ROLE", "DROP_ROLE", "FLUSH"),
    )
)
"""Counters of statements that change a structure, or what we may see of it (FLUSH PRIVILEGES), of either flavour."""
LASTING_S = 3600
_MOST = 50_000
"""Columns and keys of a connection that are kept in memory, of which each takes some hundred bytes."""

Sign = tuple[tuple[Any, ...], int | None]


@dataclass(frozen=True, slots=True)
class Unaltered:
    """What was read under a sign: keys of the indexes, structure. `relied_on`: it was read twice under that sign."""

    sign: Sign
    keys: IndexRows
    structure: Structure
    read_at: float  # s, monotonic
    relied_on: bool


_known: dict[tuple[Any, ...], Unaltered] = {}  # by target


async def sign(wire: Wire, server: Server, tables: TableRows | None, stored: Storage) -> Sign | None:
    """What is the same as long as nothing is altered, and how many statements that alter something have begun.

    The latter is of MariaDB's facts. MySQL tells it only when asked, which is done where all else is as it was; else it
    is None. So is the whole where the server does not tell.
    """
    mysql = server.flavour == "MySQL"
    named = stored.pages is not None and server.settings.get("innodb_stats_persistent") != "OFF"
    if tables is None or (mysql and not (named and stored.numbers)):
        return None
    epoch = server.facts.epoch
    same = (
        *(epoch.system_identifier, epoch.started_at, server.facts.version, server.account, server.rights),
        (stored.numbers, frozenset(stored.pages or ())) if mysql else None,
        # Of a table its name, engine, the second it was made or altered, options.
        frozenset(row[:7] for row in tables),
    )
    known = _known.get(_at(wire.target))
    if mysql and known is not None and known.sign[0] == same:
        return same, await _asked(wire)
    return same, server.altering


async def _asked(wire: Wire) -> int | None:
    """Source: SHOW GLOBAL STATUS; None when that fails."""
    try:
        counts = [int(value) for _, value in await wire.fetch(load("altering"), {"altering": ALTERING})]
    except EngineError:
        if wire.gone is not None:
            raise
        return None
    return sum(counts) if counts else None


def recall(target: Target, now: Sign | None) -> Unaltered | None:
    """What is still true under this sign, if that is known."""
    known = _known.get(_at(target))
    if known is None or now is None or known.sign != now or not known.relied_on:
        return None
    return known if time.monotonic() < known.read_at + LASTING_S else None


def remember(target: Target, under: Sign | None, keys: IndexRows, structure: Structure) -> None:
    """Keep what was read after this sign."""
    at = _at(target)
    before = _known.pop(at, None)
    size = sum(map(len, structure.schema.columns.values())) + sum(map(len, keys.values()))
    if under is not None and size <= _MOST:
        again = before is not None and before.sign == under and under[1] is not None
        _known[at] = Unaltered(under, keys, structure, time.monotonic(), relied_on=again)


def _at(target: Target) -> tuple[Any, ...]:
    return target.host, target.port, target.database, target.user, target.proxy
