"""Agents by keys alone: made, paused, drawn up anew, seen at work in the list of runs, and agreed to there."""

from __future__ import annotations

import pytest

from meshag_tui.agents.profiles import Profile, templates
from meshag_tui.store import agents, executions
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Desk, Open


@pytest.fixture
def shop_id(bench: Workbench) -> str:
    return bench.store.run(shop.fill_open, bench.vault)


async def at_agents(desk: Desk) -> None:
    await desk.press("A", "b", "b")
    await desk.until("Index hunter")


async def test_an_agent_is_made_paused_and_removed(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await at_agents(desk)
        await desk.until("not run here yet")
        await desk.press("i")
        await desk.until("Make an agent")
        await desk.type("Index hunter")
        await desk.press("enter")
        await desk.until("already")
        await desk.press("home")
        await desk.type("My ")
        await desk.press("enter")
        await desk.until("Added My Index hunter")
        await desk.press("G")
        await desk.press("k", "P")
        await desk.until("▲ paused")
        await desk.press("T")
        await desk.until("P lets it run")
        await desk.press("D")
        await desk.until("Removed My Index hunter")
    (row,) = bench.store.run(lambda: agents.page(removed=True))
    assert (row.name, row.kept_status, row.every_s) == ("My Index hunter", "PAUSED", None)


async def test_a_flow_is_drawn_up_by_keys(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, size=(100, 30), clock=lambda: AT / 1000) as desk:
        await at_agents(desk)
        await desk.press("g", "j", "m")
        await desk.until("Draw up what it does")
        await desk.press("enter")
        await desk.until("it may run")
        assert "├─╮" in desk.screen and "Index hunter: Look for improvements" in desk.screen
        await desk.press("g", "j", "D")
        await desk.until("Look for improvements *")
        await desk.press("i")
        await desk.until("Add behind explain")
        await desk.type("approve")
        await desk.press("enter")
        await desk.until("yes → advise, no → end")
        await desk.press("u", "enter")
        await desk.until("there is nothing to set")
        await desk.press("s")
        await desk.until("Index hunter does what version 2 says")
    row = bench.store.run(agents.find, "Index hunter")
    document = bench.store.run(agents.whole, row.id).flow
    assert [node["id"] for node in document["nodes"]] == ["collect", "explain", "advise", "any", "say", "end"]
    assert len(bench.store.run(lambda: agents.whole(row.id, flow_version=1)).flow["nodes"]) == 7


async def test_a_run_is_seen_in_its_flow_and_agreed_to(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    row = await bench.agents.add(
        "Mender",
        Profile(tools=["collect", "filter", "explain", "advise_rules", "apply", "verify", "rollback"]),
        templates()["full-loop"],
    )
    given = {"agent": row.id, "version": 1, "flow_version": 1, "actor": "ada", "trigger": "by hand"}

    def waiting() -> str:
        run_id, claimed = executions.begin(
            agents.RUN, f"{row.id}:{shop_id}", None, "elsewhere:1:x", 60_000, connection=shop_id, input=given
        )
        assert claimed is not None
        asked = {"id": "sug_1", "title": "Index orders", "sql": "CREATE INDEX i ON o (c)", "hash": "h1", "warned": []}
        other = {"title": "Index lines", "sql": "CREATE INDEX j ON l (c)", "hash": "h2"}
        for name, output in (
            *(("begun", {}), ("000:collect", {"said": "9 statements read"}), ("001:pick", {})),
            *(("002:explain", {}), ("003:advise", {"found": {"suggestions": ["sug_1"]}})),
            *(("004:any", {"way": "yes"}), ("005:agree:asked", {"items": [asked, {**asked, **other}]})),
        ):
            executions.commit_step(claimed, name, output, 0)
        executions.park(claimed, executions.FOREVER, "agree waits for approval of 2 statements")
        return run_id

    run_id = bench.store.run(waiting)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("5")
        await desk.until("agree waits for approval of 2 statements")
        said = await desk.until("agree  waits")
        assert "collect  done: 9 statements read" in said and "CREATE INDEX i ON o (c)" in said
        await desk.press("a")
        await desk.until("Which of them?")
        await desk.press("down", "right", "enter")
        said = await desk.until("Mender waits for approval")
        assert "1 statement on" in said and "1 other statement of it not agreed to" in said
        assert "CREATE INDEX i ON o (c);" in said and "CREATE INDEX j ON l (c);" not in said
        await desk.press("c")
        await desk.gone("Mender waits for approval")
        await desk.press("d")
        await desk.until("Refused: the run goes on without")
        await desk.until("0 of 2 agreed to")
    run = await bench.agents.run_of(run_id)
    assert [visit.node_id for visit in run.standing.visits][-2:] == ["agree", "end"] and run.info.state == "done"
