"""PostgreSQL 13 to 18: everything MeshAG reads from such a server, and the statements that would change one.

`PostgresEngine` is what the rooms above use; sessions are made in `session`, and each of their methods has its room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.engines.postgres.words import WORDS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from meshag_tui.engines.base import DdlSession, Limits, Progress, Session
    from meshag_tui.live import Ended, Ending
    from meshag_tui.types import Target


class PostgresEngine:
    """The engine of PostgreSQL; see `engines.base.Engine`. Drivers and parsers are loaded when first needed."""

    words = WORDS

    def connect(self, target: Target, purpose: str, limits: Limits) -> AbstractAsyncContextManager[Session]:
        from meshag_tui.engines.postgres import session

        return session.connect(target, purpose, limits)

    def connect_for_change(self, target: Target, limits: Limits) -> AbstractAsyncContextManager[DdlSession]:
        from meshag_tui.engines.postgres import ddl

        return ddl.connect_for_change(target, limits)

    async def progress(self, session: Session, backend_pid: int) -> Progress | None:
        from meshag_tui.engines.postgres import ddl
        from meshag_tui.engines.postgres.session import PostgresSession

        if not isinstance(session, PostgresSession):
            raise TypeError(f"not a PostgreSQL session: {type(session).__name__}")
        return await ddl.progress(session, backend_pid)

    def end_sql(self, ending: Ending) -> str:
        from meshag_tui.engines.postgres import ending as room

        return room.end_sql(ending)

    async def end(self, target: Target, limits: Limits, ending: Ending) -> Ended:
        from meshag_tui.engines.postgres import ending as room

        return await room.end(target, limits, ending)

    async def reset_sql(self, target: Target, limits: Limits) -> str:
        from meshag_tui.engines.postgres import resetting

        return await resetting.reset_sql(target, limits)

    async def reset(self, target: Target, limits: Limits, agreed: str) -> None:
        from meshag_tui.engines.postgres import resetting

        await resetting.reset(target, limits, agreed)

    def setup_sql(self, user: str, database: str) -> str:
        from meshag_tui.engines.postgres import setup

        return setup.setup_sql(user, database)

    def normalise(self, text: str) -> str:
        from meshag_tui.engines.postgres import parse

        return parse.normalise(text)

    def fingerprint(self, text: str) -> str | None:
        from meshag_tui.engines.postgres import parse

        return parse.fingerprint(text)
