"""The shop at work: several sessions, from a thread of their own (the app's event loop never waits for them).

In: where sessions of a loaded shop come from, and a rate. Out: traffic, until stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading

from meshag_tui.demo.jobs import OFFICE, PROGRAMS
from meshag_tui.demo.shopper import Job, Sessions


class Workload:
    """The traffic. `statements` counts what was executed, `last_error` is the latest trouble (empty: none)."""

    def __init__(self, sessions: Sessions, *, rate: float = 40, seed: int = 1) -> None:
        """Traffic of about `rate` jobs a second; equal seeds make equal choices."""
        self._sessions, self._rate, self._seed = sessions, rate, seed
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._all: asyncio.Task[None] | None = None
        self.statements = 0
        self.last_error = ""

    @property
    def running(self) -> bool:
        """Whether the sessions are at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Open the sessions, in a thread of their own."""
        if not self.running:
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, name="shop-workload", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 10) -> None:
        """Cancel what runs and close the sessions."""
        self._stop.set()
        if self._loop is not None and self._all is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._all.cancel)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        asyncio.run(self._programs())

    async def _programs(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._all = asyncio.create_task(self._together())
        if self._stop.is_set():
            self._all.cancel()
        await asyncio.wait([self._all])

    async def _together(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, (name, jobs, share) in enumerate(PROGRAMS):
                if name == OFFICE:
                    jobs += self._sessions.dialect.office
                group.create_task(
                    self._program(name, jobs, self._rate * share, random.Random(self._seed * 100 + number))
                )

    async def _program(self, name: str, jobs: tuple[tuple[Job, int], ...], rate: float, chance: random.Random) -> None:
        """One session; a lost connection is opened again, as a program under a supervisor would."""
        work, weights = [job for job, _ in jobs], [weight for _, weight in jobs]
        while True:
            try:
                async with self._sessions.open(name, chance, self._counted) as shopper:
                    while True:
                        await asyncio.sleep(chance.expovariate(rate))
                        try:
                            await chance.choices(work, weights)[0](shopper)
                        except self._sessions.errors as error:
                            self.last_error = f"{name}: {error}"
                            if shopper.broken:
                                raise
            except self._sessions.errors as error:
                self.last_error = f"{name}: {error}"
                await asyncio.sleep(1)

    def _counted(self) -> None:
        self.statements += 1
