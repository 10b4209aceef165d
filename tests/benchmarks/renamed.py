"""One server under many names: relays to it that each have it call itself otherwise: `renamed PORT IDENTIFIER NUMBER`.

So one PostgreSQL stands for many: what tells servers apart is its system identifier, of which each relay hands on
another of the same length. Prints the relays' ports as JSON, and runs until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, old: bytes, new: bytes) -> None:
    try:
        while chunk := await source.read(65_536):
            sink.write(chunk.replace(old, new))
            await sink.drain()
    except OSError:  # the other side is gone
        pass
    finally:
        sink.close()


async def main(port: int, identifier: str, number: int) -> None:
    ports, listening = [], []
    for which in range(number):
        other = f"{int(identifier) - 1 - which}".encode()

        async def relay(near: asyncio.StreamReader, back: asyncio.StreamWriter, other: bytes = other) -> None:
            far, forth = await asyncio.open_connection("127.0.0.1", port)
            old = identifier.encode()
            await asyncio.gather(_pump(near, forth, old, old), _pump(far, back, old, other))

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        listening.append(server)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
