"""ALTER TABLE as we send it: the algorithm and the lock always named, so that a server refuses rather than blocks."""

from __future__ import annotations

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql.catalogue import Table
from meshag_tui.engines.mysql.wire import Flavour


def terms(flavour: Flavour, *, copies: bool = False) -> str:
    """What ends each ALTER TABLE. NOCOPY is MariaDB's INPLACE that may not write the table anew either."""
    return f"ALGORITHM={'NOCOPY' if flavour == 'MariaDB' and not copies else 'INPLACE'}, LOCK=NONE"


def alter(flavour: Flavour, table: Table, action: str, *, copies: bool = False) -> str:
    """The statement that does `action`; `copies` when writing the table anew, beside itself, is what is wanted."""
    return f"ALTER TABLE {table.sql} {action}, {terms(flavour, copies=copies)}"


def check_engine(table: Table) -> None:
    """Raises Refused for a table whose engine copies it, with its writers blocked, for any change."""
    if table.engine.lower() != "innodb":
        raise Refused(f"{table.full} is a {table.engine} table: changing it blocks its writers for as long as it takes")
