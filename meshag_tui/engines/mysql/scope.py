"""Which schemas a connection watches: the one of its URL, or all but the server's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server

INTERNAL = ("information_schema", "performance_schema", "mysql", "sys", "ndbinfo")


def within(column: str, database: str) -> str:
    """A condition for WHERE; its parameters are those of `names`. An equality lets the server look into one schema."""
    return f"{column} = %(database)s" if database else f"{column} NOT IN %(internal)s"


def names(database: str) -> dict[str, str | tuple[str, ...]]:
    """The parameters of `within`."""
    return {"database": database} if database else {"internal": INTERNAL}


def watcher(server: Server) -> Callable[[str | None], bool]:
    """Tells whether statements of a default schema are watched; with no database in the URL, those of none are too."""
    database = server.facts.database
    folds = server.settings.get("lower_case_table_names", "0") != "0"
    if not database:
        return lambda schema: schema not in INTERNAL
    if folds:
        database = database.lower()
        return lambda schema: schema is not None and schema.lower() == database
    return lambda schema: schema == database
