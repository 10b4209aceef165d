"""The figures of tables (rows, sizes, free space, next number) as long as nobody wrote to them: they are not asked for.

MySQL looks into the file of each for them, which is most of what information_schema.TABLES costs; MariaDB opens each
for anything that is said there. Figures are remembered under a sign: what InnoDB counts of the table, each written row
among it, its number, and when it was altered. MySQL says the latter each time. MariaDB is not asked while no statement
that alters something has begun since a moment in which none was running. Space that a deletion leaves is free only once
no transaction can see its rows any more: figures are relied on when a second reading, half a minute or more after the
first, found no others, and for what became free even later (or what a role shows that an account has by default now)
all are read once an hour.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.schema import Name
    from meshag_tui.types import Target

RESTING_S = 30
LASTING_S = 3600
_MOST = 10_000
"""Tables of a connection that are remembered: the names of those at rest are part of a statement."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of a table, its options with them, as they were read while InnoDB counted `sign` of it (None: nothing).

    `altered` is what the catalogue said beside them: another value when it was altered.
    """

    sign: Any
    altered: tuple[Any, ...]
    figures: tuple[Any, ...]
    since: float = 0.0  # s, monotonic
    at_rest: bool = False


@dataclass(slots=True)
class Memory:
    """What is known of one server through one connection.

    `begun`: how many statements that alter something had begun when none of them was running, before the tables were
    read; None: that was not seen, or is not asked.
    """

    server: tuple[Any, ...]
    begun_at: float  # s, monotonic
    tables: Mapping[Name, Table] = field(default_factory=dict)
    begun: int | None = None

    def at_rest(self, signs: Mapping[Name, Any]) -> Mapping[Name, Table]:
        """The tables whose figures are as they were, by what InnoDB counts now."""
        return {name: table for name, table in self.tables.items() if table.at_rest and table.sign == signs.get(name)}

    def note(self, tables: Mapping[Name, Table], begun: int | None = None) -> None:
        """Keep all tables, as they were read or found at rest, in place of those that were known."""
        now = time.monotonic()
        self.tables = {} if len(tables) > _MOST else {name: self._noted(name, tables[name], now) for name in tables}
        self.begun = begun

    def _noted(self, name: Name, table: Table, now: float) -> Table:
        before = self.tables.get(name)
        if before is None or replace(before, since=0.0, at_rest=False) != replace(table, since=0.0, at_rest=False):
            return replace(table, since=now, at_rest=False)
        rests = table.sign is not None and now - before.since >= RESTING_S
        return before if before.at_rest else replace(before, at_rest=rests)


_known: dict[tuple[Any, ...], Memory] = {}  # by target


def memory(target: Target, server: Server) -> Memory:
    """What is remembered of the server: nothing where it started anew, or an hour has passed."""
    at = (target.host, target.port, target.database, target.user, target.proxy)
    epoch = server.facts.epoch
    same = (epoch.system_identifier, epoch.started_at, server.facts.version, server.account, server.rights)
    known = _known.get(at)
    if known is None or known.server != same or time.monotonic() >= known.begun_at + LASTING_S:
        known = _known[at] = Memory(same, time.monotonic())
    return known
