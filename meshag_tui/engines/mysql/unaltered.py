"""The structure of the watched schemas as long as nothing was altered: then it is not read again.

Reading it costs MariaDB more than the counters of thousands of statements. Cheap signs, of `tables` and read before it,
tell whether it can have changed: each table's name, options and the second in which it was last altered, which it has
once that is done; and how many statements that alter something, a view or a right among it, have begun. What was only
about to happen while we read is had by reading twice before relying on the sign, and for what waited even longer (no
table or index, but a view may) everything is read once an hour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.relations import TableRows
    from meshag_tui.engines.mysql.schema import IndexRows, Structure
    from meshag_tui.types import Target

LASTING_S = 3600
_MOST = 50_000
"""Columns and keys of a connection that are kept in memory, of which each takes some hundred bytes."""

Sign = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Unaltered:
    """What was read under a sign: keys of the indexes, structure. `relied_on`: it was read twice under that sign."""

    sign: Sign
    keys: IndexRows
    structure: Structure
    read_at: float  # s, monotonic
    relied_on: bool


_known: dict[tuple[Any, ...], Unaltered] = {}  # by target


def sign(server: Server, tables: TableRows | None) -> Sign | None:
    """What is the same as long as nothing is altered; None where the server does not tell."""
    if tables is None or tables.altered is None:
        return None
    epoch = server.facts.epoch
    return (
        *(epoch.system_identifier, epoch.started_at, server.facts.version, server.account, server.rights),
        *(tables.altered, tables.defined),
    )


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
        _known[at] = Unaltered(under, keys, structure, time.monotonic(), before is not None and before.sign == under)


def _at(target: Target) -> tuple[Any, ...]:
    return target.host, target.port, target.database, target.user, target.proxy
