"""Where a server is and who vouches for it: what every engine asks before it dials.

In: a Target. Out: the addresses to try in turn, the file of authorities to trust, and the words for a host that says
nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path

from meshag_tui.engines.base import CannotConnect, TlsFailed
from meshag_tui.types import Target, TlsMode, UsageError

VERIFYING = (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def check(target: Target) -> None:
    """Refuse what cannot be dialled, before anything is.

    Raises:
        CannotConnect: the host cannot be one.
        TlsFailed: the CA file cannot be read.
        UsageError: a proxy is asked for a Unix socket.
    """
    if target.proxy and target.host.startswith("/"):
        raise UsageError("A proxy needs a host name, not the folder of a Unix socket")
    if "\0" in f"{target.host}{target.user}{target.database}" or "," in target.host:
        raise CannotConnect(f"{target.host!r} cannot be the name of a host")
    if target.tls_ca and target.tls in VERIFYING:
        try:
            Path(target.tls_ca).read_bytes()
        except OSError as error:
            raise TlsFailed(
                f"The CA file {target.tls_ca} cannot be read: {error.strerror}", "Give the path of the server's CA file"
            ) from None


async def addresses(target: Target) -> list[str]:
    """The addresses of the host, in the resolver's order; a socket is its own."""
    if target.host.startswith("/"):
        return [target.host]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise CannotConnect(f"The host name {target.host} is not known", "Check the host's name") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def no_answer(target: Target, seconds: float, fix: str | None = None) -> CannotConnect:
    """The error for a server that took the connection, or did not, and said nothing in time."""
    way = f" through the proxy {target.proxy.rpartition('@')[2].rpartition('/')[2]}" if target.proxy else ""
    return CannotConnect(
        f"No answer from {target.host}:{target.port}{way} within {seconds:g} s",
        fix or "Check that the host is up and that no firewall drops the packets",
    )


def system_ca_file() -> str | None:
    """The system's bundle of authorities, trusted where a connection names no CA file."""
    known = ssl.get_default_verify_paths().cafile
    return next((path for path in (known, *_CA_FILES) if path and os.path.exists(path)), None)
