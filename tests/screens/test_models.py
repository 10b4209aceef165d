"""The place of language models: providers, ledger, budget and kept answers, by keys alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from meshag_tui.store import budgets, ledger, models, prices, providers
from meshag_tui.store.database import now_ms
from meshag_tui.types import Secret
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm, Reply
from tests.screens.conftest import AT, Open

CALL = ledger.Call("own", "m1", "advice", False, "ada", "h" * 64, most_in=1000, most_out=500)


def spend(bench: Workbench, call: ledger.Call = CALL) -> None:
    usage_id = bench.store.run(ledger.reserve, call)
    bench.store.run(ledger.settle, usage_id, "success", tokens_in=1000, tokens_out=500, duration_ms=850.0)


async def test_a_provider_is_added_tested_and_removed_by_keys(
    bench: Workbench, at_desk: Open, fake_llm: FakeLlm
) -> None:
    async with at_desk(bench) as desk:
        await desk.press("A")
        await desk.until("config.toml")
        await desk.press("i")
        await desk.until("Add a provider of models")
        await desk.type("own")
        await desk.press("tab", *["right"] * 7, "tab")  # another kind
        await desk.type("m1, m2")
        await desk.press("enter")
        said = await desk.until("has no usual address")
        assert "m1, m2" in said, "what was typed stays"
        await desk.press("tab", "tab", "tab")
        await desk.type(fake_llm.base_url)
        await desk.press("tab", "tab")
        await desk.type("sk-canary-0123456789")
        await desk.press("enter")
        await desk.until("Added own")
        assert "canary" not in desk.screen
        await desk.until("…6789")
        await desk.press("j")
        await desk.until("▸ own")
        fake_llm.script = [Reply('{"ok": true}')]
        await desk.press("T")
        await desk.until("m1 answered in")
        assert fake_llm.requests[0].headers["authorization"] == "Bearer sk-canary-0123456789"
        await desk.press("P")
        await desk.until("own is asked no more")
        await desk.press("D")
        await desk.until("Forget a provider")
        await desk.press("r")
        await desk.until("Removed own")
        await desk.press("f")
        said = await desk.until("[Ledger]")
        assert "test" in await desk.until("success")
    assert bench.store.run(providers.listing) == ()


async def test_the_endpoint_of_the_configuration_is_changed_there(bench: Workbench, at_desk: Open) -> None:
    async with at_desk(bench) as desk:
        await desk.press("A")
        await desk.until("[llm] of config.toml")
        await desk.press("E")
        await desk.until("change it there")


async def test_a_plan_is_made_put_in_force_and_overridden_by_keys(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(prices.put, "own", "m1", 0, "2", "8")
    async with at_desk(bench) as desk:
        await desk.press("A", *["f"] * 4)
        await desk.until("no plan yet")
        await desk.press("i")
        await desk.until("Make a plan")
        await desk.type("Team")
        await desk.press("tab")
        await desk.type("0.006")
        await desk.press("enter")
        await desk.until("Made Team")
        await desk.press("b")
        await desk.until("no plan is in force")
        await desk.press("i")
        await desk.until("Put a plan in force")
        await desk.press("tab", "enter")
        await desk.until("Team is in force for everything")
        spend(bench)
        await desk.press("f", "b")
        await desk.until("used up: models elsewhere are not asked")
        await desk.press("m")
        await desk.until("Let calls through")
        await desk.press("enter")
        await desk.until("Override Team")
        await desk.press("tab")
        await desk.type("outage")
        await desk.press("enter")
        await desk.until("overridden until")
    standing = bench.store.run(budgets.in_force)[0]
    assert (standing.spent, standing.override_reason) == (Decimal("0.006"), "outage")


async def test_an_invoice_is_shown_before_it_is_read(bench: Workbench, at_desk: Open) -> None:
    file = bench.settings.home / "invoice.csv"
    file.write_text("external_id,date,model,amount\na,2026-03-01,m1,0.5\nb,2026-03-01,m1,0.25\n")
    async with at_desk(bench) as desk:
        await desk.press("A", "f", "m")
        await desk.until("Import an invoice")
        await desk.press("enter")
        await desk.until("Read an invoice")
        await desk.type("own")
        await desk.press("tab")
        await desk.type(str(file))
        await desk.press("enter")
        await desk.until("2 lines are new (0.750000 USD), 0 are there already")
        assert bench.store.run(lambda: models.Cost.select().count()) == 0
        await desk.press("r")
        await desk.until("Imported 2 lines of own")
    assert bench.store.run(lambda: models.Cost.select().count()) == 2


async def test_sums_are_by_what_one_chooses_with_a_bar_for_each_day(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(prices.put, "own", "m1", 0, "2", "8")
    for days in (0, 1, 3):
        spend(bench)
        bench.store.run(
            lambda at=AT - days * ledger.DAY_MS: (
                models.Usage.update(at=at).where(models.Usage.at > AT + 10**9).execute()
            )
        )
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("A", "f", "f")
        said = await desk.until("Cost a day, USD")
        assert "0.018000 USD" in said and "by model" in said
        await desk.press("m", "enter")
        await desk.until("Sum by")
        await desk.type("user")
        await desk.press("enter")
        said = await desk.until("by user")
        assert "ada" in said


async def test_a_chart_without_cost_says_why(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(prices.put, "own", "m1", 0, "0", "0")
    spend(bench)
    bench.store.run(models.Usage.update(at=AT).execute)
    async with at_desk(bench, clock=lambda: AT / 1000, size=(80, 24)) as desk:
        await desk.press("A", "f", "f")
        await desk.until("Calls a day: they cost nothing")
        spend(bench, replace(CALL, model="m2"))
        bench.store.run(models.Usage.update(at=AT).execute)
        await desk.press("f", "b")
        await desk.until("Calls a day: 1 unpriced, the others cost nothing")


async def test_no_list_holds_more_than_a_page(bench: Workbench, at_desk: Open) -> None:
    def many() -> None:
        now = now_ms()
        rows = [
            {
                "id": f"use_{number:06}",
                "at": now,
                "provider": "own",
                "model": "m1",
                "purpose": "advice",
                "outcome": "success",
                "local": True,
                "actor": "ada",
                "prompt_hash": "h",
                "attempts": 1,
                "query_ids": [],
                "created_at": now,
                "updated_at": now,
            }
            for number in range(2_000)
        ]
        for start in range(0, len(rows), 500):
            models.Usage.insert_many(rows[start : start + 500]).execute()

    bench.store.run(many)
    async with at_desk(bench) as desk:
        await desk.press("A", "f")
        await desk.until("the newest 500")
        pane = desk.app.front_pane()
        assert pane is not None and pane.table is not None
        assert len(pane.table.rows) == 500


async def test_a_list_in_another_order_is_not_said_to_be_the_newest(bench: Workbench, at_desk: Open) -> None:
    def many() -> None:
        who = {"role": "viewer", "created_at": 1, "updated_at": 1}
        rows = [{"id": f"usr_{n}", "email": f"{n}@x.org", "name": f"u{n:03}", **who} for n in range(501)]
        models.User.insert_many(rows).execute()

    bench.store.run(many)
    async with at_desk(bench) as desk:
        await desk.press("A", *"bbbb")
        await desk.until("the first 500")
        assert "newest" not in desk.screen


async def test_only_kept_answers_are_used_once_that_is_switched_on(bench: Workbench, at_desk: Open) -> None:
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("A", *"ffffff")
        await desk.until("no answer is kept")
        await desk.press("m")
        await desk.until("Kept answers only")
        await desk.press("down", "enter")
        await desk.until("nobody is asked")
    assert await bench.models.cache_only()


async def test_what_was_typed_wrong_is_never_shown_as_a_key(bench: Workbench, at_desk: Open) -> None:
    await bench.models.add_provider("cloud", "openai", ["m1"], key=Secret("sk-canary-0123456789"))
    async with at_desk(bench) as desk:
        await desk.press("A", "j", "E")
        await desk.until("Edit cloud")
        await desk.press("tab", "tab")
        await desk.type("/elsewhere")
        await desk.press("enter")
        await desk.until("give the key again")
        assert "canary" not in desk.screen
