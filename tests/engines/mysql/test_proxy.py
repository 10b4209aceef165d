"""A server reached only through a SOCKS5 proxy, under a name only the proxy knows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from meshag_tui.engines.base import AuthenticationFailed, CannotConnect, DeadlinePassed, Limits, TlsFailed
from meshag_tui.types import Secret, TlsMode, UsageError
from tests.engines.mysql.conftest import Open
from tests.rig import certificates
from tests.rig.mysql import Schema
from tests.rig.socks import SocksServer

HIDDEN = "database.behind.example"
NAMES = {HIDDEN: "127.0.0.1"}


@pytest.mark.parametrize("login", [None, ("someone", "pass word")], ids=["open", "login"])
async def test_collecting_through_the_proxy(my: Schema, open_session: Open, login: tuple[str, str] | None) -> None:
    my.execute("CREATE TABLE t (a int PRIMARY KEY)")
    async with SocksServer(NAMES, login) as proxy:
        before = len(os.listdir("/proc/self/fd"))
        session = await open_session(my.monitor_url, host=HIDDEN, proxy=proxy.url.replace(" ", "%20"))
        snapshot = await session.collect()
        assert snapshot.tables is not None
        assert [table.name for table in snapshot.tables] == ["t"]
        assert proxy.asked == [(HIDDEN, my.server.port)], "resolved by the proxy, dialled once"
        await session.close()
        await asyncio.sleep(0.2)
        assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
async def test_a_password_is_not_sealed_with_a_key_that_came_over_a_clear_line(
    mysql: Schema, open_session: Open, plugin: str
) -> None:
    """Only a proof of it goes over such a line, which is enough once the server has seen the password."""
    url = mysql.user(plugin=plugin)
    async with SocksServer(NAMES) as proxy:
        clear = {"host": HIDDEN, "proxy": proxy.url, "tls": TlsMode.DISABLE, "database": ""}
        with pytest.raises(AuthenticationFailed, match="key that nobody vouches for") as refused:
            await open_session(url, **clear)
        assert "TLS mode" in (refused.value.fix or "")
        session = await open_session(url, **{**clear, "tls": TlsMode.REQUIRE})
        assert session.facts.tls is not None
        if plugin == "caching_sha2_password":
            assert (await open_session(url, **clear)).facts.tls is None


async def test_tls_checks_the_servers_name(
    private_my: Callable[..., Schema], open_session: Open, tmp_path: Path
) -> None:
    trusted = certificates.authority(tmp_path, "trusted")
    schema = private_my("MariaDB", tls=certificates.files(tmp_path, trusted, [HIDDEN]))
    async with SocksServer(NAMES | {"other.example": "127.0.0.1"}) as proxy:
        through = {"proxy": proxy.url, "tls": TlsMode.VERIFY_FULL, "tls_ca": str(trusted.file)}
        session = await open_session(schema.monitor_url, host=HIDDEN, **through)
        assert session.facts.tls is not None
        with pytest.raises(TlsFailed, match=r"another host than other\.example"):
            await open_session(schema.monitor_url, host="other.example", **through)


async def test_what_can_go_wrong_has_its_own_words(mariadb: Schema, open_session: Open, unused_tcp_port: int) -> None:
    url = mariadb.monitor_url
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
        await open_session(mariadb.socket_url, proxy="socks5://127.0.0.1:1080")


async def test_silence_ends_by_the_deadline(mariadb: Schema, open_session: Open) -> None:
    async with SocksServer(NAMES, silent=True) as proxy:
        begin = time.monotonic()
        with pytest.raises(CannotConnect, match=r"No answer from .* through the proxy 127\.0\.0\.1"):
            await open_session(mariadb.monitor_url, limits=Limits(connect_s=1), host=HIDDEN, proxy=proxy.url)
        assert time.monotonic() - begin < 10
    async with SocksServer(NAMES) as proxy:
        session = await open_session(mariadb.monitor_url, host=HIDDEN, proxy=proxy.url)
        begin = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await session.fetch("SELECT SLEEP(20)", deadline_s=0.5)
        assert time.monotonic() - begin < 8
