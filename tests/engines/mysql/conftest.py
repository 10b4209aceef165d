"""What the tests of this room share: opening sessions, and servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from meshag_tui.engines.base import Limits
from meshag_tui.engines.mysql.session import MysqlSession, connect
from meshag_tui.types import Target

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Open = Callable[..., Awaitable[MysqlSession]]
Listen = Callable[[Answer], AbstractAsyncContextManager[Target]]


@pytest_asyncio.fixture
async def open_session() -> AsyncIterator[Open]:
    """`await open_session(url, purpose="test", limits=Limits(), **changes_of_the_target)`, closed after the test."""
    async with AsyncExitStack() as stack:

        async def opened(url: str, purpose: str = "test", limits: Limits | None = None, **changes: Any) -> MysqlSession:
            target = replace(Target.from_url(url), **changes)
            return await stack.enter_async_context(connect(target, purpose, limits or Limits()))

        yield opened


@pytest.fixture
def fake_server() -> Listen:
    """`async with fake_server(answer) as target:` a TCP listener that answers as it is told."""

    @asynccontextmanager
    async def listening(answer: Answer) -> AsyncIterator[Target]:
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            try:
                await answer(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield Target.from_url(f"mysql://somebody:s3cret-canary@127.0.0.1:{port}/db")
        finally:
            server.close()
            for task in handlers:
                task.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)

    return listening
