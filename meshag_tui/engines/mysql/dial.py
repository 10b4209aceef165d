"""Making a connection to a MySQL or MariaDB server that really ends by a deadline and says what was wrong.

In: a Target, what the session is for, seconds. Out: a connection of asyncmy, logged in. The socket is ours, made
directly or through a SOCKS5 proxy, so that the first bytes are looked at before the driver is given them: what does not
greet as such a server does is never told a password. Addresses are tried in turn, each with its share of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from decimal import Decimal
from ipaddress import ip_address
from typing import Any

from asyncmy.connection import Connection
from asyncmy.constants import CLIENT, FIELD_TYPE
from asyncmy.converters import conversions

from meshag_tui.engines.address import VERIFYING, addresses, check, no_answer, system_ca_file
from meshag_tui.engines.base import AuthenticationFailed, CannotConnect, EngineError, TlsFailed
from meshag_tui.engines.mysql.errors import connect_error, place
from meshag_tui.engines.proxy import reach
from meshag_tui.types import MeshagError, Target, TlsMode

_SOCKETS = ("mysqld.sock", "mysql.sock")
_GREETING_MAX = 4096  # bytes; a real one has about a hundred
_PROTOCOL = 10
_ERROR = 0xFF
_IN_CLEAR = (b"mysql_clear_password", b"dialog")  # hand the password itself to whoever asks for it
_BROKEN = (b"mysql_old_password",)
_NO_GREETING = "Check host and port: such a server speaks first, and what listens there says nothing"
# The driver's converters for figures get bytes, because texts are decoded by us: one that is not UTF-8 is no error.
_DECODERS = {
    **conversions,
    FIELD_TYPE.DECIMAL: lambda text: Decimal(text.decode("ascii")),
    FIELD_TYPE.NEWDECIMAL: lambda text: Decimal(text.decode("ascii")),
}


async def dial(target: Target, purpose: str, seconds: float) -> Line:
    """Connect within `seconds`. The session's default schema is information_schema, see `statements`.

    Raises:
        EngineError: CannotConnect, AuthenticationFailed, TlsFailed, PermissionDenied.
        UsageError: the proxy's URL cannot be read, or a proxy is asked for a Unix socket.
    """
    check(target)
    context = _context(target)
    end = time.monotonic() + seconds
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + seconds):
            places = [target.host] if target.proxy else await addresses(target)
            return await _first(target, places, purpose, context, end)
    except TimeoutError:
        raise no_answer(target, seconds, _NO_GREETING) from None


class Line(Connection):  # type: ignore[misc]  # the driver has no types
    """A connection of the driver that takes TLS, logins and statements only as we want them.

    The methods overridden here are those that read the server's greeting and answer its wish for another login.
    """

    _transport: Any

    def __init__(self, target: Target, purpose: str, context: ssl.SSLContext | None, sock: socket.socket) -> None:
        super().__init__(
            sock=sock,
            host=target.host,  # the name that a certificate is checked against
            user=target.user,
            password=target.password.reveal().encode() if target.password else b"",  # as text it would be latin-1
            database="information_schema",
            autocommit=None,
            use_unicode=False,
            conv=_DECODERS,
            program_name=f"meshag/{purpose}",
        )
        self._target = target
        self._context = context
        self._unix = sock.family == socket.AF_UNIX
        self._within = not target.proxy and not self._unix and ip_address(sock.getpeername()[0]).is_loopback

    @property
    def encrypted(self) -> bool:
        return self._ssl_context is not None

    @property
    def _server_public_key(self) -> bytes | None:
        """The key that a password is sealed with on a clear line. The driver looks here, then asks whoever answers.

        Raises:
            AuthenticationFailed: the line leaves this machine: who sits on it could give a key of his own.
        """
        if self._sealing_key is None and not self._within and not self.encrypted:
            raise AuthenticationFailed(
                f"{place(self._target)} asks for the password of {self._target.user} on a line without TLS, sealed "
                "with a key that nobody vouches for",
                "Choose TLS mode verify-full (or prefer), switch TLS on at the server, or come over its socket",
            )
        return self._sealing_key

    @_server_public_key.setter
    def _server_public_key(self, key: bytes | None) -> None:
        self._sealing_key = key

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        where = place(self._target)
        if not self.server_capabilities & CLIENT.PLUGIN_AUTH:
            raise CannotConnect(f"{where} is older than any server we speak with: {self.server_version}")
        self._client_flag &= ~CLIENT.MULTI_STATEMENTS
        self._secure = self._unix
        wanted = self._target.tls
        if wanted is TlsMode.DISABLE or (wanted is TlsMode.PREFER and self._unix):
            return
        if self.server_capabilities & CLIENT.SSL:
            self._client_flag |= CLIENT.SSL
            self._ssl_context = self._context
        elif wanted is not TlsMode.PREFER:
            raise TlsFailed(
                f"{where} offers no TLS, and TLS mode {wanted} asks for it",
                "Switch TLS on at the server, or choose TLS mode prefer if the line is private",
            )

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name in _BROKEN or (plugin_name in _IN_CLEAR and not self._secure):
            raise AuthenticationFailed(
                f"{place(self._target)} asks for the password of {self._target.user} in the clear "
                f"({plugin_name.decode()})",
                "Choose TLS mode verify-full, or give this user another kind of login",
            )
        return await super()._process_auth(plugin_name, auth_packet)

    def abort(self) -> None:
        """End the line at once, without a word to the server."""
        transport, self._transport, self._connected = self._transport, None, False
        if transport is not None:
            transport.abort()


def _context(target: Target) -> ssl.SSLContext | None:
    """How the server's certificate is checked. Sockets have no host name to check."""
    if target.tls is TlsMode.DISABLE:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = target.tls is TlsMode.VERIFY_FULL and not target.host.startswith("/")
    if target.tls not in VERIFYING:
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if trusted := target.tls_ca or system_ca_file():
            context.load_verify_locations(trusted)
    except (OSError, ssl.SSLError):
        raise TlsFailed(
            f"The CA file {target.tls_ca} holds no certificate", "Give the path of the server's CA file"
        ) from None
    return context


async def _first(target: Target, places: list[str], purpose: str, context: ssl.SSLContext | None, end: float) -> Line:
    """A line to the first place that answers; only network failures lead on to the next."""
    failure: EngineError | None = None
    silent = False
    for count, address in enumerate(places):
        share = (end - time.monotonic()) / (len(places) - count)
        try:
            async with asyncio.timeout(max(0.05, share)):
                return await _attempt(target, address, purpose, context)
        except TimeoutError:
            silent = True
        except CannotConnect as error:
            failure = failure or error
    if silent or failure is None:
        raise TimeoutError
    raise failure


async def _attempt(target: Target, address: str, purpose: str, context: ssl.SSLContext | None) -> Line:
    line: Line | None = None
    sock: socket.socket | None = None
    try:
        sock = await reach(target.proxy, target.host, target.port) if target.proxy else await _socket(target, address)
        await _greeting(sock, target)
        line = Line(target, purpose, context, sock)
        sock = None  # the line's from here on
        await line.connect()
        return line
    except (asyncio.CancelledError, MeshagError):
        raise
    except Exception as error:  # the driver stumbles in many ways over what is not a server of its kind
        raise connect_error(error, target, line is not None and line.encrypted) from error
    finally:
        if sock is not None:
            sock.close()


async def _socket(target: Target, address: str) -> socket.socket:
    """A socket connected to the address, or to the server's socket in a folder."""
    unix = address.startswith("/")
    family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        if unix:
            await loop.sock_connect(sock, _socket_file(address))
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
            await loop.sock_connect(sock, (address, target.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        with contextlib.suppress(OSError, AttributeError):  # not every system has them all
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _socket_file(path: str) -> str:
    """The socket itself: the path, or the usual names in it where it is a folder."""
    if not os.path.isdir(path):
        return path
    files = [os.path.join(path, name) for name in _SOCKETS]
    return next((file for file in files if os.path.exists(file)), files[0])


async def _greeting(sock: socket.socket, target: Target) -> None:
    """Wait for the first five bytes, without taking them, and see that they begin a greeting or an error."""
    while True:
        try:
            head = sock.recv(5, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            head = None
        if head is not None and (len(head) == 5 or not head):
            break
        if head is None:
            await _readable(sock)
        else:
            await asyncio.sleep(0.05)  # a few bytes are there, so the socket stays readable
    where = place(target)
    if not head:
        raise CannotConnect(f"{where} closed the connection before it said anything", "Check the port")
    length, sequence, first = int.from_bytes(head[:3], "little"), head[3], head[4]
    if sequence != 0 or not 0 < length <= _GREETING_MAX or first not in (_PROTOCOL, _ERROR):
        raise CannotConnect(
            f"What answers on {where} is not a MySQL or MariaDB server: it begins with {head!r}", "Check the port"
        )


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
