"""Whether a server is a replica, of whom, and how far behind it is: also one that has stopped, and takes writes.

In: a conversation with it. Out: names of sources, or that they are not ours to know, with the grant that mends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshag_tui.engines.base import PermissionDenied
from meshag_tui.engines.mysql.catalogue import Asked
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.wire import Flavour

RIGHTS: Mapping[Flavour, str] = {"MySQL": "REPLICATION CLIENT", "MariaDB": "SLAVE MONITOR"}
"""The right to ask a server how it replicates."""
_OF_A_GROUP = "group_replication_"


async def sources(server: Asked, watched: bool) -> tuple[str, ...] | None:
    """The servers this one replicates from, as host:port; None where that is not ours to know.

    Sources: performance_schema, else SHOW. MariaDB's tables are empty while performance_schema is off; MySQL's are not.

    Args:
        watched: performance_schema is on.
    """
    if watched or server.flavour == "MySQL":
        try:
            return tuple(str(name) for (name,) in await server.fetch(load("change_sources"), ()))
        except PermissionDenied:
            pass
    try:
        rows = await status(server)
    except PermissionDenied:
        return None
    first = 3 if server.flavour == "MariaDB" else 1  # of host and port, a user between them
    return tuple(f"{row[first]}:{row[first + 2]}" for row in rows)


def behind_ms(flavour: Flavour, rows: Sequence[tuple[Any, ...]]) -> float | None:
    """How far the replica is behind the latest of its sources (rows of `status`), in ms; None while it does not run.

    Source: Seconds_Behind_Source, in whole seconds.
    """
    at = 34 if flavour == "MariaDB" else 32
    return max((float(row[at]) * 1000 for row in rows if row[at] is not None), default=None)


async def status(server: Asked) -> list[tuple[Any, ...]]:
    """A row for each source, those of a group left out.

    Raises:
        PermissionDenied: it is not ours to ask.
    """
    rows = await server.fetch(_show(server.flavour, server.version))
    return [row for row in rows if not any(str(value).startswith(_OF_A_GROUP) for value in row)]


def _show(flavour: Flavour, version: tuple[int, int, int]) -> str:
    """The columns that we take stand at the same place in each version."""
    if flavour == "MariaDB":
        return "SHOW ALL SLAVES STATUS"
    return "SHOW REPLICA STATUS" if version >= (8, 0, 22) else "SHOW SLAVE STATUS"
