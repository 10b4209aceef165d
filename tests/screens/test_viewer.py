"""Who may only look at a shared store is refused nothing that was not asked for, and fills in no form in vain."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from meshag_tui.screens.health import HealthPane
from meshag_tui.screens.keys import ACTIONS
from meshag_tui.screens.models import ModelsPane
from meshag_tui.settings import Settings
from meshag_tui.store import models, people
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Target
from meshag_tui.widgets.status import StatusLine
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.screens.conftest import Open

LOOKING = {"reconcile", "by", "removed", "cases"}
"""Verbs of lists that only look."""


@pytest.fixture
async def shared(pg18: Database, settings: Settings) -> AsyncIterator[Workbench]:
    """The workbench of di, who is viewer in a team of two."""
    there = settings._replace(store_url=pg18.url)
    store = Store.open(pg18.url)
    bench = Workbench(there, store, Vault.open(there, {}), "di")
    ada = Workbench(there, store, Vault.open(there, {}), "ada")
    await ada.connections.add("shop", Target.from_url("postgresql://a@127.0.0.1:1/shop"))
    await ada.community.add_user("di@example.com", "Di", "viewer")
    yield bench
    await bench.close()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_a_viewer_is_refused_nothing_but_what_is_asked_for(
    shared: Workbench, at_desk: Open, size: tuple[int, int]
) -> None:
    async with at_desk(shared, size=size, collect=True) as desk:
        said = await desk.until("viewer")
        line = desk.app.screen_stack[0].query_one(StatusLine)
        await desk.until(lambda _: not line.status.work)
        assert "this takes" not in said and line.notice == ("", ""), "nobody asked for a sync"
        assert "runner" not in vars(shared), "nothing is synced"
        for keys, shown in (
            (("r",), "Sync: Di is viewer here"),
            (("n",), "Advise: Di is viewer here"),
            (("1", "i"), "Add: Di is viewer here"),
            (("E",), "Edit: Di is viewer here"),
            (("A", "i"), "Add: Di is viewer here"),
        ):
            await desk.press(*keys)
            await desk.until(shown)
            assert len(desk.app.screen_stack) == 1, "no form opened"
        for _ in ModelsPane.kinds:
            await desk.press("f")
            await desk.press("i")
            assert len(desk.app.screen_stack) == 1
        # What only looks works, and more of the list says why the rest does not.
        await desk.press("f", "f")
        await desk.until("[Sums]")
        await desk.press("m")
        await desk.until("Sum by another thing")
        await desk.press("escape", "b", "m")
        said = await desk.until("Import an invoice")
        assert "(Import an invoice" in said and " Reconcile" in said and "(Reconcile" not in said
        assert not await shared.store(lambda: models.Provider.select().count())


async def test_another_role_holds_while_the_screens_are_open(shared: Workbench, at_desk: Open) -> None:
    ada = Workbench(shared.settings, shared.store, shared.vault, "ada")
    ada.notices = shared.notices
    async with at_desk(shared, size=(120, 40)) as desk:
        await desk.until("viewer")
        await ada.community.edit_user("di", role="admin")
        await desk.gone("viewer")
        await desk.press("1", "i")
        await desk.until(lambda _: len(desk.app.screen_stack) == 2)


def test_every_verb_says_what_right_it_takes() -> None:
    verbs = [verb for pane in (ModelsPane, HealthPane) for kind in pane.kinds for verb in kind.verbs]
    assert {verb.id for verb in verbs if not verb.needs} == LOOKING
    assert {verb.needs for verb in verbs if verb.needs} <= set(people.PERMISSIONS)
    assert {action.needs for action in ACTIONS if action.needs} <= set(people.PERMISSIONS)
    assert all(action.needs for action in ACTIONS if action.writes)
