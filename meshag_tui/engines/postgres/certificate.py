"""Why a server's certificate was not trusted: libpq says only that it was not, so we look at it ourselves."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


async def why_untrusted(address: str, port: int, ca_file: str | None, seconds: float) -> str | None:
    """What OpenSSL holds against the certificate ("certificate has expired"), None if it cannot be told in time.

    One more handshake, after a connect has failed because of it; nothing is sent but the request for TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # another name is another error, and libpq says that one
    with contextlib.suppress(OSError, ssl.SSLError):
        context.load_verify_locations(ca_file)
    revoked = Path.home() / ".postgresql" / "root.crl"  # where libpq looks by itself
    if revoked.exists():
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_verify_locations(revoked)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(_SSL_REQUEST)
            if await reader.readexactly(1) == b"S":
                await writer.start_tls(context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    finally:
        if writer is not None:
            writer.transport.abort()
    return None
