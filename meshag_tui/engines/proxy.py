"""A way through a SOCKS5 proxy: `reach` for a client library that takes a socket, `Relay` for one that dials itself.

Names are resolved by the proxy. What comes in: a proxy URL and the database's host and port. What goes out: a connected
socket, or a local port to dial: libpq takes no socket, so a relay listens on a port of 127.0.0.1 for the time of one
session, and libpq dials that address while its `host` stays the database's name, so that TLS verifies the database and
not the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meshag_tui.engines.base import CannotConnect, EngineError
from meshag_tui.types import UsageError

if TYPE_CHECKING:
    from python_socks.async_.asyncio import Proxy

_CHUNK = 65_536


async def reach(url: str, host: str, port: int) -> socket.socket:
    """A socket connected to the database through the proxy. The caller sets the deadline.

    Raises:
        CannotConnect: the proxy is not there, refuses us, or cannot reach the database.
        UsageError: the URL cannot be read.
    """
    from python_socks import ProxyError

    proxy, label = _proxy(url)
    try:
        return await proxy.connect(dest_host=host, dest_port=port)
    except ProxyError as error:
        raise CannotConnect(
            f"The SOCKS5 proxy {label} does not let us through to {host}:{port}: {error}",
            "Check the proxy's user, password and rules",
        ) from None
    except OSError as error:
        raise CannotConnect(
            f"The SOCKS5 proxy {label} cannot be reached: {error.strerror or error}", "Check the proxy's address"
        ) from None


class Relay:
    """Carries the bytes of one session between libpq and the database, through the proxy.

    The proxy is asked for the first connection in `open`, so that its refusal has its own words; libpq may dial again
    (`sslmode=prefer` after a failed handshake) and then gets another. `failure` is the last error of such a dial.
    """

    def __init__(self, url: str, host: str, port: int) -> None:
        self.failure: EngineError | None = None
        self.port = 0
        _proxy(url)  # a URL that cannot be read is said before anything is dialled
        self._url, self._host, self._port = url, host, port
        self._ready: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> int:
        """Reach the database through the proxy and return the port of 127.0.0.1 to dial. The caller sets the deadline.

        Raises:
            CannotConnect: the proxy is not there, refuses us, or cannot reach the database.
        """
        self._ready = await reach(self._url, self._host, self._port)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    def stop_listening(self) -> None:
        """Take no more connections: libpq is through."""
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """End the relay at once, without waiting for either side."""
        self.stop_listening()
        if self._ready is not None:
            self._ready.close()
            self._ready = None
        for task in self._pumps:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            line, self._ready = self._ready or await reach(self._url, self._host, self._port), None
            far_reader, far_writer = await asyncio.open_connection(sock=line)
        except EngineError as error:
            self.failure = error
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(_pump(source, sink))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until one side ends, then end the other: a half-open session would look alive."""
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
    sink.close()


def _proxy(url: str) -> tuple[Proxy, str]:
    """The proxy of a socks5:// URL, and host:port to name it by (never its password)."""
    from python_socks.async_.asyncio import Proxy

    try:
        parts = urlsplit(url)
        label = f"{parts.hostname}:{parts.port or 1080}"
        if parts.scheme not in ("socks5", "socks5h") or not parts.hostname:
            raise ValueError(parts.scheme)
        return Proxy.from_url(url.replace("socks5h://", "socks5://", 1), rdns=True), label
    except ValueError:
        raise UsageError("The proxy must be written socks5://[user:password@]host:port") from None
