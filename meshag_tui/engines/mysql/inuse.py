"""Who uses a table now: what an ALTER TABLE would wait for, and what would wait behind it.

Metadata locks are shown by MySQL, and by MariaDB where it was told to; where they are not, the transactions of the
whole server and what its sessions say of themselves stand for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.mysql.catalogue import Asked
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.sql import load

_IN_USE_S = 1.0
_IN_THE_WAY = ("SHARED_UPGRADABLE", "SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE")


@dataclass(frozen=True, slots=True)
class User:
    """A session that uses a table: what it holds or waits for, and how long it has done so, s."""

    id: int
    user: str | None
    host: str | None
    lock: str | None
    waits: bool
    age_s: float

    @property
    def blocks(self) -> bool:
        """Whether no change of the table's definition can go on beside it."""
        return self.waits or self.lock in _IN_THE_WAY

    def __str__(self) -> str:
        who = "@".join(filter(None, (self.user, (self.host or "").partition(":")[0]))) or "unknown"
        return f"session {self.id} ({who}), for {self.age_s:.0f} s"


async def shows_locks(server: Asked) -> bool:
    """Whether metadata locks can be seen, with their sessions' transactions."""
    try:
        return bool((await server.fetch(load("change_metadata_locks")))[0][0])
    except EngineError:
        return False


async def table_users(server: Asked, schema: str, table: str) -> tuple[User, ...]:
    """Who holds or waits for a metadata lock on the table, longest first; only where `shows_locks`."""
    rows = await server.fetch(load("change_table_users"), (schema, table))
    return tuple(User(id_, user, host, lock, bool(waits), float(age)) for id_, user, host, lock, waits, age in rows)


async def transactions(server: Asked, at_least_s: float) -> tuple[User, ...]:
    """Transactions of the whole server that are at least so old, oldest first. Needs PROCESS."""
    rows = await server.fetch(load("change_transactions"), (at_least_s,))
    return tuple(User(id_ or 0, user, host, None, False, float(age)) for id_, user, host, age in rows)


async def sessions(server: Asked) -> list[tuple[Any, ...]]:
    """All other sessions that we may see; see `change_sessions.sql`."""
    return await server.fetch(load("change_sessions"))


async def stays_in_use(server: Asked, schema: str, table: str) -> bool:
    """Whether for a second, as often as we look, a statement runs on the table or a session has it under LOCK TABLES.

    Which of them, is not told. Statements that come and go leave a moment in which neither is so.
    """
    where = f"FROM {quoted(schema)} WHERE `Table` = %s AND In_use > 0"
    end = asyncio.get_running_loop().time() + _IN_USE_S
    while await server.fetch(f"SHOW OPEN TABLES {where}", (table,)):
        if asyncio.get_running_loop().time() > end:
            return True
        await asyncio.sleep(0.05)
    return False


async def blockers(server: Asked, schema: str, table: str) -> str:
    """Who was in the way of a lock on the table, as far as can be seen right after; "" when nobody can."""
    try:
        if await shows_locks(server):
            found: Iterable[User] = await table_users(server, schema, table)
        else:
            found = await transactions(server, 0)
    except EngineError:
        return ""
    said = list(dict.fromkeys(f"{user}" for user in found if not user.waits))[:3]
    return f"; blocked by {'; '.join(said)}" if said else ""
