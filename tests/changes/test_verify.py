"""Applied, and then what? Compared with the time before on real servers, told, and taken back when it is worse."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from meshag_tui.changes import verification
from meshag_tui.changes.take_back import plan_line
from meshag_tui.cli.changes import outcome_lines
from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.settings import MoneySettings, Settings, VerifySettings
from meshag_tui.store import changes, connections, history, models, outcomes, snapshots, suggestions
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import now_ms
from meshag_tui.store.outcomes import ChangeOutcome, OutcomeState
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    DropIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Risk,
    SetSetting,
    Suggestion,
    SuggestionPriority,
    SuggestionStatus,
    SuggestionType,
    Window,
)
from meshag_tui.workflows.durable import RunFailed
from meshag_tui.workflows.verify import BY_ITSELF
from tests.changes.conftest import BY_CUSTOMER, Corner, Desk
from tests.rig.mysql import Schema, Servers
from tests.rig.postgres import Database
from tests.rig.stores import put_store
from tests.store import readings

SPANS = 24
"""Syncs before a change: so many that one in which the machine was busy with other things does not hide the rest."""
MINUTE = 60_000


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    """A window of an hour, which is not waited for longer."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    verify = VerifySettings(window_h=1.0, patience_windows=1)
    return Settings(home=home, store_url=put_store(home / "store.db"), verify=verify)


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers and store of a test go by the same clock, and their syncs are moments apart."""
    monkeypatch.setattr(verification, "SKEW_MS", 0)


@dataclass
class Shop:
    """A database with its customers, on any server: `work` is what they do between two syncs."""

    database: Database | Schema
    schema: str

    @classmethod
    def on(cls, database: Database | Schema) -> Shop:
        postgres = isinstance(database, Database)
        shop = cls(database, "public" if postgres else database.name)
        rows = "SELECT i FROM generate_series(1, 150000) i"
        if not postgres:  # its recursion ends at a thousand
            some = "WITH RECURSIVE n AS (SELECT 1 k UNION ALL SELECT k + 1 FROM n WHERE k < 900)"
            rows = f"{some} SELECT a.k * 67 + b.k AS i FROM n a JOIN n b ON b.k <= 67"
        database.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, note varchar(40))",
            f"INSERT INTO orders SELECT t.i, mod(t.i, 500), 'n' FROM ({rows}) t",
            "CREATE TABLE goods (id int PRIMARY KEY, name varchar(40))",
            "INSERT INTO goods VALUES (1, 'pen'), (2, 'ink')",
            "ANALYZE orders" if postgres else "ANALYZE TABLE orders",
        )
        return shop

    @property
    def index(self) -> CreateIndex:
        return CreateIndex(IndexSpec(self.schema, "orders", (IndexColumn("customer_id"),), name="by_customer"))

    @contextlib.contextmanager
    def customers(self) -> Iterator[Callable[[], None]]:
        with self.database.connect() as connection, connection.cursor() as cursor:
            turn = itertools.count()

            def work() -> None:
                for number in range(12):
                    cursor.execute(f"SELECT note FROM orders WHERE customer_id = {number}")
                    cursor.fetchall()
                    cursor.execute(f"UPDATE orders SET note = 'm{next(turn)}' WHERE id = {number + 68}")
                    for text in ("name FROM goods", "count(*) FROM goods", "max(id) FROM goods"):
                        cursor.execute(f"SELECT {text}")
                        cursor.fetchall()

            yield work


async def watched(desk: Desk, shop: Shop, work: Callable[[], None], spans: int = SPANS) -> None:
    """Customers work and their statements are read, `spans` times."""
    connection_id = await desk.connect(shop.database)
    for _ in range(spans):
        await asyncio.to_thread(work)
        await desk.bench.sync(connection_id)


async def applied(
    desk: Desk, shop: Shop, change: Change, about: str | None = None, gain: float | None = None, rule: str = "test"
) -> ChangeRow:
    """A change applied for a suggestion about the statement that holds the words `about`."""
    connection_id = await desk.connect(shop.database)
    ids: tuple[int, ...] = ()
    if about is not None:
        page = await desk.bench.store(history.queries, connection_id, Window(0, 10**14), text=about)
        ids = tuple(row.id for row in page.rows)
        assert ids
    advice = Suggestion(
        rule=rule,
        identity=f"{rule}:{next(desk.numbers)}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=SuggestionPriority.HIGH,
        title=f"Advice about {about}",
        text="",
        evidence_kind=EvidenceKind.PLANNED,
        evidence={"facts": [], "object": {}, "size_bytes": 100_000},
        confidence=0.8,
        risk=Risk.LOW,
        schema=shop.schema,
        table="orders",
        change=change,
        sql="as reviewed",
        query_ids=ids,
        gain_ms_per_day=gain,
    )
    (suggestion_id,) = (await desk.bench.store(suggestions.save, connection_id, [advice])).ids
    review = await desk.bench.hands.review(suggestion_id)
    return await desk.bench.hands.apply(suggestion_id, review.plan_hash, actor="ada")


@pytest.fixture(
    params=[
        "pg18",
        "mariadb",
        pytest.param("pg15", marks=pytest.mark.soak),
        pytest.param("mysql", marks=pytest.mark.soak),
    ]
)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A shop on each server in turn."""
    if request.param.startswith("pg"):
        yield Shop.on(request.getfixturevalue(request.param))
        return
    servers: Servers = request.getfixturevalue("my_servers")
    for schema in servers.fresh(MARIADB if request.param == "mariadb" else MYSQL):
        yield Shop.on(schema)


@pytest.mark.slow
async def test_what_a_change_did_is_measured_beside_what_was_forecast(
    desk: Desk, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that helps, told as a gain; then dropped as if it did not, told as a loss, and taken back."""
    monkeypatch.setattr(verification, "EARLY", (1.0,))  # the chance of a false alarm need not be shared
    monkeypatch.setattr(verification, "_DOZEN", SPANS)
    with shop.customers() as work:
        await watched(desk, shop, work, SPANS + 1)  # the first sync is a baseline
        made = await applied(desk, shop, shop.index, "customer_id", gain=1.0)
        await watched(desk, shop, work, 1)
        waiting = await desk.bench.hands.verify(made.id)
        assert waiting.state is OutcomeState.WAITING and not waiting.settled
        assert "not enough calls yet" in waiting.result["said"]
        gained = await found_out(desk, shop, work, made)
        dropped = await applied(desk, shop, DropIndex(shop.schema, "orders", "by_customer"))
        lost = await found_out(desk, shop, work, dropped)
    assert gained.state is OutcomeState.BETTER, str(gained.result)
    assert gained.saved_ms_per_day is not None and gained.saved_ms_per_day > 0 and gained.gain_ms_per_day == 1.0
    targets = gained.result["targets"]
    assert 0 < targets["low"] <= targets["value"] <= targets["high"]
    by_role = {each["role"]: each for each in gained.result["statements"]}
    before, after = by_role["target"]["mean_ms"]
    assert after < before / 2
    assert by_role["writer"]["calls"][0] >= 12, "what writes the table is watched too"
    assert set(by_role) <= {"target", "reader", "writer"} and gained.result["machine"] is not None
    assert gained.result["index"]["name"] == "by_customer" and gained.result["index"]["scans"] is not None
    assert gained.result["writes"] is not None
    (planned,) = gained.result["plans"]
    assert (
        planned["before"]["hash"] != planned["after"]["hash"] and planned["before"]["cost"] > planned["after"]["cost"]
    )
    assert any("by_customer" in node for node in planned["after"]["nodes"])
    assert not any("by_customer" in node for node in planned["before"]["nodes"])
    assert "by_customer" in plan_line(planned) and "→" in plan_line(planned)
    assert lost.state is OutcomeState.WORSE, str(lost.result)
    listed = await desk.bench.store(outcomes.applied)
    states = {each.change.id: each.outcome and each.outcome.state for each in listed}
    assert states == {made.id: OutcomeState.BETTER, dropped.id: OutcomeState.WORSE}
    await taken_back(desk, dropped)


async def found_out(desk: Desk, shop: Shop, work: Callable[[], None], row: ChangeRow) -> ChangeOutcome:
    """The customers go on until it is clear what the change did: on a busy machine that takes longer."""
    for _ in range(20):
        await watched(desk, shop, work, 4)
        found = await desk.bench.hands.verify(row.id)
        if found.state in (OutcomeState.BETTER, OutcomeState.WORSE):
            break
    return found


async def taken_back(desk: Desk, row: ChangeRow) -> None:
    """The regression was advised to be taken back, and applying that is undoing the change."""
    (advice,) = await desk.bench.store(lambda: suggestions.listing(rule="rollback-regression"))
    assert advice.sql == row.undo_sql and advice.priority is SuggestionPriority.HIGH and advice.is_open
    assert any("→" in fact for fact in advice.evidence["facts"])
    review = await desk.bench.hands.review(advice.id)
    assert row.undo_sql is not None and review.sql == row.undo_sql
    undone = await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert undone.undoes == row.id and (await desk.bench.store(changes.get, row.id)).state is ChangeState.UNDONE
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.APPLIED
    assert row.suggestion_id is not None
    assert (await desk.bench.store(suggestions.get, row.suggestion_id)).status is SuggestionStatus.REVIEWED
    kept = await desk.bench.store(outcomes.get, row.id)
    assert kept is not None and kept.state is OutcomeState.WORSE and kept.next_look_at is None


# ---------------------------------------------------------------------------------------------- with counts of our own


async def counted(
    desk: Desk,
    row: ChangeRow,
    after: float,
    spans: int = 30,
    lost_at: int | None = None,
    about: str = "SELECT note FROM orders WHERE customer_id = $1",
    **reads: tuple[int, int],
) -> None:
    """Half an hour before and after `row`, which was applied half an hour ago: its statement takes 10 ms a call, and
    since then `after` ms; `reads` are what else is counted of a call, before and since. At sync `lost_at` the server's
    statistics were reset."""

    def write() -> None:
        now = now_ms()
        applied_at = now - spans * MINUTE
        models.Change.update(started_at=applied_at - 100, finished_at=applied_at).execute()
        server = readings.Watched(at=applied_at - (spans + 1) * MINUTE - 200)
        texts = [readings.text("about", about, kind=about.split()[0].lower())]
        texts += [readings.text(f"other{each}") for each in range(4)]
        for number in range(2 * spans + 2):
            if number == lost_at:
                server.epoch = replace(server.epoch, stats_reset=number)
                server.statements = {}
            more = {name: 50.0 * each[number > spans] for name, each in reads.items()}
            server.run("about", 50, (10.0 if number <= spans else after) * (1 + number % 3 / 100), **more)
            for each in range(4):
                server.run(f"other{each}", 20, 1.0 + number % 2 / 100)
            snapshot = server.snapshot(MINUTE if number != spans + 1 else MINUTE + 300)
            snapshots.write(row.connection_id, snapshot, texts if number == 0 else (), expected_ms=MINUTE)
        connections.synced(row.connection_id, snapshot.facts, ())

    await desk.bench.store(write)


async def test_it_is_undone_by_itself_only_where_that_was_asked_for_and_nothing_stands_in_the_way(
    desk: Desk, corner: Corner
) -> None:
    corner.database.execute("CREATE INDEX needed ON orders (customer_id)")
    await desk.bench.sync(await desk.connect(corner.database))  # its size: room for it
    row = await desk.apply(corner.database, corner.drop_of("needed"))
    await counted(desk, row, after=30.0)

    async def verified() -> tuple[ChangeState, Any]:
        assert (await desk.bench.hands.verify(row.id)).state is OutcomeState.WORSE
        run = next(run for run in await desk.bench.executions() if run.kind == "verify_change")
        return (await desk.bench.store(changes.get, row.id)).state, run.result

    assert (await verified())[0] is ChangeState.DONE, "nobody asked for it"
    await desk.bench.connections.edit(row.connection_id, undo_worse=True, read_only=True)
    assert (await verified())[0] is ChangeState.DONE, "it must not be changed"
    await desk.bench.connections.edit(row.connection_id, read_only=False)
    corner.database.execute("CREATE INDEX needed ON orders (note)")  # its name is taken by now
    state, result = await verified()
    assert state is ChangeState.DONE and "taken" in result["not_undone"]
    assert len(await desk.journal()) == 1
    corner.execute_drop("needed")
    state, result = await verified()
    assert result["undone"], result
    undo, original = await desk.journal()
    assert state is original.state is ChangeState.UNDONE and result["undone"] == undo.id
    assert (undo.state, undo.undoes, undo.actor) == (ChangeState.DONE, row.id, BY_ITSELF)
    assert "needed" in corner.indexes()


@pytest.mark.parametrize(
    ("hits", "from_disk", "state"),
    [
        ((40, 40), (1, 1), OutcomeState.INCOMPARABLE),
        ((40, 41), (1, 2), OutcomeState.INCOMPARABLE),
        ((40, 60), (1, 1), OutcomeState.WORSE),
        ((40, 20), (1, 21), OutcomeState.WORSE),
    ],
)
async def test_a_loss_is_not_the_changes_where_each_call_reads_the_blocks_it_read_before(
    desk: Desk, shop18: Database, hits: tuple[int, int], from_disk: tuple[int, int], state: OutcomeState
) -> None:
    shop18.execute("CREATE INDEX kept ON orders (customer_id)", "CREATE INDEX copied ON orders (customer_id)")
    row = await desk.apply(shop18, DropIndex("public", "orders", "copied"))
    await counted(desk, row, after=30.0, shared_hit=hits, shared_read=from_disk)
    found = await desk.bench.hands.verify(row.id)
    assert found.state is state, found.result
    advised = await desk.bench.store(lambda: suggestions.listing(rule="rollback-regression"))
    assert bool(advised) == (state is OutcomeState.WORSE)
    if not advised:
        assert found.result["reason"] == "same-work" and "read as much as before" in found.result["said"]


READING, WRITING = "SELECT note FROM orders WHERE customer_id = ?", "UPDATE orders SET note = ? WHERE customer_id = ?"


@pytest.mark.parametrize(
    ("rule", "about", "rows", "state"),
    [
        ("duplicate-index", READING, (40, 40), OutcomeState.INCOMPARABLE),
        ("duplicate-index", READING, (40, 60), OutcomeState.WORSE),
        ("duplicate-index", WRITING, (0, 0), OutcomeState.INCOMPARABLE),
        ("redundant-index", READING, (40, 40), OutcomeState.WORSE),
    ],
    ids=["a copy", "more rows", "a writer has less to do", "look-ups are not among the rows"],
)
async def test_a_loss_is_not_that_of_a_dropped_copy_where_as_many_rows_are_read(
    desk: Desk, mariadb: Schema, rule: str, about: str, rows: tuple[int, int], state: OutcomeState
) -> None:
    mariadb.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, KEY kept (customer_id), KEY copied (customer_id))"
    )
    row = await applied(desk, Shop(mariadb, mariadb.name), DropIndex(mariadb.name, "orders", "copied"), rule=rule)
    await counted(desk, row, after=30.0, about=about, shared_hit=(0, 0), rows_examined=rows)
    await desk.bench.store(lambda: models.QueryStatistics.update(shared_hit=None, shared_read=None).execute())
    found = await desk.bench.hands.verify(row.id)
    assert found.state is state, found.result


async def test_advice_to_take_back_goes_when_it_is_no_longer_so(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    await counted(desk, row, after=30.0)
    await desk.bench.hands.verify(row.id)
    (advice,) = await desk.bench.store(lambda: suggestions.listing(rule="rollback-regression"))
    await desk.bench.store(lambda: models.QueryStatistics.update(time_ms=400.0).execute())
    assert (await desk.bench.hands.verify(row.id)).state is OutcomeState.INCONCLUSIVE
    assert (await desk.bench.store(suggestions.get, advice.id)).resolved_at is not None


async def test_after_the_last_word_a_later_window_is_compared_beside_it(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    await counted(desk, row, after=2.0)
    first = await desk.bench.hands.verify(row.id)
    assert first.state is OutcomeState.BETTER and not first.settled and "later" not in first.result

    def weeks_go_by() -> None:
        time_ms = models.QueryStatistics.time_ms
        models.Outcome.update(settled=True, held=True).execute()
        models.QueryStatistics.update(time_ms=time_ms * 20).where((time_ms > 50) & (time_ms < 400)).execute()

    await desk.bench.store(weeks_go_by)
    found = await desk.bench.hands.verify(row.id)
    assert found.state is OutcomeState.BETTER and found.held is True and found.result["said"] == first.result["said"]
    assert found.result["later"]["state"] == "worse" and found.result["later"]["saved"]["high"] < 0
    (advice,) = await desk.bench.store(lambda: suggestions.listing(rule="rollback-regression"))
    assert advice.is_open and advice.sql == row.undo_sql
    said = list(outcome_lines(found, MoneySettings()))
    assert sum(line.startswith("not seen  what functions run") for line in said) == 1
    assert any(line.startswith("later     worse") for line in said), said


async def test_looks_are_due_with_news_only_and_the_scheduler_makes_them(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    assert await desk.bench.store(outcomes.due) == (), "the server was not read since"
    await counted(desk, row, after=2.0)
    (due,) = await desk.bench.store(outcomes.due)
    assert (due.change_id, due.due_at) == (row.id, row.finished_at)
    await desk.bench.connections.pause(row.connection_id)
    await desk.bench.scheduler().once()
    looked = await desk.bench.store(outcomes.get, row.id)
    assert looked is not None and looked.looks == 1 and looked.state is OutcomeState.BETTER
    assert await desk.bench.store(outcomes.due) == ()


async def test_what_waits_for_syncs_is_looked_at_after_each_of_them(desk: Desk, corner: Corner) -> None:
    row = await desk.apply(corner.database, corner.by_customer)
    found = []
    for _ in range(4):
        await desk.bench.sync(row.connection_id)
        await desk.bench.connections.pause(row.connection_id)
        await desk.bench.scheduler().once()
        looked = await desk.bench.store(outcomes.get, row.id)
        assert looked is not None and looked.state is OutcomeState.WAITING
        found.append(looked.result["said"])
        await desk.bench.connections.resume(row.connection_id)
    counts = ("0 syncs", "1 sync", "2 syncs", "3 syncs")  # the first one after it has none before it to begin with
    assert found == [f"not enough calls yet: {each} since, 4 are needed" for each in counts]
    assert await desk.bench.store(outcomes.due) == (), "nothing new to see before the next sync"


async def test_a_reset_meanwhile_is_said_and_nothing_concluded(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    await counted(desk, row, after=2.0, spans=4, lost_at=7)
    found = await desk.bench.hands.verify(row.id)
    assert found.state is OutcomeState.INCOMPARABLE and "statistics were reset" in found.result["said"]
    assert found.held is None and found.saved_ms_per_day is None


async def test_a_made_index_nobody_uses_is_advised_to_be_taken_back(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    await desk.bench.sync(row.connection_id)
    await desk.bench.sync(row.connection_id)

    def long_ago() -> None:
        days = 15 * 86_400_000
        models.Change.update(
            started_at=(row.started_at or 0) - days, finished_at=(row.finished_at or 0) - days
        ).execute()

    found = await desk.bench.hands.verify(row.id)
    assert found.result["index"]["scans"] == 0
    assert await desk.bench.store(lambda: suggestions.listing(rule="rollback-unused")) == ()
    await desk.bench.store(long_ago)
    await desk.bench.hands.verify(row.id)
    (advice,) = await desk.bench.store(lambda: suggestions.listing(rule="rollback-unused"))
    assert "orders_by_customer" in advice.title and advice.sql == row.undo_sql
    with shop18.connect() as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SELECT note FROM orders WHERE customer_id = 7").fetchall()
        connection.execute("SELECT pg_stat_force_next_flush()")
    await desk.bench.sync(row.connection_id)
    assert (await desk.bench.hands.verify(row.id)).result["index"]["scans"] > 0
    assert await desk.bench.store(lambda: suggestions.listing(rule="rollback-unused")) == ()


async def test_changes_of_one_run_are_measured_as_one_and_none_is_undone_by_itself(
    desk: Desk, shop18: Database
) -> None:
    first = await desk.apply(shop18, BY_CUSTOMER)
    second = await desk.apply(shop18, Analyze("public", "orders"))
    await counted(desk, first, after=30.0)  # applies to both: there was no sync between them
    await desk.bench.connections.edit(first.connection_id, undo_worse=True)
    found = await desk.bench.hands.verify(first.id)
    assert found.state is OutcomeState.WORSE and found.result["together"] == [second.id]
    assert f"with {second.id}" in found.result["said"] and found.held is None
    assert [each.state for each in await desk.journal()] == [ChangeState.DONE] * 2


async def test_a_change_too_soon_after_another_is_not_told_apart_from_it(desk: Desk, shop18: Database) -> None:
    first = await desk.apply(shop18, BY_CUSTOMER)
    second = await desk.apply(shop18, Analyze("public", "orders"))
    await counted(desk, first, after=2.0)

    def minutes_later() -> None:
        models.Change.update(
            started_at=models.Change.started_at + 8 * MINUTE, finished_at=models.Change.finished_at + 8 * MINUTE
        ).where(models.Change.id == second.id).execute()
        models.QueryStatistics.update(calls=1).execute()  # too few in so short a time

    await desk.bench.store(minutes_later)
    found = await desk.bench.hands.verify(first.id)
    assert found.state is OutcomeState.INCOMPARABLE and found.settled and second.id in found.result["said"]
    assert found.held is None and found.result["together"] == []


async def test_what_was_never_forecast_is_refused_in_a_line(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    await desk.bench.store(lambda: models.Outcome.delete().execute())
    with pytest.raises(RunFailed, match="before MeshAG kept forecasts"):
        await desk.bench.hands.verify(row.id)
    listed = await desk.bench.store(outcomes.applied)
    assert [(each.change.id, each.outcome) for each in listed] == [(row.id, None)]


async def test_a_setting_is_compared_by_all_statements(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, SetSetting("work_mem", "8MB", database=shop18.name))
    await counted(desk, row, after=30.0)
    found = await desk.bench.hands.verify(row.id)
    assert found.state is OutcomeState.WORSE, found.result
    assert {each["role"] for each in found.result["statements"]} == {"reader"}
    assert found.result["index"] is None and found.result["writes"] is None
    await desk.bench.hands.undo(row.id)
