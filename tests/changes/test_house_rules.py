"""The gates that are ours: a window of the week, who must have agreed, and the object that was advised on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from meshag_tui.maintenance import DAYS, maintenance_window
from meshag_tui.settings import ChangeSettings, Settings
from meshag_tui.store import suggestions
from meshag_tui.types import ChangeState, DropIndex, SuggestionStatus, UsageError
from meshag_tui.workflows.durable import RunFailed
from meshag_tui.workflows.workbench import Workbench
from tests.changes.conftest import BY_CUSTOMER, Corner, Desk
from tests.rig.postgres import Database

MONDAY = datetime(2026, 11, 30)


@pytest.mark.parametrize(
    ("text", "day", "clock", "is_open"),
    [
        ("Sat,Sun 00:00-24:00", 5, "13:00", True),
        ("Sat,Sun 00:00-24:00", 0, "13:00", False),
        ("Sat 22:00-04:00", 5, "23:00", True),
        ("Sat 22:00-04:00", 6, "03:59", True),
        ("Sat 22:00-04:00", 6, "04:00", False),
        ("Sat 22:00-04:00", 5, "03:00", False),
        ("Mon-Fri 12:30-13:00", 2, "12:30", True),
        ("Mon-Fri 12:30-13:00", 2, "13:00", False),
        ("Fri-Mon 01:00-02:00", 0, "01:30", True),
        ("Fri-Mon 01:00-02:00", 3, "01:30", False),
        ("Sun 23:00-01:00; wed 9:00-10:00", 0, "00:30", True),
        ("Sun 23:00-01:00; wed 9:00-10:00", 2, "09:30", True),
    ],
)
def test_a_window_is_open_or_shut(text: str, day: int, clock: str, is_open: bool) -> None:
    hour, minute = map(int, clock.split(":"))
    assert maintenance_window(text).is_open(MONDAY + timedelta(days=day, hours=hour, minutes=minute)) is is_open


@pytest.mark.parametrize("text", ["Sat", "22:00-04:00", "Sat 25:00-26:00", "Sat 10:70-11:00", "Someday 1:00-2:00", ";"])
def test_what_is_no_window_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="no maintenance window"):
        maintenance_window(text)


def shut() -> str:
    """A window that is shut now and for the next day."""
    return f"{DAYS[(datetime.now().weekday() + 3) % 7]} 00:00-24:00"


@pytest.fixture
async def strict(settings: Settings) -> AsyncIterator[Desk]:
    """A desk where changes are made in a window only, which is shut, and ada must have agreed."""
    rules = ChangeSettings(window=shut(), windows={"shop1": "Mon-Sun 00:00-24:00"}, approvers="ada, bob")
    async with await Workbench.open(settings._replace(changes=rules)) as bench:
        yield Desk(bench)


async def test_outside_its_window_nothing_begins(strict: Desk, corner: Corner) -> None:
    advice = await strict.suggest(corner.database, corner.by_customer)
    await strict.bench.advice.mark_reviewed(advice.id, "ada")
    before = corner.catalogue()
    review = await strict.bench.hands.review(advice.id)
    (gate,) = review.blocked_by
    assert (gate.name, gate.limit) == ("maintenance window", shut())
    with pytest.raises(RunFailed, match=r"maintenance window is .* must be"):
        await strict.bench.hands.apply(advice.id, review.plan_hash)
    assert corner.catalogue() == before


async def test_each_connection_may_have_its_own_and_an_undo_only_warns(strict: Desk, corner: Corner) -> None:
    await strict.suggest(corner.database, corner.by_customer)
    advice = await strict.suggest(corner.database, corner.by_customer, url=corner.database.socket_url)  # is shop1
    review = await strict.bench.hands.review(advice.id)
    assert [gate.name for gate in review.blocked_by] == ["approved by"] and review.blocked_by[0].value == "nobody"
    with pytest.raises(RunFailed, match="approved by is nobody"):
        await strict.bench.hands.apply(advice.id, review.plan_hash, actor="eve")
    await strict.bench.advice.mark_reviewed(advice.id, "bob")
    review = await strict.bench.hands.review(advice.id)
    assert [gate.value for gate in review.gates if gate.name == "approved by"] == ["bob"]
    row = await strict.bench.hands.apply(advice.id, review.plan_hash, actor="eve")
    assert row.state is ChangeState.DONE
    _, undo = await strict.bench.hands.review_undo(row.id)
    assert undo.blocked_by == () and "approved by" not in {gate.name for gate in undo.gates}
    await strict.bench.hands.undo(row.id, undo.plan_hash, actor="eve")


async def test_an_approver_needs_no_other(strict: Desk, corner: Corner) -> None:
    await strict.suggest(corner.database, corner.by_customer)
    advice = await strict.suggest(corner.database, corner.by_customer, url=corner.database.socket_url)
    review = await strict.bench.hands.review(advice.id)
    assert (await strict.bench.hands.apply(advice.id, review.plan_hash, actor="ada")).state is ChangeState.DONE


async def test_an_object_that_is_another_than_when_advised_is_left_alone(desk: Desk, shop18: Database) -> None:
    advice = await desk.suggest(shop18, DropIndex("public", "orders", "orders_status"))
    first = await desk.bench.hands.review(advice.id)
    known = {name: first.catalogue[name] for name in ("table_oid", "definition")}
    found = await desk.bench.store(suggestions.get, advice.id)

    def advise_again() -> None:
        from meshag_tui.store import models

        evidence = {**found.evidence, "object": known}
        models.Suggestion.update(evidence=evidence).where(models.Suggestion.id == advice.id).execute()

    await desk.bench.store(advise_again)
    review = await desk.bench.hands.review(advice.id)
    assert [gate.state for gate in review.gates if gate.name == "object as when advised"] == ["pass"]
    shop18.execute("DROP INDEX orders_status; CREATE INDEX orders_status ON orders (status, id)")
    review = await desk.bench.hands.review(advice.id)
    (gate,) = review.blocked_by
    assert (
        gate.name == "object as when advised" and "(status, id)" in gate.detail and gate.value == "another definition"
    )
    with pytest.raises(RunFailed, match="object as when advised"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert found.status is SuggestionStatus.NEW


async def test_the_length_of_a_new_name_is_shown_in_bytes(desk: Desk, shop18: Database) -> None:
    named = replace(BY_CUSTOMER, spec=replace(BY_CUSTOMER.spec, name="é" * 31))
    review = await desk.bench.hands.review((await desk.suggest(shop18, named)).id)
    (gate,) = [gate for gate in review.gates if gate.name == "length of the name"]
    assert (gate.value, gate.limit, gate.state) == ("62 bytes", "≤ 63 bytes", "pass")
