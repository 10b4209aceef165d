"""Whether what puts a change back really does: both are run in the sandbox, and its catalogue compared.

In: the exact statements that would run on the watched server, as they were written from its catalogue. Out: an
`Undone`. The sandbox's owner of tables runs them (a setting its superuser), outside a transaction, as on the server.
What is compared is all that a change can change: of indexes, tables and planner statistics definitions, validity,
options, targets, what is said of each and what it depends on; and what settings are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from meshag_tui.engines.postgres.sandbox.making import Connection
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.rehearsal import Undone
from meshag_tui.types import Change, DropIndex, DropStatistics, SetSetting

_MOST = 3


def undone(maker: Connection, change: Change, text: str, undo_sql: str) -> Undone:
    """Run both, one after the other, where the change has not been made."""
    putting_back = undo_sql.split(";\n")
    query = "sandbox_kept_settings" if isinstance(change, SetSetting) else "sandbox_catalogue"
    try:
        if isinstance(change, DropIndex | DropStatistics):  # what is said of it beside its definition is not copied
            run(maker, putting_back[1:])
        if isinstance(change, SetSetting):  # which begins as it is kept on the source
            _stand_ins(maker, change)
            run(maker, putting_back)
        before = _catalogue(maker, query)
        run(maker, text.split(";\n"))
        between = _catalogue(maker, query)
        run(maker, putting_back)
        after = _catalogue(maker, query)
    except psycopg.Error as error:
        return Undone(text, undo_sql, f"it could not be tried: {str(error).strip().splitlines()[0]}")
    if between == before:
        return Undone(text, undo_sql, "the change itself changed nothing here")
    return Undone(text, undo_sql, _difference(before, after))


def run(maker: Connection, statements: Iterable[str]) -> None:
    """Run them one after the other, each outside a transaction."""
    for statement in statements:
        maker.execute(statement.encode())  # bytes: written from the catalogue of the watched server, and checked there


def _stand_ins(maker: Connection, change: SetSetting) -> None:
    """The role and the database that have a setting of their own, by name: they are not copied."""
    for name, kind, there in (
        (change.role, "ROLE", "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s"),
        (change.database, "DATABASE", "SELECT FROM pg_catalog.pg_database WHERE datname = %s"),
    ):
        if name is not None and not maker.execute(there.encode(), (name,)).fetchall():
            maker.execute(sql.SQL("CREATE {} {}").format(sql.SQL(kind), sql.Identifier(name)))


def _catalogue(maker: Connection, query: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: tuple(row[1:]) for row in maker.execute(load(query).encode()).fetchall()}


def _difference(before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]) -> str | None:
    other = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not other:
        return None
    return f"not as before: {', '.join(other[:_MOST])}{' and others' if len(other) > _MOST else ''}"
