"""Making a connection to a PostgreSQL server that really ends by a deadline and depends on its target alone.

In: a Target, the settings a session starts with, seconds. Out: a psycopg connection in autocommit, and the relay if
it goes through a proxy. libpq is polled here rather than through `AsyncConnection.connect`, which reads PG* variables
of the environment, and whose deadline is its own. Addresses are tried in turn, each with its share of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.address import VERIFYING, addresses, check, no_answer, system_ca_file
from meshag_tui.engines.base import CannotConnect, EngineError
from meshag_tui.engines.postgres.certificate import why_untrusted
from meshag_tui.engines.postgres.errors import connect_error
from meshag_tui.engines.proxy import Relay
from meshag_tui.types import Target, TlsMode

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn


async def dial(
    target: Target, application_name: str, settings: Mapping[str, str], seconds: float
) -> tuple[psycopg.AsyncConnection[tuple[Any, ...]], Relay | None, bool]:
    """Connect within `seconds`.

    Returns the connection, the relay of a proxied one, and whether the server took `settings` as start-up options: a
    pooler may refuse them, and then they are for the caller to set for each transaction.

    Raises:
        EngineError: CannotConnect, AuthenticationFailed, TlsFailed, NoSuchDatabase, PermissionDenied.
        UsageError: the proxy's URL cannot be read, or a proxy is asked for a Unix socket.
    """
    check(target)
    end = time.monotonic() + seconds
    relay: Relay | None = None
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + seconds):
            if target.proxy:
                relay = Relay(target.proxy, target.host, target.port)
                places = [("127.0.0.1", await relay.open())]
            else:
                places = [(address, target.port) for address in await addresses(target)]
        try:
            pgconn = await _first(target, places, _options(settings), application_name, end)
            took = True
        except _OptionsRefused:
            pgconn = await _first(target, places, None, application_name, end)
            took = False
    except TimeoutError:
        _close(relay)
        raise no_answer(target, seconds) from None
    except BaseException as error:
        _close(relay)
        if relay is not None and relay.failure is not None and isinstance(error, EngineError):
            raise relay.failure from None
        raise
    if relay is not None:
        relay.stop_listening()
    return await _wrap(pgconn), relay, took


class _OptionsRefused(Exception):
    """A pooler does not take start-up options."""


async def _first(
    target: Target, places: list[tuple[str, int]], options: str | None, application_name: str, end: float
) -> PGconn:
    """A connection to the first place that answers; only network failures lead on to the next."""
    failure: EngineError | None = None
    silent = False
    for number, (address, port) in enumerate(places):
        share = (end - time.monotonic()) / (len(places) - number)
        try:
            return await _attempt(target, address, port, options, application_name, share)
        except TimeoutError:
            silent = True
        except CannotConnect as error:
            failure = failure or error
    if silent or failure is None:
        raise TimeoutError
    raise failure


async def _attempt(
    target: Target, address: str, port: int, options: str | None, application_name: str, seconds: float
) -> PGconn:
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    conninfo = make_conninfo("", **_parameters(target, address, port, options, application_name))
    with _own_environment():
        pgconn = pq.PGconn.connect_start(conninfo.encode())
    connected = False
    try:
        async with asyncio.timeout(max(0.05, seconds)):
            while pgconn.status != pq.ConnStatus.BAD:
                state = pgconn.connect_poll()
                if state == pq.PollingStatus.OK:
                    connected = True
                    return pgconn
                if state == pq.PollingStatus.FAILED:
                    break
                await ready(pgconn.socket, write=state == pq.PollingStatus.WRITING)
            said = pgconn.error_message.decode("utf-8", "replace")
            if options is not None and "unsupported startup parameter" in said:
                raise _OptionsRefused
            if "certificate verify failed" in said and not address.startswith("/"):
                trusted = target.tls_ca or _trusted(target.tls)
                said += f": {await why_untrusted(address, port, trusted, seconds / 2) or 'for no reason it gives'}"
            raise connect_error(said, target)
    finally:
        if not connected:
            pgconn.finish()


async def ready(fd: int, write: bool) -> None:
    """Wait until a socket can be read (or written)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, wake)
    try:
        await done
    finally:
        remove(fd)


async def _wrap(pgconn: PGconn) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    import psycopg

    pgconn.nonblocking = 1
    connection = psycopg.AsyncConnection(pgconn)
    await connection.set_autocommit(True)
    connection.prepare_threshold = None
    return connection


def parameters(target: Target, application_name: str, options: str) -> dict[str, str | int | None]:
    """libpq's parameters for whoever connects in a thread, where nobody waits: libpq looks the host up itself."""
    return _parameters(target, "/", target.port, options, application_name)


def _parameters(
    target: Target, address: str, port: int, options: str | None, application_name: str
) -> dict[str, str | int | None]:
    """libpq's parameters. What is left out here is taken from the environment, which `_own_environment` empties."""
    unix = address.startswith("/")
    return {
        "host": target.host,
        "hostaddr": None if unix else address,
        "port": port,
        "dbname": target.database,
        "user": target.user,
        "password": target.password.reveal() if target.password else None,  # None: libpq looks into ~/.pgpass
        "sslmode": str(target.tls),
        "sslrootcert": target.tls_ca or _trusted(target.tls),
        "gssencmode": "disable",
        "client_encoding": "UTF8",
        "application_name": application_name,
        "options": options,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }


def _trusted(mode: TlsMode) -> str | None:
    """Whom to trust when the connection names no CA file: libpq's own file of the user, else the system's bundle."""
    if mode not in VERIFYING or (Path.home() / ".postgresql" / "root.crt").exists():
        return None
    return system_ca_file()


def _options(settings: Mapping[str, str]) -> str:
    """Start-up options; blanks and backslashes in a value are escaped as the server wants them."""
    words = []
    for name, value in settings.items():
        escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
        words.append(f"-c {name}={escaped}")
    return " ".join(words)


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Take PG* variables away while libpq reads its parameters: a target must mean the same in every shell.

    libpq reads them in PQconnectStart only, so they are gone for microseconds and nothing awaits meanwhile.
    """
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(taken)


def _close(relay: Relay | None) -> None:
    if relay is not None:
        relay.close()
