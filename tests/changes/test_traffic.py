"""What the monitored server and its applications notice: nothing of looking, and next to nothing of a change."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator

import psycopg
import pytest

from meshag_tui.app import MeshagApp
from meshag_tui.engines.postgres import ddl
from meshag_tui.settings import Settings
from meshag_tui.types import Analyze, Change, ChangeState, CreateIndex, DropIndex, IndexColumn, IndexSpec, Vacuum
from tests.changes.conftest import BY_CUSTOMER, ROOT, Desk, catalogue, invalid, until
from tests.rig.postgres import Database

WORK = "SELECT * FROM public.orders WHERE customer_id = %s"


def ddl_of(database: Database, begin: int) -> list[str]:
    """Lines of the server's log about DDL of anybody, from a place in it on."""
    log = (database.server.root / "log").read_bytes()[begin:].decode(errors="replace")
    words = ("CREATE", "DROP", "ALTER", "COMMENT", "GRANT", "REINDEX", "TRUNCATE", "VACUUM", "ANALYZE")
    logged = [line for line in log.splitlines() if " LOG:  execute" in line or " LOG:  statement" in line]
    return [line for line in logged if any(word in line for word in words)]


@pytest.mark.slow
async def test_looking_at_everything_changes_nothing(desk: Desk, shop18: Database, settings: Settings) -> None:
    """A walk through all that can be looked at, with a review of every suggestion, on a server that logs all DDL."""
    shop18.execute(
        "INSERT INTO public.orders SELECT i, i % 5000, 'done', i, 'n' FROM generate_series(5001, 60000) i; ANALYZE",
        "CREATE INDEX orders_status_too ON public.orders (status)",
        f"ALTER DATABASE {shop18.name} SET log_statement = 'ddl'",
    )
    before = catalogue(shop18)
    begin = (shop18.server.root / "log").stat().st_size
    bench = desk.bench
    connection = await desk.connect(shop18)
    await bench.connections.test_saved(connection)
    await bench.sync(connection)
    for customer in range(50):
        shop18.fetch(WORK, (customer,))
    await bench.sync(connection)
    found = await bench.advice.suggest(connection)
    assert {"missing-index", "duplicate-index"} <= {each.rule for each in found}
    await bench.connections.doctor(connection)
    reviewed = 0
    for each in found:
        if each.change is not None:
            assert (await bench.hands.review(each.id)).sql
            reviewed += 1
        await bench.advice.mark_reviewed(each.id)
    assert reviewed >= 2
    app = MeshagApp(settings, bench)
    async with app.run_test(size=(120, 40)) as pilot:
        for key in "1234567":
            await pilot.press(key)
            await pilot.pause(0.2)
            await pilot.press("j", "enter", "escape", "g")
            await pilot.pause(0.1)
        await pilot.press("4")
        await pilot.pause(0.3)
        for key in ("a", "u", "d", "r", "n"):
            await pilot.press(key)
            await pilot.pause(0.5)
            await pilot.press("escape")
            await pilot.pause(0.1)
    assert ddl_of(shop18, begin) == []
    assert catalogue(shop18) == before
    await desk.apply(shop18, BY_CUSTOMER)
    assert len(ddl_of(shop18, begin)) == 1, "the log would have shown it"


class Application:
    """Clients that read and write orders all the time, and remember how long each request took, ms."""

    def __init__(self, database: Database) -> None:
        self.took: list[float] = []
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._work, args=(database,)) for _ in range(3)]

    def __enter__(self) -> Application:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def _work(self, database: Database) -> None:
        chance = random.Random(7)
        with database.connect() as connection:
            while not self._stop.is_set():
                started = time.monotonic()
                number = chance.randrange(1, 5000)  # the last row is left to the transaction in the way
                try:
                    with connection.transaction():
                        connection.execute("SELECT note FROM public.orders WHERE id = %s", (number,))
                        connection.execute("UPDATE public.orders SET total = total + 1 WHERE id = %s", (number,))
                except psycopg.Error as error:
                    self.failed.append(str(error))
                self.took.append((time.monotonic() - started) * 1000)
                self._stop.wait(0.01)


CHANGES: list[Change] = [
    BY_CUSTOMER,
    CreateIndex(
        IndexSpec("public", "orders", (IndexColumn("md5(repeat(note, 2000))", is_expression=True),), name="orders_slow")
    ),
    DropIndex("public", "orders", "orders_status"),
    Analyze("public", "orders"),
    Vacuum("public", "orders"),
]


@pytest.mark.soak
async def test_no_request_of_the_application_waits_for_a_change(
    desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)  # the clients of this test are no reason to hold back
    with Application(shop18) as application:
        await asyncio.sleep(1)
        for change in CHANGES:
            row = await desk.apply(shop18, change)
            assert row.state is ChangeState.DONE
            if row.undo_sql is not None:
                await desk.bench.hands.undo(row.id)
        # And one that cannot be had at once: a transaction in the way, which ends by itself.
        blocker = shop18.connect()
        blocker.execute("BEGIN")
        blocker.execute("UPDATE public.orders SET total = 0 WHERE id = 5000")
        applying = asyncio.create_task(desk.apply(shop18, CHANGES[0]))
        await asyncio.sleep(2.5)
        blocker.execute("COMMIT")
        blocker.close()
        assert (await applying).state is ChangeState.DONE
    assert application.failed == []
    assert len(application.took) > 100
    assert max(application.took) <= ddl.LOCK_TIMEOUT_MS + 500
    assert invalid(shop18) == []


@pytest.fixture
def environment(settings: Settings) -> Iterator[dict[str, str]]:
    """What the command sees: the test's store."""
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.home.parent),
        "MESHAG_HOME": str(settings.home),
        "MESHAG_STORE": settings.store_url,
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }


async def test_ctrl_c_cancels_it_on_the_server(desk: Desk, shop18: Database, environment: dict[str, str]) -> None:
    slow = IndexColumn("md5(repeat(note, 40000))", is_expression=True)
    advice = await desk.suggest(shop18, CreateIndex(IndexSpec("public", "orders", (slow,), name="orders_slow")))
    before = catalogue(shop18)
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meshag_tui", "apply", advice.id, "--yes"), env=environment, cwd=ROOT, stderr=PIPE
    )
    await until(lambda: shop18.fetch("SELECT 1 FROM pg_stat_progress_create_index WHERE index_relid <> 0"))
    await asyncio.sleep(0.3)
    command.send_signal(signal.SIGINT)
    said = (await command.communicate())[1].decode()
    assert command.returncode == 1, said
    assert "cancelling it on the server" in said and said.strip().endswith("Cancelled")
    assert catalogue(shop18) == before
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]


async def test_yes_never_accepts_what_blocks_nor_what_is_not_known(
    desk: Desk, shop18: Database, environment: dict[str, str]
) -> None:
    def meshag(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "meshag_tui", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=60)

    watched = await desk.suggest(shop18, BY_CUSTOMER, url=shop18.monitor_url)
    shop18.execute("CREATE TABLE public.bare (id int, n int)")  # takes nothing, so that nothing bounds its index
    bare = CreateIndex(IndexSpec("public", "bare", (IndexColumn("n"),)))
    unknown = await desk.suggest(shop18, bare, size_bytes=None)
    before = catalogue(shop18)
    blocked = await asyncio.to_thread(meshag, "apply", watched.id, "--yes")
    assert blocked.returncode == 1 and "Not run: owner is app" in blocked.stderr
    assert catalogue(shop18) == before and await desk.journal() == ()
    refused = await asyncio.to_thread(meshag, "apply", unknown.id, "--yes")
    assert refused.returncode == 1 and 'To go on without knowing it: --accept "free disk"' in refused.stderr
    assert catalogue(shop18) == before and await desk.journal() == ()
    done = await asyncio.to_thread(meshag, "apply", unknown.id, "--yes", "--accept", "free disk")
    assert done.returncode == 0, done.stderr
    assert "unknown free disk" in done.stdout
    assert [row.state for row in await desk.journal()] == [ChangeState.DONE]
