"""What is not run, and what the DBA is told: nothing that was not looked at, not any more, or not here."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from meshag_tui.changes import review as reviews
from meshag_tui.changes.record import ChangeRefused
from meshag_tui.engines.base import Gate, Refused
from meshag_tui.engines.postgres import gates as gate_checks
from meshag_tui.settings import Settings
from meshag_tui.store import activity, suggestions
from meshag_tui.types import Analyze, ChangeState, DropIndex, MeshagError, SuggestionStatus, Target
from meshag_tui.workflows.durable import RunFailed
from tests.changes.conftest import BY_CUSTOMER, ROOT, SHOP, Desk, catalogue
from tests.rig.postgres import Database

DROP_STATUS = DropIndex("public", "orders", "orders_status")


async def test_a_review_left_open_must_be_made_again(
    desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    monkeypatch.setattr(reviews, "REVIEW_VALID_MS", 100)
    await asyncio.sleep(0.2)
    with pytest.raises(MeshagError, match="too old"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert await desk.journal() == () and await desk.log() == []
    monkeypatch.undo()
    review = await desk.bench.hands.review(advice.id)
    assert (await desk.bench.hands.apply(advice.id, review.plan_hash)).state is ChangeState.DONE


CHANGED = {
    "another definition": "DROP INDEX orders_status; CREATE INDEX orders_status ON public.orders (status, id)",
    "made again": "DROP INDEX orders_status; CREATE INDEX orders_status ON public.orders (status)",
    "commented": "COMMENT ON INDEX orders_status IS 'needed every December'",
    "gone": "DROP INDEX orders_status",
    "table renamed": "ALTER TABLE public.orders RENAME TO orders_2",
    "table gone": "DROP TABLE public.orders",
}


@pytest.mark.parametrize("meanwhile", CHANGED.values(), ids=CHANGED.keys())
async def test_what_changed_since_it_was_looked_at_is_left_alone(desk: Desk, shop18: Database, meanwhile: str) -> None:
    advice = await desk.suggest(shop18, DROP_STATUS)
    review = await desk.bench.hands.review(advice.id)
    shop18.execute(meanwhile)
    before = catalogue(shop18)
    with pytest.raises(RunFailed, match=r"changed since|There is no index|not of orders"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert catalogue(shop18) == before
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and row.error and row.backend_pid is None
    assert await desk.log() == ["change.planned", "change.failed"]
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.NEW


async def test_a_gate_that_blocks_is_named(desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_checks, "LONGEST_TRANSACTION_S", 0.2)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    before = catalogue(shop18)
    free = await desk.bench.hands.review(advice.id)
    with shop18.connect(application_name="forgotten") as old:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1 FROM public.orders LIMIT 1")
        await asyncio.sleep(0.4)
        blocked = await desk.bench.hands.review(advice.id)
        assert [gate.name for gate in blocked.blocked_by] == ["oldest transaction"]
        assert blocked.plan_hash == free.plan_hash
        with pytest.raises(RunFailed, match=f"oldest transaction .*pid {old.info.backend_pid} .*forgotten"):
            await desk.bench.hands.apply(advice.id, blocked.plan_hash)
    assert catalogue(shop18) == before
    (row,) = await desk.journal()
    assert "block" in [gate["state"] for gate in row.gates]


async def test_unknown_is_no_unless_somebody_goes_on_without_knowing(
    desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_checks, "free_bytes", lambda folder: None)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    assert [gate.name for gate in review.unknown] == ["free disk"] and not review.warned_by
    for accept in ((), ("replica lag",)):
        with pytest.raises(ChangeRefused, match=r'free disk is unknown.*--accept "free disk"'):
            await desk.bench.hands.apply(advice.id, review.plan_hash, accept=accept)
    assert await desk.journal() == ()
    row = await desk.bench.hands.apply(advice.id, review.plan_hash, accept=["free disk"])
    assert row.state is ChangeState.DONE
    entries = await desk.bench.store(lambda: activity.recent(50, kind="change.planned"))
    assert "without knowing free disk" in entries[0].message


async def test_a_warning_is_accepted_with_the_review_that_showed_it(
    desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Gate("active sessions", "9", "< 4", "warn", "The server is busy")
    monkeypatch.setattr(gate_checks, "_load", lambda *_: busy)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    assert review.warned_by == (busy,)
    assert (await desk.bench.hands.apply(advice.id, review.plan_hash)).state is ChangeState.DONE
    entries = await desk.bench.store(lambda: activity.recent(50, kind="change.planned"))
    assert "warned of active sessions" in entries[0].message


async def test_a_warning_nobody_has_seen_stops_it(
    desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    assert review.warned_by == ()
    monkeypatch.setattr(gate_checks, "free_bytes", lambda folder: None)
    with pytest.raises(RunFailed, match=r"free disk is unknown.*look again"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]


async def test_a_role_that_only_watches_changes_nothing(desk: Desk, shop18: Database) -> None:
    before = catalogue(shop18)
    for change in (BY_CUSTOMER, DROP_STATUS, Analyze("public", "orders")):
        advice = await desk.suggest(shop18, change, url=shop18.monitor_url)
        review = await desk.bench.hands.review(advice.id)
        assert [gate.name for gate in review.blocked_by] == ["owner"]
        assert "GRANT" in review.blocked_by[0].detail
        with pytest.raises(RunFailed, match=r"owner is app.*GRANT"):
            await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert catalogue(shop18) == before
    assert {row.state for row in await desk.journal()} == {ChangeState.FAILED}


async def test_without_the_gate_the_server_denies_it_and_nothing_is_half_done(
    desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role may lose its rights between the gate and the statement."""

    async def lets_everything_through(*_: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(gate_checks, "gates", lets_everything_through)
    before = catalogue(shop18)
    for change in (BY_CUSTOMER, DROP_STATUS):
        advice = await desk.suggest(shop18, change, url=shop18.monitor_url)
        review = await desk.bench.hands.review(advice.id)
        with pytest.raises(RunFailed, match=r"lacks a right.*(no index|is as before)") as denied:
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert denied.value.code == "permission"
    assert catalogue(shop18) == before
    assert {row.state for row in await desk.journal()} == {ChangeState.FAILED}


async def test_what_is_decided_otherwise_is_not_applied(desk: Desk, shop18: Database) -> None:
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    await desk.bench.advice.dismiss(advice.id, "not now")
    for ask in (desk.bench.hands.review(advice.id), desk.bench.hands.apply(advice.id, review.plan_hash)):
        with pytest.raises(MeshagError, match="dismissed"):
            await ask
    for_a_person = await desk.suggest(shop18, None)
    with pytest.raises(MeshagError, match="no statement to run"):
        await desk.bench.hands.review(for_a_person.id)
    assert await desk.journal() == ()


async def test_a_connection_marked_read_only_is_never_changed(desk: Desk, shop18: Database) -> None:
    before = catalogue(shop18)
    done = await desk.apply(shop18, BY_CUSTOMER)
    advice = await desk.suggest(shop18, DROP_STATUS)
    review = await desk.bench.hands.review(advice.id)
    changed = catalogue(shop18)
    await desk.bench.connections.edit(advice.connection_id, read_only=True)
    for ask in (
        desk.bench.hands.review(advice.id),
        desk.bench.hands.apply(advice.id, review.plan_hash),
        desk.bench.hands.review_undo(done.id),
        desk.bench.hands.undo(done.id),
    ):
        with pytest.raises(MeshagError, match="marked read-only"):
            await ask
    assert catalogue(shop18) == changed
    await desk.bench.connections.edit(advice.connection_id, read_only=False)
    await desk.bench.hands.undo(done.id)
    assert catalogue(shop18) == before


READ_ONLY = """
import asyncio, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.types import MeshagError
from meshag_tui.workflows.workbench import Workbench

async def refused(ask):
    try:
        await ask
    except MeshagError as error:
        assert "read-only" in str(error), error
    else:
        raise AssertionError("it was done")

async def main():
    home, store, suggestion, change = sys.argv[1:]
    async with await Workbench.open(Settings(home=Path(home), store_url=store, read_only=True)) as bench:
        await refused(bench.hands.review(suggestion))
        await refused(bench.hands.undo(change))
        await refused(bench.hands.review_undo(change))
        await bench.scheduler().once()
        assert "meshag_tui.changes.apply" not in sys.modules

asyncio.run(main())
"""


async def test_in_a_read_only_process_the_code_that_applies_is_not_even_loaded(
    desk: Desk, shop18: Database, settings: Settings
) -> None:
    done = await desk.apply(shop18, BY_CUSTOMER)
    advice = await desk.suggest(shop18, DROP_STATUS)
    before = catalogue(shop18)
    script = [sys.executable, "-c", READ_ONLY, str(settings.home), settings.store_url, advice.id, done.id]
    ended = await asyncio.to_thread(subprocess.run, script, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert catalogue(shop18) == before


async def test_a_server_that_became_a_standby_is_refused(desk: Desk, private_pg: Callable[..., Database]) -> None:
    database = private_pg(18, settings={"wal_level": "replica", "hot_standby": "on"})
    database.execute(SHOP)
    advice = await desk.suggest(database, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    database.server.stop()
    (database.server.root / "data" / "standby.signal").touch()
    database.server.start()
    with pytest.raises(RunFailed, match="standby"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]
    with pytest.raises(Refused, match="standby"):
        await desk.bench.hands.review(advice.id)


async def test_another_server_at_the_same_address_is_not_taken_for_the_one_reviewed(
    desk: Desk, shop18: Database, pg15: Database
) -> None:
    pg15.execute(SHOP)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    await desk.bench.connections.edit(advice.connection_id, target=Target.from_url(pg15.url))
    before = catalogue(pg15)
    with pytest.raises(RunFailed, match="changed since"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert catalogue(pg15) == before
