"""Advice by keys alone: looked at, put aside with a reason, taken up again, several at once, filtered."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from meshag_tui.screens.suggestions import SuggestionsPane
from meshag_tui.store import activity, baskets, connections, suggestions
from meshag_tui.types import Risk, SuggestionStatus
from meshag_tui.workflows.notices import Changed
from meshag_tui.workflows.owner import this_process
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Desk, Open


@pytest.fixture
def shop_id(bench: Workbench) -> str:
    return bench.store.run(shop.fill_open, bench.vault)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def statuses(bench: Workbench) -> list[str]:
    found = bench.store.run(suggestions.listing, resolved=True)
    return [each.status for each in sorted(found, key=lambda each: each.id)]


def interrupted(bench: Workbench, connection_id: str) -> None:
    """A run of two was killed before the journal had anything of them; the second was about to begin."""
    found = bench.store.run(suggestions.listing, resolved=True)
    items = [baskets.Item(each.id, each.title) for each in sorted(found, key=lambda each: each.id)[:2]]
    nobody = this_process().replace(f":{os.getpid()}:", ":4194305:")  # no process has such a number
    begun = {"actor": "ada", "owner": nobody, "plan_hash": "abc"}
    run_id = bench.store.run(lambda: baskets.begin(connection_id, items, **begun))
    bench.store.run(baskets.step, run_id, items[1].suggestion_id, "begun")


async def at_advice(desk: Desk) -> SuggestionsPane:
    await desk.press("4")
    await desk.until("4 of 4")
    pane = desk.app.pane("suggestions")
    assert isinstance(pane, SuggestionsPane)
    return pane


async def test_reviewed_dismissed_with_a_reason_and_taken_up_again(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        await desk.press("v")
        await desk.until("Reviewed: Index orders")
        assert statuses(bench)[0] == SuggestionStatus.REVIEWED
        await desk.press("d")
        await desk.until("Why")
        await desk.press("enter")
        assert "needed" in desk.screen and statuses(bench)[0] == SuggestionStatus.REVIEWED, "not without a reason"
        await desk.type("we know")
        await desk.press("enter")
        await desk.until("✗ dismissed")
        found = bench.store.run(suggestions.get, "sug_0000000000000001")
        assert (found.status, found.dismiss_reason) == (SuggestionStatus.DISMISSED, "we know")
        await desk.until("Dismissed  ")
        await desk.press("a")
        assert "it is dismissed: v takes it up again" in desk.screen
        await desk.press("v")
        await desk.until("→ reviewed")
        assert statuses(bench)[0] == SuggestionStatus.REVIEWED
        said = [entry.message for entry in bench.store.run(activity.recent, 5)]
        assert any("we know" in message for message in said)


async def test_what_another_process_decided_is_seen_by_the_next_sync(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        bench.store.run(suggestions.set_status, "sug_0000000000000001", SuggestionStatus.DISMISSED, "ada", "we know")
        bench.notices.publish(Changed("statistics", shop_id))
        await desk.until("3 of 4")
        first = bench.store.run(suggestions.listing, shop_id, status=SuggestionStatus.NEW)[0].id
        bench.store.run(suggestions.set_status, first, SuggestionStatus.APPLIED, "ada")
        bench.notices.publish(Changed("statistics", shop_id))
        await desk.until("2 of 4")
        await desk.press("f", *"applied", "enter")
        assert "This would run" not in await desk.until("This was run")


async def test_marks_are_looked_at_together_and_dismissed_together(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    interrupted(bench, shop_id)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        await desk.until("2 marked")
        assert "by ada was interrupted: 2 not begun, marked again (a looks at them)" in desk.screen
        await desk.press("u")
        assert "2 are marked, and each is looked at by itself" in desk.screen
        await desk.press("a")
        await desk.until("Apply 2 suggestions")
        await desk.until("Nothing was run")  # nobody answers at that address
        await desk.press("escape", "d")
        await desk.until("Dismiss 2 suggestions")
        await desk.type("later")
        await desk.press("enter")
        await desk.until("Dismissed: 2 suggestions")
        assert statuses(bench) == ["DISMISSED", "DISMISSED", "REVIEWED", "NEW"]
        await desk.press("space")
        await desk.until("1 marked")
        await desk.press("escape")
        await desk.gone("marked")


async def test_filters_by_status_priority_and_type(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        pane = await at_advice(desk)
        for typed, titles in (
            ("status reviewed", ["Analyze orders: its statistics are 9 d old"]),
            ("status all", None),
            ("priority medium", ["Drop orders_status_copy: the same index as orders_status_idx", "Analyze orders"]),
            ("about schema", ["Analyze orders"]),
        ):
            await desk.press("f")
            await desk.type(typed)
            await desk.press("enter")
            await desk.until(typed.split()[1])
            for _ in range(100):
                await desk.pilot.pause(0.02)
                if not pane.stale and not pane.loading_now:
                    break
            rows = [row.title for row in pane._list.rows]
            if titles is not None:
                assert len(rows) == len(titles) and all(a.startswith(b) for a, b in zip(rows, titles, strict=True))


async def test_a_read_only_connection_has_no_such_keys(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    bench.store.run(connections.edit, shop_id, vault=bench.vault, read_only=True)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        assert "a Apply" not in desk.screen and "u Undo" not in desk.screen and "read-only" in desk.screen
        before = desk.screen
        await desk.press("a", "u")
        assert desk.screen == before, "there is no such key"
        await desk.press("question_mark")
        await desk.until("Keys: Suggestions")
        assert "a second key runs it" not in desk.screen


async def test_advice_for_people_has_nothing_to_run(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        await desk.press("G")
        said = await desk.until("Nothing to run")
        assert "events is paged by OFFSET [bold]hostile[/] ␛[2J" in said
        await desk.press("a")
        assert "there is nothing to run" in desk.screen
        await desk.press("u")
        assert "nothing of it was applied" in desk.screen


async def test_what_is_shown_to_be_run_by_hand_says_so_and_is_not_to_be_applied(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    index = shop.advice({"orders": 1, "report": 2, "events": 3})[0]
    steps = "This is not done for you: shop.orders is partitioned. Without that, by hand: CREATE INDEX … ON ONLY …"
    sql, undo = "CREATE INDEX o_idx ON shop.orders USING btree (customer_id)", "DROP INDEX shop.o_idx"
    by_hand = replace(index, identity="p", title="Index the parent", text=steps, change=None, sql=sql, undo_sql=undo)
    by_hand = replace(by_hand, risk=Risk.HIGH)
    bench.store.run(suggestions.save, shop_id, [by_hand])
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("4")
        await desk.until("5 of 5")
        await desk.press("slash")
        await desk.type("parent")
        await desk.press("enter")
        await desk.until("Shown to be run by hand")
        assert "This would run" not in desk.screen and "so a is off here" in desk.words
        assert "ON ONLY" in desk.screen and "CREATE INDEX o_idx" in desk.words
        await desk.press("a")
        assert "it would make writers wait, so MeshAG does not run it" in desk.screen
        assert len(desk.app.screen_stack) == 1


async def test_what_a_suggestion_rests_on_is_said_point_by_point(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    index = shop.advice({"orders": 1, "report": 2, "events": 3})[0]
    evidence = {
        "kind": "counted",
        "facts": ["200 rows a call, 7 expected"],
        "confidence": [{"points": 80, "why": "the server counted it"}, {"points": -10, "why": "only 5 calls [/b]"}],
        "priority": "medium: the statements it is about take 12 % of all query time",
        "affected_ms_per_day": 61_000.0,
    }
    sql = "CREATE STATISTICS shop.orders_stats (dependencies) ON a, b FROM shop.orders"
    made = replace(index, rule="correlated-columns", identity="s", title="Tell the planner", change=None, sql=sql)
    made = replace(made, evidence=evidence, confidence=0.7, gain_ms_per_day=None, undo_sql="DROP STATISTICS shop.s")
    bench.store.run(suggestions.save, shop_id, [made])
    async with at_desk(bench, size=(120, 60), clock=lambda: AT / 1000) as desk:
        await desk.press("4")
        await desk.until("5 of 5")
        await desk.press("slash")
        await desk.type("Tell")
        await desk.press("enter")
        await desk.until("Shown to be run by hand")
        for said in ("CREATE STATISTICS", "does not run statements of this kind", "+80 the server counted it"):
            assert said in desk.words, said
        for said in (
            "-10 only 5 calls [/b]",
            "12 % of all query time",
            "At stake",
            "of the server's time a day, at most",
        ):
            assert said in desk.words, said
        assert "writers wait" not in desk.words


async def test_enter_leads_to_its_query(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        await desk.press("enter")
        await desk.until("Queries it is about")
        await desk.press("tab", "enter")
        said = await desk.until("Statement")
        assert "WHERE customer_id = $1" in said


async def test_without_a_key_no_model_is_asked(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await at_advice(desk)
        await desk.press("N")
        await desk.until("no key is set: put it into OPENAI_API_KEY, or A adds a model")
