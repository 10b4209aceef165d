"""MySQL 8.0 to 9 and MariaDB from 10.11: everything MeshAG reads from such a server, and what would change one.

`MysqlEngine` is what the rooms above use; sessions are made in `session`, and each of their methods has its room.
MariaDB is a flavour: what differs is decided by `Server.flavour` in the room that it concerns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.engines.mysql.words import WORDS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from meshag_tui.engines.base import DdlSession, Limits, Progress, Session
    from meshag_tui.live import Ended, Ending
    from meshag_tui.types import Target


class MysqlEngine:
    """The engine of MySQL and MariaDB; see `engines.base.Engine`. Drivers and parsers are loaded when first needed."""

    words = WORDS

    def connect(self, target: Target, purpose: str, limits: Limits) -> AbstractAsyncContextManager[Session]:
        from meshag_tui.engines.mysql import session

        return session.connect(target, purpose, limits)

    def connect_for_change(self, target: Target, limits: Limits) -> AbstractAsyncContextManager[DdlSession]:
        from meshag_tui.engines.mysql import ddl

        return ddl.connect_for_change(target, limits)

    async def progress(self, session: Session, backend_pid: int) -> Progress | None:
        from meshag_tui.engines.mysql import ddl
        from meshag_tui.engines.mysql.session import MysqlSession

        if not isinstance(session, MysqlSession):
            raise TypeError(f"not a session of this engine: {type(session).__name__}")
        return await ddl.progress(session.wire, backend_pid)

    def end_sql(self, ending: Ending) -> str:
        from meshag_tui.engines.mysql import ending as room

        return room.end_sql(ending)

    async def end(self, target: Target, limits: Limits, ending: Ending) -> Ended:
        from meshag_tui.engines.mysql import ending as room

        return await room.end(target, limits, ending)

    async def reset_sql(self, target: Target, limits: Limits) -> str:
        from meshag_tui.engines.mysql import resetting

        return await resetting.reset_sql(target, limits)

    async def reset(self, target: Target, limits: Limits, agreed: str) -> None:
        from meshag_tui.engines.mysql import resetting

        await resetting.reset(target, limits, agreed)

    def setup_sql(self, user: str, database: str) -> str:
        from meshag_tui.engines.mysql import setup

        return setup.setup_sql(user, database)

    def normalise(self, text: str) -> str:
        from meshag_tui.engines.mysql import parse

        return parse.normalise(text)

    def fingerprint(self, text: str) -> str | None:
        from meshag_tui.engines.mysql import parse

        return parse.fingerprint(text)
