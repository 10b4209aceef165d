"""A database with a session of ours on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import Limits, Session
from meshag_tui.types import Target
from tests.rig.postgres import Database

Connect = Callable[[Database], AbstractAsyncContextManager[Session]]


@pytest.fixture
def connect() -> Connect:
    """Open a read-only session on a database, as the workflows do."""

    @asynccontextmanager
    async def opened(database: Database) -> AsyncIterator[Session]:
        target = Target.from_url(database.url)
        async with engine_for(target.db_type).connect(target, "advice", Limits()) as session:
            yield session

    return opened
