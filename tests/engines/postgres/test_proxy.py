"""A database reached only through a SOCKS5 proxy, under a name only the proxy knows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from meshag_tui.engines.base import AuthenticationFailed, CannotConnect, DeadlinePassed, Limits, TlsFailed
from meshag_tui.types import Secret, TlsMode, UsageError
from tests.engines.postgres.conftest import Open
from tests.rig.certificates import authority, install, only_tls
from tests.rig.postgres import Database
from tests.rig.socks import SocksServer

HIDDEN = "database.behind.example"
NAMES = {HIDDEN: "127.0.0.1"}


@pytest.mark.parametrize("login", [None, ("someone", "pass word")], ids=["open", "login"])
async def test_collecting_through_the_proxy(pg: Database, open_session: Open, login: tuple[str, str] | None) -> None:
    pg.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS a")
    async with SocksServer(NAMES, login) as proxy:
        session = await open_session(pg.monitor_url, host=HIDDEN, proxy=proxy.url.replace(" ", "%20"))
        snapshot = await session.collect()
        assert snapshot.tables is not None
        assert [table.name for table in snapshot.tables] == ["t"]
        assert len(await session.texts(None)) > 0
        assert proxy.asked == [(HIDDEN, pg.server.port)], "resolved by the proxy, dialled once"
        await session.close()


async def test_tls_checks_the_databases_name_not_the_relays(
    private_pg: Callable[..., Database], open_session: Open, tmp_path: Path
) -> None:
    database = private_pg(15)
    trusted = authority(tmp_path, "trusted")
    install(database, trusted, [HIDDEN])
    only_tls(database)
    async with SocksServer(NAMES | {"other.example": "127.0.0.1"}) as proxy:
        through = {"proxy": proxy.url, "tls": TlsMode.VERIFY_FULL, "tls_ca": str(trusted.file)}
        session = await open_session(database.monitor_url, host=HIDDEN, **through)
        assert session.facts.tls is not None
        assert (await session.collect()).statements is not None
        with pytest.raises(TlsFailed, match=r"another host than other\.example"):
            await open_session(database.monitor_url, host="other.example", **through)


async def test_what_can_go_wrong_has_its_own_words(pg18: Database, open_session: Open, unused_tcp_port: int) -> None:
    url = pg18.monitor_url
    async with SocksServer(NAMES, ("someone", "right")) as proxy:
        with pytest.raises(CannotConnect, match="does not let us through") as caught:
            await open_session(url, host=HIDDEN, proxy=proxy.url.replace("right", "wr0ng-canary"))
        assert "wr0ng-canary" not in str(caught.value)
        with pytest.raises(CannotConnect, match=r"nowhere\.example.*unreachable"):
            await open_session(url, host="nowhere.example", proxy=proxy.url)
        with pytest.raises(AuthenticationFailed):
            await open_session(url, host=HIDDEN, proxy=proxy.url, password=Secret("no"))
    with pytest.raises(CannotConnect, match=r"proxy 127\.0\.0\.1:.* cannot be reached"):
        await open_session(url, host=HIDDEN, proxy=f"socks5://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(UsageError, match="socks5://"):
        await open_session(url, host=HIDDEN, proxy="http://127.0.0.1:3128")
    with pytest.raises(UsageError, match="Unix socket"):
        await open_session(pg18.socket_url, proxy="socks5://127.0.0.1:1080")


async def test_a_silent_proxy_ends_by_the_deadline(pg18: Database, open_session: Open) -> None:
    async with SocksServer(NAMES, silent=True) as proxy:
        begin = time.monotonic()
        with pytest.raises(CannotConnect, match=r"No answer from .* through the proxy 127\.0\.0\.1"):
            await open_session(pg18.monitor_url, limits=Limits(connect_s=1), host=HIDDEN, proxy=proxy.url)
        assert time.monotonic() - begin < 10


async def test_a_frozen_backend_behind_the_proxy(pg18: Database, open_session: Open) -> None:
    import signal

    async with SocksServer(NAMES) as proxy:
        session = await open_session(pg18.monitor_url, host=HIDDEN, proxy=proxy.url)
        pid = session.wire.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            with pytest.raises(DeadlinePassed):
                await session.fetch("SELECT 1", deadline_s=0.5)
            assert time.monotonic() - begin < 8
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_nothing_is_left_of_a_closed_relay(pg18: Database, open_session: Open) -> None:
    async with SocksServer(NAMES) as proxy:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            session = await open_session(pg18.monitor_url, host=HIDDEN, proxy=proxy.url)
            await session.close()
        await asyncio.sleep(0.2)
        assert len(os.listdir("/proc/self/fd")) <= before + 1
