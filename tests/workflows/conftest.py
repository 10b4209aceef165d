"""An open store with a runner on it, and other processes that work on the same store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from meshag_tui.settings import AdviceSettings, LlmSettings, Settings
from meshag_tui.store import history
from meshag_tui.store.database import Store
from meshag_tui.types import Target
from meshag_tui.workflows.durable import Runner
from meshag_tui.workflows.notices import Notices
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm
from tests.rig.postgres import Database
from tests.rig.stores import put_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, on either database in turn."""
    store = Store.open(store_url)
    yield store
    store.close()


@pytest.fixture
async def runner(store: Store) -> AsyncIterator[Runner]:
    """A runner without workflows, its lease short."""
    runner = Runner(store, Notices(), lease_ms=1_500)
    yield runner
    await runner.close()


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python script as another process: `other_process(text, *arguments)`; killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: str) -> subprocess.Popen[str]:
        script = tmp_path / f"other{len(started)}.py"
        script.write_text(text)
        command = [sys.executable, str(script), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
async def shop_bench(tmp_path: Path, fake_llm: FakeLlm) -> AsyncIterator[Workbench]:
    """A workbench on an empty store, with a model of its own."""
    llm = LlmSettings(base_url=fake_llm.base_url, model="m1", timeout_s=5)
    advice = AdviceSettings(what_if="off")  # no sandbox is made: advice is reckoned, at once
    settings = Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"), llm=llm, advice=advice)
    async with await Workbench.open(settings) as bench:
        yield bench


@pytest.fixture
async def slow(shop_bench: Workbench, pg18: Database) -> history.QueryRow:
    """A watched statement that reads all of a table."""
    pg18.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, note text)",
        "INSERT INTO orders SELECT n, n % 3000, repeat('x', 50) FROM generate_series(1, 30000) n",
    )
    pg18.execute("VACUUM ANALYZE orders")
    added = await shop_bench.connections.add("shop", Target.from_url(pg18.url))
    await shop_bench.sync(added.id)
    for customer in range(12):
        pg18.execute(f"SELECT note FROM orders WHERE customer_id = {customer} /* hunter2-canary */")
    await shop_bench.sync(added.id)
    window = await shop_bench.store(history.latest_window, added.id, 3_600_000)
    page = await shop_bench.store(history.queries, added.id, window)
    return next(row for row in page.rows if "FROM orders" in (row.text or ""))
