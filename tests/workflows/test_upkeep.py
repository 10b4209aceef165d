"""The store's own upkeep: copies made when they are due, what it takes and how it grew, what took long in it."""

from __future__ import annotations

import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import BackupSettings, Settings
from meshag_tui.store import copies, database, executions, models, remembered, seed
from meshag_tui.store.database import Store
from meshag_tui.types import ExecutionState, Finding, MeshagError
from meshag_tui.workflows import upkeep
from meshag_tui.workflows.workbench import Workbench
from tests.cli.conftest import Meshag, meshag, must
from tests.rig.small_disk import SmallDisks
from tests.rig.stores import put_store
from tests.workflows.test_all_or_nothing import everything

__all__ = ["meshag", "must"]

HOUR_MS = 3_600_000


def settings_of(home: Path, store_url: str, **backup: Any) -> Settings:
    return Settings(home=home, store_url=store_url, backup=BackupSettings(**backup))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """A seeded SQLite store, copied each hour, of which two copies are kept."""
    settings = settings_of(tmp_path, put_store(tmp_path / "store.db"), every_h=1.0, keep=2)
    async with await Workbench.open(settings) as bench:
        await bench.store(seed.seed, bench.vault)
        yield bench


async def tidied(bench: Workbench) -> executions.ExecutionInfo:
    outcome = await bench.runner.submit(upkeep.KIND, "store")
    return await bench.store.read(executions.get, outcome.execution_id)


async def hours_pass(bench: Workbench, hours: float) -> None:
    def earlier() -> None:
        last = remembered.recall("backup.last")
        remembered.remember("backup.last", {**last, "at": last["at"] - round(hours * HOUR_MS)})

    await bench.store(earlier)


def copies_in(folder: Path) -> list[Path]:
    """The copies, each of which has its sum beside it, the oldest first."""
    names = {path.name for path in folder.iterdir()}
    found = [path for path in folder.iterdir() if path.suffix != ".sha256"]
    assert names == {path.name for path in found} | {f"{path.name}.sha256" for path in found}
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


async def finding(bench: Workbench, code: str) -> Finding:
    found = await upkeep.store_findings(bench.store, bench.settings)
    return next(each for each in found if each.code == code)


async def test_copies_are_made_when_due_and_can_be_restored(bench: Workbench, tmp_path: Path) -> None:
    assert "none was made yet" in (await finding(bench, "backup")).detail
    before = await bench.store(everything)
    first = Path((await tidied(bench)).result["backup"])
    folder = first.parent
    assert folder == tmp_path / "backups" and stat.S_IMODE(folder.stat().st_mode) == 0o700
    seal = first.with_name(first.name + ".sha256")
    assert {stat.S_IMODE(each.stat().st_mode) for each in (first, seal)} == {0o600}
    assert (await tidied(bench)).result["backup"] is None, "not due yet"
    said = await finding(bench, "backup")
    assert said.severity == "ok" and "every 1 h, the last," in said.detail and str(first) in said.detail
    for _ in range(2):
        await hours_pass(bench, 1.01)
        assert (await tidied(bench)).result["backup"]
    there = copies_in(folder)
    assert len(there) == 2 and first not in there, "the two newest"
    oldest = there[0]
    await bench.store(lambda: models.Project.delete().execute())
    await bench.close()

    url = bench.settings.store_url
    whole = oldest.read_bytes()
    oldest.write_bytes(whole.replace(b"Ada Example", b"Eve Example"))
    with pytest.raises(MeshagError, match="not as it was written"):
        copies.restore(url, oldest)
    oldest.write_bytes(whole)
    copies.restore(url, oldest)
    store = Store.open(url)
    restored = store.run(everything)
    store.close()
    kept = ("users", "project", "connection", "activity")
    assert {name: restored[name] for name in kept} == {name: before[name] for name in kept}


async def test_a_copy_that_has_no_room_fails_its_run_and_the_store_goes_on(
    small_disks: SmallDisks, bench: Workbench, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    small_disks.replace(folder, 4)
    bench.settings = settings_of(tmp_path, bench.settings.store_url, every_h=1.0, folder=str(folder))
    run = await tidied(bench)
    assert run.state is ExecutionState.FAILED and "MB free" in (run.error or "") and "[backup]" in (run.error or "")
    assert list(folder.iterdir()) == []
    assert await bench.store(remembered.recall, "backup.last") is None


async def test_none_is_made_unasked_or_of_postgresql(store_url: str, tmp_path: Path) -> None:
    every = 0.0 if store_url.startswith("sqlite") else 1.0
    async with await Workbench.open(settings_of(tmp_path, store_url, every_h=every)) as bench:
        run = await tidied(bench)
        assert run.state is ExecutionState.DONE and run.result["backup"] is None and run.result["bytes"] > 0
        codes = {each.code for each in await upkeep.store_findings(bench.store, bench.settings)}
        assert ("backup" in codes) == (bench.store.kind == "sqlite")


async def test_what_the_store_takes_how_it_grew_and_what_took_long_are_said(
    bench: Workbench, meshag: Meshag, must: Any
) -> None:
    await tidied(bench)

    def fill() -> None:
        models.Setting.insert_many([{"key": f"k{n}", "value": "x" * 2000} for n in range(1000)]).execute()

    def wait_long() -> None:
        time.sleep(1.5)

    await bench.store(fill)
    await bench.store.read(wait_long)
    said = await finding(bench, "store")
    assert "MB more than" in said.detail
    slow = await finding(bench, "store-slow")
    assert slow.severity == "info" and "wait_long, read 1 time: " in slow.detail
    assert any(each["name"].endswith("wait_long") for each in (await tidied(bench)).result["slowest"])
    meshag.environment["MESHAG_STORE"] = bench.settings.store_url
    shown = must("store", "status")
    assert shown["slowest"][0]["longest_ms"] >= 1_500 and shown["before"]["bytes"] < shown["sizes"]["total_bytes"]
    assert shown["backup"]["bytes"] > 0
    lines = meshag("store", "status").out
    assert "growth " in lines and "slowest " in lines and "backup " in lines


def test_a_backup_by_hand_has_its_sum_too(tmp_path: Path) -> None:
    store = Store.open(put_store(tmp_path / "store.db"))
    made = copies.backup(store, tmp_path / "copy.db")
    assert store.run(database.now_ms) > 0
    store.close()
    summed = (tmp_path / "copy.db.sha256").read_text().split()
    assert summed[1] == made.name and len(summed[0]) == 64
