"""What a list of statements is of. Needs no Textual: the first is asked while Textual is still being loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshag_tui.settings import Settings
from meshag_tui.store import history
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.history import QueryPage
from meshag_tui.types import Aside, Window

if TYPE_CHECKING:
    from meshag_tui.snapshot import OtherDatabases

PAGE = 100
"""Rows read at once; several screens full."""
USUAL_ORDER = ("total_time", True)


class Question(NamedTuple):
    """A page of it is an answer."""

    connection_id: str
    window: Window
    sort: str
    descending: bool
    text: str
    shown: frozenset[Aside]  # of what is set aside, what is listed all the same
    slow_ms: float
    by_longest: bool = False  # one call that took as long makes a statement slow, too

    def page(self, number: int) -> QueryPage:
        """Read page `number`, in the store's thread."""
        return self.rows(PAGE, number * PAGE)

    def set_aside(self) -> dict[Aside, int]:
        """How many of each kind that is set aside ran, in the store's thread."""
        from meshag_tui.store import history_queries

        return history_queries.set_aside(self.connection_id, self.window, self.text or None)

    def other_databases(self) -> OtherDatabases | None:
        """What other databases were last counted to have done, in the store's thread."""
        from meshag_tui.store import snapshots

        return snapshots.other_databases(self.connection_id)

    def rows(self, limit: int, offset: int = 0) -> QueryPage:
        return history.queries(
            self.connection_id,
            self.window,
            sort=self.sort,
            descending=self.descending,
            limit=limit,
            offset=offset,
            text=self.text or None,
            internal=self.shown,
            slow_ms=self.slow_ms,
            by_longest=self.by_longest,
        )


def slow_ms(info: ConnectionInfo, settings: Settings) -> float:
    """From which mean a statement of this connection counts as slow, ms."""
    return settings.advice.slow_ms if info.slow_ms is None else info.slow_ms
