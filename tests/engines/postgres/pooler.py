"""What a pooler in transaction mode does to a session's start-up options, in front of a real server."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

_TLS_ASKED = 80877103


@asynccontextmanager
async def pooler(port: int | None, options: Literal["refuse", "drop"]) -> AsyncIterator[int]:
    """A relay to `port` that refuses start-up options, as PgBouncer does, or drops them (ignore_startup_parameters)."""
    tasks: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            sink.write(chunk)
            await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parameters = await _start_up(reader, writer)
        if options == "refuse" and b"options" in parameters:
            message = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            writer.write(b"E" + struct.pack(">I", len(message) + 4) + message)
            await writer.drain()
            writer.close()
            return
        parameters.pop(b"options", None)
        body = struct.pack(">I", 196608) + b"".join(k + b"\0" + v + b"\0" for k, v in parameters.items()) + b"\0"
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        far_writer.write(struct.pack(">I", len(body) + 4) + body)
        tasks.add(asyncio.create_task(pump(reader, far_writer)))
        tasks.add(asyncio.create_task(pump(far_reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[bytes, bytes]:
    while True:
        size, protocol = struct.unpack(">II", await reader.readexactly(8))
        body = await reader.readexactly(size - 8)
        if protocol != _TLS_ASKED:
            words = body.rstrip(b"\0").split(b"\0")
            return dict(zip(words[::2], words[1::2], strict=True))
        writer.write(b"N")
