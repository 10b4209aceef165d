"""A suggestion tried out: what is read was agreed to, what is measured is kept and said, and a kill leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.changes.rehearse import Asked, rehearse
from meshag_tui.engines.base import Refused
from meshag_tui.engines.rehearsal import Execution, Runnable
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.servers.place import temporary_folder
from meshag_tui.servers.rundir import OWNER_FILE, PREFIX
from meshag_tui.settings import RehearsalSettings, Settings
from meshag_tui.store import activity, executions, history, rehearsals, suggestions
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import (
    CreateIndex,
    EvidenceKind,
    ExecutionState,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Risk,
    SetSetting,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Target,
)
from meshag_tui.workflows.durable import RunCancelled, RunFailed
from meshag_tui.workflows.workbench import Workbench
from tests.advisor.conftest import filled
from tests.rig.commands import Commands
from tests.rig.mysql import Schema, on_path
from tests.rig.postgres import Database
from tests.rig.stores import put_store
from tests.servers.test_postgres import wait_until

BY_CUSTOMER = "SELECT count(*), max(note) FROM orders WHERE customer = {}"
BY_ID = "SELECT note FROM orders WHERE id = {}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    rehearsal = RehearsalSettings(measure_s=8)
    return Settings(home=home, store_url=put_store(home / "meshag.db"), rehearsal=rehearsal)


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Workbench]:
    async with await Workbench.open(settings) as bench:
        yield bench


def shop(pg: Database) -> None:
    pg.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, name text); "
        "INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 400) g",
        "CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, note text); "
        "INSERT INTO orders SELECT g, 1 + g % 400, repeat('n', 50) FROM generate_series(1, 40000) g",
        "ANALYZE",
    )


ADVICE = Suggestion(
    rule="missing-index",
    identity="missing-index:orders",
    type=SuggestionType.INDEX_OPTIMIZATION,
    priority=SuggestionPriority.MEDIUM,
    title="Index orders (customer): about 40 % of all query time",
    text="",
    evidence_kind=EvidenceKind.PLANNED,
    evidence={
        "kind": "planned",
        "facts": ["planner cost 900 → 9"],
        "confidence": [{"points": 70, "why": "the server's planner priced it"}],
        "affected_share": 0.4,
    },
    confidence=0.7,
    risk=Risk.MEDIUM,
    schema="public",
    table="orders",
    sql="CREATE INDEX …",
    gain_ms_per_day=1_000.0,
)


async def suggested(bench: Workbench, pg: Database, spec: IndexSpec, **more: Any) -> StoredSuggestion:
    """A connection to the shop after some work in it, and a suggestion to make an index on orders."""
    shop(pg)
    info = await bench.connections.add("shop", Target.from_url(pg.monitor_url))
    await bench.sync(info.id)
    pg.execute(*(BY_CUSTOMER.format(number) for number in range(1, 9)), *(BY_ID.format(n) for n in range(1, 20)))
    await bench.sync(info.id)
    window = await bench.store(history.latest_window, info.id, 86_400_000)
    rows = (await bench.store(history.queries, info.id, window)).rows
    query = next(row for row in rows if "customer =" in (row.text or ""))
    made = replace(ADVICE, change=CreateIndex(spec), query_ids=(query.id,), **more)
    saved = await bench.store(suggestions.save, info.id, [made])
    return await bench.store(suggestions.get, saved.ids[0])


INDEX = IndexSpec("public", "orders", (IndexColumn("customer"),), name="orders_customer")


async def test_a_missing_index_is_measured_end_to_end(bench: Workbench, pg: Database) -> None:
    found = await suggested(bench, pg, INDEX)
    review = await bench.hands.review_rehearsal(found.id)
    assert len(review.plan.statements) == 2 and all(text.startswith("SELECT ") for text in review.plan.statements)
    assert 'FROM ONLY "public"."orders"' in " ".join(review.plan.statements)
    assert pg.fetch("SELECT count(*) FROM pg_stat_all_tables WHERE relname = 'orders' AND seq_scan > 100") == [(0,)]

    told: list[str] = []
    row = await bench.hands.rehearse(found.id, review.hash, lambda progress: told.append(progress.phase))

    main = next(one for one in row.document["statements"] if one["main"])
    assert row.verdict == main["verdict"] == "faster"
    assert main["change"]["high"] < -0.5 and main["after"]["blocks"] < main["before"]["blocks"] / 2
    assert main["sets"] == 5 and main["rounds"] >= 8 and main["same_plan"] is True
    assert "Seq Scan of orders" in main["plan_before"]["nodes"]
    assert any("orders_customer" in node for node in main["plan_after"]["nodes"])
    others = [one for one in row.document["statements"] if not one["main"]]
    assert [one["verdict"] for one in others] == ["no effect"] and "id = $1" in others[0]["text"]
    assert others[0]["same_work"]
    undone = row.document["undone"]
    assert undone["proven"], undone
    assert undone["sql"].startswith("CREATE INDEX CONCURRENTLY") and undone["undo_sql"].startswith("DROP INDEX CONC")
    assert row.document["share"] == 1 and row.document["listed"] == 2 and row.document["failed"] == 0
    assert any("copying public.orders" in phase for phase in told) and any("measuring" in phase for phase in told)

    kept = await bench.store(rehearsals.samples, row.id)
    runs = kept[main["query_id"]]
    assert len(runs) == main["rounds"] * main["sets"] * 2 == main["runs"]
    assert {side for _, _, side, *_ in runs} == {"before", "after"}

    assert await bench.store(activity.recent, 1, subject=found.id, kind="suggestion.rehearsed")
    now = await bench.store(suggestions.get, found.id)
    assert now.evidence_kind is EvidenceKind.MEASURED and now.evidence["kind"] == "measured"
    assert now.title.startswith("Index orders (customer): −") and now.title.endswith("measured")
    assert now.confidence * 100 == sum(point["points"] for point in now.evidence["confidence"])
    assert now.priority is SuggestionPriority.HIGH and now.gain_ms_per_day == row.document["saved_ms_per_day"]["about"]
    assert any(fact.startswith("rehearsed: ") and "faster" in fact for fact in now.evidence["facts"])
    assert pg.fetch("SELECT indexname FROM pg_indexes WHERE tablename = 'orders'") == [("orders_pkey",)]

    run = (await bench.executions(found.connection_id))[0]
    assert (run.kind, run.state) == ("rehearse_suggestion", ExecutionState.DONE)
    assert {"copy", "measure", "save"} <= set(run.result["phases"])

    # Found again by a later run of the rules, it still rests on what was measured.
    again = replace(suggestions.bare(found), text="said anew")
    from meshag_tui.workflows.suggest import resting_on_rehearsals

    def save_again() -> None:
        suggestions.save(found.connection_id, resting_on_rehearsals(found.connection_id, [again]))

    await bench.store(save_again)
    later = await bench.store(suggestions.get, found.id)
    assert later.text == "said anew"
    assert (later.title, later.evidence_kind, later.confidence) == (now.title, now.evidence_kind, now.confidence)


async def test_one_statement_that_cannot_be_run_stops_no_other() -> None:
    fails, runs = Asked("qry_1", "SELECT broken", True, 1, None), Asked("qry_2", "SELECT 1", True, 1, 5.0)

    class Stage:
        label, prepared_s, copied, notes, source_plans = "a stage", 0.0, (), (), {}  # type: ignore[var-annotated]

        async def ready(self, statement: str, sets: int, seed: int) -> Runnable:
            if "broken" in statement:
                raise Refused("no values are known for its parameters")
            return Runnable(statement, statement, "", (), ((),))

        async def change(self, change: Any) -> str:
            return "CREATE INDEX"

        async def run(self, side: str, runnable: Runnable, values: Any) -> Execution:
            plan = Plan(PlanNode("0", "Result", 0, 1, 1, 1), "literal", side, {}, runnable.text)
            return Execution(10.0 if side == "before" else 5.0, 1, 0, 1, plan)

    stage: Any = Stage()
    done = await rehearse(stage, CreateIndex(INDEX), [fails, runs], 5.0, lambda *_: None)
    document = done.document()
    assert (document["listed"], document["failed"], document["faster"]) == (2, 1, 1)
    assert [one["verdict"] for one in document["statements"]] == ["failed", "faster"]
    assert "no values are known" in document["statements"][0]["why"] and document["verdict"] == "faster"


@pytest.mark.slow
async def test_an_index_nobody_uses_is_not_called_a_gain(bench: Workbench, pg: Database) -> None:
    unused = IndexSpec("public", "orders", (IndexColumn("note"),), name="orders_note")
    found = await suggested(bench, pg, unused)
    review = await bench.hands.review_rehearsal(found.id)
    row = await bench.hands.rehearse(found.id, review.hash)
    now = await bench.store(suggestions.get, found.id)
    main = next(one for one in row.document["statements"] if one["main"])
    assert main["before"]["blocks"] == main["after"]["blocks"]
    assert main["plan_before"]["hash"] == main["plan_after"]["hash"]
    assert row.verdict == "no effect" == main["verdict"]
    assert now.title.endswith(": no effect") and now.priority is SuggestionPriority.LOW
    assert (now.evidence_kind, now.gain_ms_per_day, now.confidence) == (EvidenceKind.MEASURED, 0.0, 0.05)


@pytest.mark.parametrize("known", [True, False], ids=["not-null", "nullable"])
@pytest.mark.slow
async def test_a_statement_written_otherwise_is_proven_or_said_not_to_be(
    bench: Workbench, pg: Database, known: bool
) -> None:
    shop(pg)
    pg.execute("ALTER TABLE orders ALTER COLUMN customer DROP NOT NULL")
    info = await bench.connections.add("shop", Target.from_url(pg.monitor_url))
    await bench.sync(info.id)
    text = "SELECT count(*) FROM customers WHERE id NOT IN (SELECT customer FROM orders WHERE id > {})"
    pg.execute(*(text.format(number * 1_000) for number in range(6)))
    await bench.sync(info.id)
    (found,) = [one for one in await bench.advice.suggest(info.id) if one.rule == "not-in-subquery"]
    other = found.evidence["rewrite"]["text"]
    assert "NOT EXISTS" in other and found.evidence["rewrite"]["proven"] is False
    assert any(fact.startswith("not proven") for fact in found.evidence["facts"])

    if known:
        pg.execute("ALTER TABLE orders ALTER COLUMN customer SET NOT NULL")
    review = await bench.hands.review_rehearsal(found.id)
    row = await bench.hands.rehearse(found.id, review.hash)
    now = await bench.store(suggestions.get, found.id)
    assert (row.kind, row.document["sql"], len(row.document["statements"])) == ("rewrite", other, 1)
    assert row.document["proof"]["proven"] is now.evidence["rewrite"]["proven"] is known
    assert f"({'proven' if known else 'not proven'})" in now.title
    assert known or any("may be NULL" in fact for fact in now.evidence["facts"])
    assert known or any(point["points"] == -40 for point in now.evidence["confidence"])
    later = await bench.store(suggestions.get, (await bench.advice.suggest(info.id), found.id)[1])
    assert later.title == now.title and later.evidence["rewrite"] == now.evidence["rewrite"]


@pytest.mark.slow
async def test_on_mysql_and_mariadb_it_is_proven_on_a_server_that_was_named(
    bench: Workbench, my: Schema, private_my: Callable[..., Schema]
) -> None:
    other = private_my(my.flavour)
    account = Target.from_url(other.user("ALL ON `meshag\\_rehearsal\\_%`.*", name="sandboxes"))
    await bench.connections.add("scratch", account)
    bench.settings = bench.settings._replace(rehearsal=RehearsalSettings(measure_s=8, server="scratch"))
    numbers = "WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < {}) SELECT {} FROM g"
    my.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, name varchar(20))",
        "INSERT INTO customers " + numbers.format(400, "n, CONCAT('c', n)"),
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, KEY (customer))",
        "INSERT INTO orders " + numbers.format(900, "n, 1 + n % 300"),
        "ANALYZE TABLE customers, orders",
    )
    info = await bench.connections.add("shop", Target.from_url(my.monitor_url))
    await bench.sync(info.id)
    text = "SELECT COUNT(*) FROM customers WHERE id NOT IN (SELECT customer FROM orders WHERE id > {})"
    my.execute(*(text.format(number * 100) for number in range(6)))
    await bench.sync(info.id)
    (found,) = [one for one in await bench.advice.suggest(info.id) if one.rule == "not-in-subquery"]
    otherwise = found.evidence["rewrite"]["text"]
    assert "NOT EXISTS" in otherwise and found.evidence["rewrite"]["proven"] is False

    for known in (False, True):
        if known:
            my.execute("ALTER TABLE orders MODIFY customer int NOT NULL")
        review = await bench.hands.review_rehearsal(found.id)
        assert review.plan.place.startswith("a database of its own on sandboxes@")
        row = await bench.hands.rehearse(found.id, review.hash)
        now = await bench.store(suggestions.get, found.id)
        assert (row.kind, row.document["sql"], len(row.document["statements"])) == ("rewrite", otherwise, 1)
        assert row.document["proof"]["proven"] is now.evidence["rewrite"]["proven"] is known, row.document["proof"]
        assert f"({'proven' if known else 'not proven'})" in now.title
        assert known or any("may be NULL" in fact for fact in now.evidence["facts"])
    assert other.fetch("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'meshag%'") == [(0,)]


async def test_the_server_of_the_settings_is_a_connection_by_its_name(bench: Workbench, pg18: Database) -> None:
    found = await suggested(bench, pg18, INDEX)
    bench.settings = bench.settings._replace(rehearsal=RehearsalSettings(server="scratch"))
    with pytest.raises(MeshagError, match="scratch"):
        await bench.hands.review_rehearsal(found.id)
    await bench.connections.add("scratch", Target.from_url("postgresql://tester@db.example.com/scratch"))
    review = await bench.hands.review_rehearsal(found.id)
    assert review.plan.place == "a database of its own on tester@db.example.com:5432/scratch"


@pytest.mark.slow
async def test_on_mysql_and_mariadb_it_is_measured_as_well_and_taking_back_a_setting_is_tried(
    bench: Workbench, my: Schema, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", on_path(my.flavour, tmp_path))
    my.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, note varchar(60))",
        filled("orders", 40_000, "n, 1 + n % 400, REPEAT('n', 50)"),
        "ANALYZE TABLE orders",
    )
    info = await bench.connections.add("shop", Target.from_url(my.monitor_url))
    await bench.sync(info.id)
    my.execute(*(BY_CUSTOMER.format(number) for number in range(1, 9)), *(BY_ID.format(n) for n in range(1, 20)))
    my.execute("UPDATE orders SET note = 'x' WHERE id = 7", "UPDATE orders SET customer = 5 WHERE id = 8")
    await bench.sync(info.id)
    window = await bench.store(history.latest_window, info.id, 86_400_000)
    rows = (await bench.store(history.queries, info.id, window)).rows
    query = next(row for row in rows if "COUNT" in (row.text or "").upper())
    spec = IndexSpec(my.name, "orders", (IndexColumn("customer"),), name="orders_customer")
    made = replace(ADVICE, schema=my.name, change=CreateIndex(spec), query_ids=(query.id,))
    setting = replace(
        ADVICE, identity="setting", change=SetSetting("sort_buffer_size", "1048576"), sql="SET …", undo_sql="SET …"
    )
    saved = await bench.store(suggestions.save, info.id, [made, setting])
    index, other = saved.ids

    review = await bench.hands.review_rehearsal(index)
    assert review.plan.place.startswith(f"a private {my.flavour}")
    row = await bench.hands.rehearse(index, review.hash)
    main = next(one for one in row.document["statements"] if one["main"])
    assert row.verdict == main["verdict"] == "faster" and main["same_plan"] is True, row.document["notes"]
    assert main["change"]["high"] < -0.5
    assert len(row.document["statements"]) == 4 and row.document["failed"] == 0, row.document
    assert row.document["undone"]["proven"] and row.document["share"] == 1
    now = await bench.store(suggestions.get, index)
    assert now.evidence_kind is EvidenceKind.MEASURED and "measured" in now.title

    review = await bench.hands.review_rehearsal(index)
    before = folders()

    def dies(progress: Any) -> None:
        if "measuring" in progress.phase and progress.done == 1:
            for folder in folders() - before:
                (pid,) = (folder / "data").glob("*.pid")
                os.kill(int(pid.read_text()), signal.SIGKILL)

    with pytest.raises(RunFailed):
        await bench.hands.rehearse(index, review.hash, dies)
    assert len(await bench.store(rehearsals.of_suggestion, index)) == 1 and folders() <= before

    review = await bench.hands.review_rehearsal(other)
    assert not review.plan.statements and not review.asked
    row = await bench.hands.rehearse(other, review.hash)
    assert (row.kind, row.verdict, row.document["statements"]) == ("undo", "proven", [])
    now = await bench.store(suggestions.get, other)
    assert now.evidence["facts"][0].startswith("undoing it was tried in the sandbox")
    assert (now.confidence, now.evidence_kind, now.title) == (0.7, EvidenceKind.PLANNED, ADVICE.title)


async def test_what_was_not_shown_is_not_read(bench: Workbench, pg18: Database) -> None:
    found = await suggested(bench, pg18, INDEX)
    with pytest.raises(MeshagError, match="look at it again"):
        await bench.hands.rehearse(found.id, "made up")
    review = await bench.hands.review_rehearsal(found.id)
    await bench.hands.rehearse(found.id, review.hash)
    with pytest.raises(MeshagError, match="look at it again"):
        await bench.hands.rehearse(found.id, review.hash)


async def test_cancelled_it_ends_and_nothing_of_it_is_left(
    bench: Workbench, pg18: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await suggested(bench, pg18, INDEX)
    review = await bench.hands.review_rehearsal(found.id)
    before = folders()
    measuring = asyncio.Event()

    def tell(progress: Any) -> None:
        if "measuring" in progress.phase:
            measuring.set()

    running = asyncio.create_task(bench.hands.rehearse(found.id, review.hash, tell))
    await asyncio.wait({running, asyncio.create_task(measuring.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert len(folders() - before) == 1
    assert await bench.cancel(bench.runner.running[0])
    with pytest.raises(RunCancelled):
        await running
    assert folders() <= before
    assert (await bench.executions(found.connection_id))[0].state is ExecutionState.CANCELLED
    now = await bench.store(suggestions.get, found.id)
    assert now.evidence_kind is EvidenceKind.PLANNED and await bench.store(rehearsals.of_suggestion, found.id) == ()


def folders(pid: int | None = None) -> set[Path]:
    """Folders of servers that a process (ours) has started."""
    found = set()
    for folder in (*temporary_folder("s").glob(f"{PREFIX}*"), *Path("/tmp").glob(f"{PREFIX}*")):  # theirs, by default
        with contextlib.suppress(OSError, ValueError):  # another process takes its own away
            if json.loads((folder / OWNER_FILE).read_text())["pid"] == (pid or os.getpid()):
                found.add(folder)
    return found


async def test_a_sandbox_that_dies_is_a_failure(bench: Workbench, pg: Database) -> None:
    found = await suggested(bench, pg, INDEX)
    review = await bench.hands.review_rehearsal(found.id)
    before = folders()

    def tell(progress: Any) -> None:
        if "measuring" in progress.phase and progress.done == 1:
            for folder in folders() - before:
                pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
                os.kill(pid, signal.SIGQUIT)

    with pytest.raises(RunFailed):
        await bench.hands.rehearse(found.id, review.hash, tell)
    run = (await bench.executions(found.connection_id))[0]
    assert run.state is ExecutionState.FAILED and run.attempts == 1
    assert await bench.store(rehearsals.of_suggestion, found.id) == ()


REHEARSES = """
import asyncio, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.workflows.workbench import Workbench

async def main():
    async with await Workbench.open(Settings(home=Path(sys.argv[1]), store_url=sys.argv[2])) as bench:
        review = await bench.hands.review_rehearsal(sys.argv[3])
        def tell(progress):
            if "measuring" in progress.phase:
                print("measuring", flush=True)
        await bench.hands.rehearse(sys.argv[3], review.hash, tell)

asyncio.run(main())
"""


async def test_killed_it_leaves_nothing_and_is_marked(
    bench: Workbench, settings: Settings, pg18: Database, other_process: Callable[..., Any]
) -> None:
    found = await suggested(bench, pg18, INDEX)
    process = other_process(REHEARSES, str(settings.home), settings.store_url, found.id)
    assert await asyncio.to_thread(process.stdout.readline) == "measuring\n"
    (folder,) = folders(process.pid)
    process.kill()
    process.wait()
    assert await asyncio.to_thread(wait_until, lambda: not folder.exists())
    await bench.runner.recover()
    await bench.runner.settle()
    run = await bench.store(executions.get, (await bench.executions(found.connection_id))[0].id)
    assert run.state is ExecutionState.FAILED and "nothing of it is left" in (run.error or "")
    assert await bench.store(rehearsals.of_suggestion, found.id) == ()


@pytest.mark.slow
async def test_the_command_shows_asks_and_prints(
    bench: Workbench, pg18: Database, settings: Settings, commands: Commands
) -> None:
    found = await suggested(bench, pg18, INDEX)
    environment = {**os.environ, "MESHAG_HOME": str(settings.home), "MESHAG_STORE": settings.store_url}

    async def meshag(*words: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(commands.run, words, environment, "", 120)

    _, out, _ = await meshag("benchmark", found.id, "--dry-run", "--json")
    assert len(json.loads(out)["statements"]) == 2
    code, _, said = await meshag("benchmark", found.id)
    assert code == 2 and "--yes" in said and await bench.store(rehearsals.of_suggestion, found.id) == ()
    code, out, said = await meshag("benchmark", found.id, "--yes")
    assert code == 0 and "faster" in out and "copied public.orders: 40,000 of 40,000 rows" in out, said
    assert "meshag: copying public.orders" in said
    (row,) = await bench.store(rehearsals.of_suggestion, found.id)
    code, out, _ = await meshag("benchmark", row.id, "--samples", "--json")
    document = json.loads(out)
    assert code == 0 and document["verdict"] == "faster"
    assert document["samples"].keys() == {one["query_id"] for one in document["statements"]}
