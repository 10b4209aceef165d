"""Which SQL statements a store is sent."""

from __future__ import annotations

import itertools
import re
from typing import Any

import psycopg

from meshag_tui.store import database, models

_VALUE = re.compile(r"'(?:[^']|'')*'|-?\b\d[\d.e+-]*\b|NULL")


class Sent:
    """The statements of the store's writing connection since `note` ran in its thread, without their values and without
    transactions.

    SQLite's own trace has a line for each row of an executemany: equal ones in a row are one statement.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def statements(self) -> list[str]:
        """Without those that keep the lease of a run."""
        return [line for line, _ in itertools.groupby(self._lines) if not _keeps_lease(line)]

    @property
    def renewals(self) -> int:
        """How many kept the lease of a run: one for each third of it that the run took, whatever it does."""
        return sum(map(_keeps_lease, self._lines))

    def note(self) -> None:
        """Begin; runs in the store's thread."""
        noted = self._note
        connection = models.database.connection()
        if database.kind() == "sqlite":
            connection.set_trace_callback(noted)
            return

        class Noting(psycopg.Cursor[Any]):
            def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
                noted(str(query))
                return super().execute(query, *args, **kwargs)

            def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
                noted(str(statement))
                return super().copy(statement, *args, **kwargs)

        connection.cursor_factory = Noting

    def _note(self, text: str) -> None:
        if not text.startswith(("--", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")):
            self._lines.append(_VALUE.sub("?", " ".join(text.split())))


def _keeps_lease(line: str) -> bool:
    """Whether it is that of `executions.renew`, which alone asks whether the run is to be cancelled."""
    return line.startswith('UPDATE "execution"') and "RETURNING" in line and '"cancel_requested"' in line
