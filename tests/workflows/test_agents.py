"""Agents at work on a real server: their flow is what runs, what changes is agreed to first, and a run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from meshag_tui.agents.flow import FlowError, read
from meshag_tui.agents.profiles import Profile, chain, templates
from meshag_tui.agents.walk import standing
from meshag_tui.settings import RehearsalSettings
from meshag_tui.store import activity, agents, executions, history, ledger, models, rehearsals, suggestions, threads
from meshag_tui.types import EvidenceKind, ExecutionState, MeshagError, SuggestionStatus, Target, UsageError
from meshag_tui.workflows import sync
from meshag_tui.workflows.agents import runs_of
from meshag_tui.workflows.durable import Outcome, Run, Runner
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm, Reply
from tests.rig.postgres import Database

ALL = ["collect", "filter", "explain", "advise_rules", "apply", "verify", "rollback", "notify"]


async def the_shop(bench: Workbench) -> str:
    from meshag_tui.store import connections

    return (await bench.store.read(connections.listing))[0].id


async def steps(bench: Workbench, outcome: Outcome) -> list[str]:
    run = await bench.agents.run_of(outcome.execution_id)
    return [visit.node_id for visit in run.standing.visits]


async def test_the_hunter_looks_and_changes_nothing_and_the_explainer_talks(
    shop_bench: Workbench, slow: history.QueryRow, fake_llm: FakeLlm, pg18: Database
) -> None:
    bench, shop = shop_bench, await the_shop(shop_bench)
    named = {row.name: row for row in await bench.agents.page()}
    assert set(named) == {"Index hunter", "Query explainer", "Change reviewer"}
    hunter = named["Index hunter"]
    outcome = await bench.agents.run(hunter.id, shop)
    assert outcome.state is ExecutionState.DONE, outcome.error
    assert await steps(bench, outcome) == ["collect", "pick", "explain", "advise", "any", "say", "end"]
    assert outcome.result["suggestions"] == 1 and outcome.result["queries"] >= 1
    open_ = await bench.store.read(suggestions.listing, shop)
    assert [one.rule for one in open_ if one.query_ids == (slow.id,)] == ["missing-index"]
    kinds = [entry.kind for entry in await bench.store.read(activity.recent, 20)]
    assert {"agent.started", "agent.says", "agent.completed"} <= set(kinds)
    row = await bench.agents.find("index hunter")
    assert (row.runs, row.status) == (1, "ACTIVE")

    def due_long_ago() -> None:
        agents.edit(hunter.id, every_s=3_600)
        models.Agent.update(next_run_at=1_000).where(models.Agent.id == hunter.id).execute()

    await bench.store(due_long_ago)
    await bench.scheduler().once()
    row = await bench.agents.find("index hunter")
    assert row.runs == 2 and row.next_run_at is not None and row.next_run_at > 1_000_000, "by its schedule"

    explainer = named["Query explainer"]
    failed = await bench.agents.run(explainer.id, shop)
    assert failed.state is ExecutionState.FAILED and "agree first" in str(failed.error), "no consent, nothing sent"
    assert await bench.store.read(activity.recent, 1, subject=failed.execution_id, kind="agent.failed")
    assert not fake_llm.requests
    await bench.advice.give_model_consent(shop)
    fake_llm.script = [Reply("It reads all rows.")] * 3
    await bench.agents.resume(failed.execution_id)
    await bench.runner.settle()
    assert await steps(bench, failed) == ["pick", "explain", "ask", "end"]
    talked = await bench.store.read(threads.page)
    assert talked and {each.agent for each in talked} == {"Query explainer"}
    sent = fake_llm.requests[0].body["messages"][0]["content"]
    assert "Begin with what the statement does" in sent, "its instructions, word for word"
    assert {use.agent for use in await bench.store.read(ledger.page)} == {"Query explainer"}
    who = Profile(tools=["advise_llm"], instructions="Mind the month.", context="orders is partitioned")
    asking = chain("Ask", [("ask", "advise_llm", {}), ("end", "end", {})])
    adviser = await bench.agents.add("Adviser", who, asking)
    fake_llm.script, told = [Reply('{"proposals": []}')], "Mind the month.\n\norders is partitioned\n\n"
    assert (await bench.advice.model_preview(shop, guidance=who.guidance)).text.startswith(told)
    assert (await bench.agents.run(adviser.id, shop)).state is ExecutionState.DONE
    assert fake_llm.requests[-1].body["messages"][0]["content"].startswith(told)
    assert (await bench.store.read(ledger.page))[0].agent == "Adviser"
    await bench.agents.set_status(explainer.id, "PAUSED")
    with pytest.raises(UsageError, match="is PAUSED"):
        await bench.agents.run(explainer.id, shop)
    (due,) = await bench.store(lambda: runs_of(agents.Due(hunter.id, None, 7)))
    assert (due.key, due.slot, due.input["trigger"]) == (f"{hunter.id}:{shop}", 7, "schedule")


async def test_a_change_is_made_only_of_what_was_agreed_to_and_the_run_keeps_its_versions(
    shop_bench: Workbench, slow: history.QueryRow, pg18: Database
) -> None:
    bench, shop = shop_bench, await the_shop(shop_bench)
    document: dict[str, Any] = templates()["full-loop"].document()
    for node in document["nodes"]:
        node["parameters"] |= {"after_min": 0} if node["kind"] == "verify" else {}
    with pytest.raises(FlowError, match="not allowed"):
        await bench.agents.add("Sly", Profile(tools=["collect", "filter"]), read(document))
    row = await bench.agents.add("Mender", Profile(tools=ALL, instructions="v1"), read(document), category="tuning")
    outcome = await bench.agents.run(row.id, shop)
    assert outcome.state is ExecutionState.READY and "waits for approval of 1 statement" in str(outcome.error)
    assert (await bench.agents.find("Mender")).status == "RUNNING"
    again = await bench.agents.run(row.id, shop)
    assert (again.execution_id, again.joined) == (outcome.execution_id, True), "one at a time"

    run = await bench.agents.run_of(outcome.execution_id)
    (asked,) = run.asks
    assert "CREATE INDEX CONCURRENTLY" in asked["sql"] and run.standing.at == "agree"
    with pytest.raises(MeshagError, match="not what it waits for"):
        await bench.agents.answer(outcome.execution_id, ["another"])
    await bench.agents.edit(row.id, Profile(tools=ALL, instructions="v2"))
    await bench.agents.answer(outcome.execution_id, [asked["hash"]])
    await bench.runner.settle()
    run = await bench.agents.run_of(outcome.execution_id)
    assert run.info.state is ExecutionState.DONE, run.info.error
    walked = [visit.node_id for visit in run.standing.visits]
    assert walked[-5:] == ["agree", "apply", "verify", "worse", "end"] and run.agent.profile.instructions == "v1"
    found = await bench.store.read(suggestions.get, asked["id"])
    assert found.status is SuggestionStatus.APPLIED
    with pg18.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'")
        assert cursor.fetchone()[0] == 2
    with pytest.raises(MeshagError, match="does not wait"):
        await bench.agents.answer(outcome.execution_id, [])
    with pytest.raises(MeshagError, match="nothing to go on with"):
        await bench.agents.resume(outcome.execution_id)
    assert (await bench.agents.find("Mender")).version == 2
    kinds = {entry.kind for entry in await bench.store.read(activity.recent, 100, subject=outcome.execution_id)}
    assert {"agent.started", "agent.waits", "agent.approved", "agent.completed"} <= kinds


async def test_what_is_refused_is_not_done_and_a_run_of_a_dead_process_goes_on_behind_its_last_step(
    shop_bench: Workbench, slow: history.QueryRow, pg18: Database
) -> None:
    bench, shop = shop_bench, await the_shop(shop_bench)
    row = await bench.agents.add("Mender", Profile(tools=ALL), templates()["full-loop"])
    waiting = await bench.agents.run(row.id, shop)
    run = await bench.agents.run_of(waiting.execution_id)
    assert run.asks, "\n".join(f"{line.level} {line.message}" for line in run.info.log)
    await bench.agents.answer(waiting.execution_id, [])
    await bench.runner.settle()
    run = await bench.agents.run_of(waiting.execution_id)
    assert run.info.state is ExecutionState.DONE and run.standing.visits[-2].output["said"].startswith("0 of 1")
    assert await bench.store.read(activity.recent, 1, subject=waiting.execution_id, kind="agent.refused")
    with pg18.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'")
        assert cursor.fetchone()[0] == 1

    # A run whose owner is gone: what it had done is not done again.
    hunter = (await bench.agents.find("index hunter")).id
    given = {"agent": hunter, "version": 1, "flow_version": 1, "actor": "ada", "trigger": "by hand"}
    key = f"{hunter}:{shop}"

    def left_behind() -> str:
        execution_id, claimed = executions.begin(
            agents.RUN, key, None, "elsewhere:1:x", 1, connection=shop, input=given
        )
        assert claimed is not None
        for name, output in (("begun", {}), ("000:collect", {"said": "by the other"})):
            executions.commit_step(claimed, name, output, 0)
        executions.release(execution_id, claimed.owner)
        return execution_id

    execution_id = await bench.store(left_behind)
    syncs = len(await bench.store.read(lambda: executions.listing(kind="sync_database_stats")))
    assert await bench.runner.recover() == 1
    await bench.runner.settle()
    run = await bench.agents.run_of(execution_id)
    assert run.info.state is ExecutionState.DONE and run.standing.visits[0].output["said"] == "by the other"
    assert len(await bench.store.read(lambda: executions.listing(kind="sync_database_stats"))) == syncs

    waiting = await bench.agents.run(row.id, shop)
    assert waiting.state is ExecutionState.READY
    assert await bench.cancel(waiting.execution_id)
    assert (await bench.store.read(executions.get, waiting.execution_id)).state is ExecutionState.CANCELLED
    assert standing(templates()["full-loop"], {}).at == "collect" and isinstance(bench.runner, Runner)


async def test_cancelling_a_run_cancels_what_it_began(shop_bench: Workbench) -> None:
    bench = shop_bench
    shop = (await bench.connections.add("shop", Target.from_url("postgresql://me@127.0.0.1:1/shop"))).id

    began = asyncio.Event()

    async def for_ever(run: Run) -> Mapping[str, Any]:
        began.set()
        await asyncio.sleep(600)
        return {}

    bench.runner.register(sync.KIND, for_ever)
    running = asyncio.create_task(bench.agents.run((await bench.agents.find("index hunter")).id, shop))
    await asyncio.wait_for(began.wait(), 30)
    whole = next(run for run in await bench.executions() if run.kind == agents.RUN)
    assert await bench.cancel(whole.id)
    assert (await running).state is ExecutionState.CANCELLED
    await bench.runner.settle()
    assert {run.state for run in await bench.executions()} == {ExecutionState.CANCELLED}


async def test_an_index_is_priced_and_made_and_taken_back_without_a_row(
    shop_bench: Workbench, slow: history.QueryRow, pg18: Database
) -> None:
    bench, shop = shop_bench, await the_shop(shop_bench)
    bench.settings = bench.settings._replace(advice=bench.settings.advice._replace(what_if="auto"))
    before = pg18.fetch("SELECT count(*) FROM pg_class")
    looking = [("advise", "advise_rules", {}), ("price", "simulate", {}), ("try", "sandbox_apply", {})]
    tools = ["advise_rules", "simulate", "sandbox_apply"]
    row = await bench.agents.add("Careful", Profile(tools=tools), chain("Try", [*looking, ("end", "end", {})]))
    outcome = await bench.agents.run(row.id, shop)
    assert outcome.state is ExecutionState.DONE, outcome.error
    visits = {
        visit.node_id: visit.output for visit in (await bench.agents.run_of(outcome.execution_id)).standing.visits
    }
    found = await bench.store.read(suggestions.listing, shop)
    index = next(one for one in found if one.query_ids == (slow.id,))
    assert index.id in visits["price"]["found"]["suggestions"] and "would save 20% or more" in visits["price"]["said"]
    assert visits["try"]["found"]["suggestions"] == [index.id], visits["try"]["said"]
    tried = (await bench.store.read(rehearsals.of_suggestion, index.id))[0]
    assert (tried.kind, tried.verdict) == ("undo", "proven") and not tried.document["copied"]
    assert index.evidence_kind is not EvidenceKind.MEASURED
    assert pg18.fetch("SELECT count(*) FROM pg_class") == before, "on the watched server nothing was made"
    stern = chain("Stern", [*looking[:1], ("price", "simulate", {"least_gain": 0.999999}), ("end", "end", {})])
    row = await bench.agents.save_flow(row.id, stern)
    outcome = await bench.agents.run(row.id, shop)
    assert outcome.result["suggestions"] == len([one for one in found if one.id != index.id and one.is_open])


@pytest.mark.soak
async def test_a_suggestion_is_measured_by_rows_somebody_agreed_to_be_read(
    shop_bench: Workbench, slow: history.QueryRow
) -> None:
    shop_bench.settings = shop_bench.settings._replace(rehearsal=RehearsalSettings(measure_s=3))
    bench, shop = shop_bench, await the_shop(shop_bench)
    flow = chain(
        "Measure",
        [
            *(("advise", "advise_rules", {}), ("agree", "approve", {}), ("measure", "benchmark", {"most": 1})),
            ("end", "end", {}),
        ],
        {"from": "agree", "to": "measure", "when": "yes"},
        {"from": "agree", "to": "end", "when": "no"},
    )
    row = await bench.agents.add("Measurer", Profile(tools=["advise_rules", "benchmark"]), flow)
    outcome = await bench.agents.run(row.id, shop)
    (asked,) = (await bench.agents.run_of(outcome.execution_id)).asks
    assert "orders" in asked["sql"] and asked["title"].startswith("read ")
    await bench.agents.answer(outcome.execution_id, [asked["hash"]])
    await bench.runner.settle()
    run = await bench.agents.run_of(outcome.execution_id)
    assert run.standing.visits[2].output["said"] == "1 faster", run.info.log
    found = await bench.store.read(suggestions.get, asked["id"])
    assert found.evidence_kind is EvidenceKind.MEASURED


async def test_a_flow_of_a_later_release_is_refused_and_stays_as_it_is(shop_bench: Workbench) -> None:
    """As a newer MeshAG on a shared store may have saved it: the agents are listed, it is not run and not touched."""
    row = await shop_bench.agents.find("Index hunter")
    shop = await shop_bench.connections.add("shop", Target.from_url("postgresql://a@192.0.2.1/shop"))
    later = {**(await shop_bench.agents.get(row.id)).flow.document(), "format": 99, "of": "another time"}
    await shop_bench.store(agents.new_flow, row.id, later, "0" * 64, "ada")
    assert row.id in {each.id for each in await shop_bench.agents.page()}
    with pytest.raises(FlowError, match=r"format 99.*left as it is"):
        await shop_bench.agents.get(row.id)
    outcome = await shop_bench.agents.run(row.id, shop.id)
    assert outcome.state is ExecutionState.FAILED and "format 99" in (outcome.error or "")
    assert (await shop_bench.store.read(agents.whole, row.id)).flow == later
    versions = await shop_bench.store.read(lambda: agents.versions(row.id, of_flow=True))
    assert [each.version for each in versions] == [2, 1] and versions[1].document["format"] == 1
