"""Servers that are silent, slow, hostile or something else: every connect ends in time and in words."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace

import pytest

from meshag_tui.engines.base import AuthenticationFailed, CannotConnect, DeadlinePassed, EngineError, Limits, TlsFailed
from meshag_tui.engines.mysql.session import connect
from meshag_tui.types import Target, TlsMode
from tests.engines.mysql.conftest import Answer, Listen

LIMITS = Limits(connect_s=1.0, call_s=1.0)
_TLS, _PLUGIN_AUTH = 0x800, 0x80000


def greeting(capabilities: int = _PLUGIN_AUTH | 0x8200, plugin: bytes = b"mysql_native_password") -> bytes:
    """What a server says first: protocol 10, version, thread, salt, what it can do."""
    low, high = capabilities & 0xFFFF, capabilities >> 16
    body = b"\x0a8.0.36\x00\x07\x00\x00\x00saltsalt\x00" + low.to_bytes(2, "little") + b"\x2d\x02\x00"
    body += high.to_bytes(2, "little") + b"\x15" + b"\x00" * 10 + b"saltsaltsalt\x00" + plugin + b"\x00"
    return packet(body, 0)


def packet(body: bytes, number: int) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in greeting():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    block = os.urandom(65_536)
    while True:
        writer.write(block)
        await writer.drain()


async def zeros(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/html\r\n\r\n<html>no</html>")
    await writer.drain()


async def tls_alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x15\x03\x03\x00\x02\x02\x28")  # fatal, handshake failure
    await writer.drain()


async def tls_alert_after_the_greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(greeting(_PLUGIN_AUTH | _TLS | 0x8200))
    await reader.readexactly(36)
    await reader.read(1)
    writer.write(b"\x15\x03\x03\x00\x02\x02\x28")
    await writer.drain()


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def hanging_up_after_the_greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(greeting())
    await reader.read(8)


async def a_greeting_cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packet(b"\x0a8.0\x00\x07\x00", 0))
    await reader.read(1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silent, "No answer"),
        (dripping, "No answer"),
        (garbage, "not a MySQL or MariaDB server|No answer"),
        (zeros, "not a MySQL or MariaDB server"),
        (http, "not a MySQL or MariaDB server: it begins with b'HTTP/'"),
        (tls_alert, "not a MySQL or MariaDB server"),
        (tls_alert_after_the_greeting, "TLS handshake"),
        (hanging_up, "closed the connection"),
        (hanging_up_after_the_greeting, "closed the connection"),
        (a_greeting_cut_short, "not a MySQL or MariaDB server"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_connecting_ends_in_time_and_in_words(fake_server: Listen, answer: Answer, words: str) -> None:
    async with fake_server(answer) as target:
        with pytest.raises(EngineError, match=words) as caught:
            await _open(target)
        assert "s3cret-canary" not in str(caught.value)


async def _open(target: Target, mode: TlsMode = TlsMode.PREFER) -> None:
    begin = time.monotonic()
    try:
        async with connect(replace(target, tls=mode), "test", LIMITS):
            raise AssertionError("it connected")
    finally:
        assert time.monotonic() - begin < LIMITS.connect_s + 9  # a second on an idle machine


@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
async def test_a_server_that_offers_no_tls_is_told_nothing(fake_server: Listen, mode: TlsMode) -> None:
    said: list[bytes] = []

    async def without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        said.append(await reader.read(1000))

    async with fake_server(without_tls) as target:
        with pytest.raises(TlsFailed, match="offers no TLS"):
            await _open(target, mode)
        await asyncio.sleep(0.1)
    assert said == [b""]


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"mysql_old_password", b"dialog"])
async def test_a_password_is_not_said_in_the_clear(fake_server: Listen, plugin: bytes) -> None:
    """A server in the middle would only have to ask for it."""
    said: list[bytes] = []

    async def asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        await reader.read(1000)
        writer.write(packet(b"\xfe" + plugin + b"\x00\x02Password: ", 2))
        said.append(await reader.read(1000))

    async with fake_server(asking) as target:
        with pytest.raises(AuthenticationFailed, match="in the clear"):
            await _open(target)
        await asyncio.sleep(0.1)
    assert said == [b""]


async def test_files_are_not_sent_to_a_server_that_asks(fake_server: Listen) -> None:
    sent: list[bytes] = []

    async def asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        await reader.read(1000)
        writer.write(packet(b"\x00\x00\x00\x02\x00\x00\x00", 2))
        await reader.read(1000)  # our first statement
        writer.write(packet(b"\xfb/etc/passwd", 1))
        sent.append(await reader.read(1000))

    async with fake_server(asking) as target:
        with pytest.raises(EngineError):
            await _open(target)
        await asyncio.sleep(0.1)
    assert b"root" not in b"".join(sent)


async def test_a_server_silent_after_login(fake_server: Listen) -> None:
    async def accepting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        await reader.read(1000)
        writer.write(packet(b"\x00\x00\x00\x02\x00\x00\x00", 2))
        await asyncio.sleep(60)

    async with fake_server(accepting) as target:
        with pytest.raises(DeadlinePassed):
            await _open(target)


async def test_what_the_server_says_before_it_lets_go_is_passed_on(fake_server: Listen) -> None:
    async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packet(b"\xff\x10\x04Too many connections", 0))
        await reader.read(1)

    async def blocked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packet(b"\xff\x6a\x04Host '10.0.0.9' is not allowed to connect to this MySQL server", 0))
        await reader.read(1)

    async with fake_server(full) as target:
        with pytest.raises(CannotConnect, match="no free connection"):
            await _open(target)
    async with fake_server(blocked) as target:
        with pytest.raises(AuthenticationFailed, match="does not take connections from here"):
            await _open(target)


async def test_a_server_too_old_says_what_it_is(fake_server: Listen) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        await reader.read(1000)
        writer.write(packet(b"\x00\x00\x00\x02\x00\x00\x00", 2))
        await reader.read(1000)
        writer.write(packet(b"\xff\xa9\x04#HY000Unknown system variable 'information_schema_stats_expiry'", 1))
        await reader.read(1)

    async with fake_server(old) as target:
        with pytest.raises(EngineError, match=r"says it is 8\.0\.36, and lacks.*stats_expiry") as caught:
            await _open(target)
        assert "Upgrade" in str(caught.value.fix)


async def test_nothing_there(unused_tcp_port: int) -> None:
    with pytest.raises(CannotConnect, match="connection refused"):
        await _open(Target.from_url(f"mysql://u@127.0.0.1:{unused_tcp_port}/"))
    with pytest.raises(CannotConnect, match="no server socket"):
        await _open(Target.from_url("mysql://u@x/?host=/tmp"))
    with pytest.raises(CannotConnect, match="is not known"):
        await _open(Target.from_url("mysql://u@no-such-host.invalid/?sslmode=prefer"))
