"""Collects as `meshag collect` does, until SIGTERM, and says how late its event loop was: `collects HOME`.

Each 20 ms is looked whether it comes on time, less what the main thread waited for a processor that others held.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from meshag_tui.workflows.workbench import Workbench
from tests.benchmarks.fleet import settings

_EVERY_S = 0.02


def _waited_s() -> float:
    """What this thread has waited for a processor."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def _watch(lags: list[float]) -> None:
    while True:
        began, waited = time.monotonic(), _waited_s()
        await asyncio.sleep(_EVERY_S)
        late = time.monotonic() - began - _EVERY_S - (_waited_s() - waited)
        lags.append(max(0.0, late * 1000))


async def main(home: Path) -> None:
    lags: list[float] = []
    async with await Workbench.open(settings(home)) as bench:
        await bench.load_rest()
        scheduler = bench.scheduler()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, scheduler.stop)
        watching = asyncio.create_task(_watch(lags))
        await scheduler.run()
        watching.cancel()
    lags.sort()
    print(json.dumps({"p99_ms": lags[int(len(lags) * 0.99)], "most_ms": lags[-1], "looks": len(lags)}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
