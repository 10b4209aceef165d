"""Several suggestions in one run: in order, checked against each other, ended by the first that fails; and as files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from meshag_tui.changes.basket import Wanted, between, in_order
from meshag_tui.settings import Settings
from meshag_tui.store import suggestions
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Rebuild,
    Reindex,
    RenameIndex,
    SetSetting,
    SetTableOptions,
    SuggestionStatus,
)
from meshag_tui.workflows import change as change_workflow
from tests.changes.conftest import BY_CUSTOMER, ROOT, Desk, catalogue, invalid
from tests.changes.points import POINTS
from tests.changes.test_apply_undo import Reopened
from tests.changes.test_kill_points import some_of
from tests.changes.test_kinds import dump
from tests.changes.test_mysql import SHOP as MY_SHOP
from tests.changes.test_mysql import definitions, index
from tests.rig.mysql import ADMIN, Schema
from tests.rig.postgres import Database, bindir

BY_TWO = CreateIndex(IndexSpec("public", "orders", (IndexColumn("customer_id"), IndexColumn("status")), name="two"))
DROP_STATUS = DropIndex("public", "orders", "orders_status")
ANALYZE = Analyze("public", "orders")


def client(*command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a server's own client to its end."""
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def wanted(*changes: Change, **more: object) -> tuple[Wanted, ...]:
    return in_order([Wanted(f"sug_{n}", f"change {n}", one, **more) for n, one in enumerate(changes)])  # type: ignore[arg-type]


def kinds(*changes: Change) -> list[str]:
    return [f"{one.change.kind}" for one in wanted(*changes)]


def test_what_others_need_comes_first() -> None:
    other = CreateIndex(IndexSpec("public", "items", (IndexColumn("a"),)))
    assert kinds(ANALYZE, DROP_STATUS, other, BY_CUSTOMER, SetSetting("work_mem", "8MB")) == [
        "set-setting",
        "create-index",
        "drop-index",
        "analyze",
        "create-index",
    ]
    assert kinds(
        RenameIndex("public", "orders", "a", "b"),
        Reindex("public", "orders", "c"),
        CreateStatistics("public", "orders", ("a", "b"), ("mcv",)),
        SetTableOptions("public", "orders", (("fillfactor", "90"),)),
        Rebuild("public", "orders"),
    ) == ["set-table-options", "rebuild", "create-statistics", "reindex", "rename-index"]


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ((BY_CUSTOMER, replace(BY_CUSTOMER, spec=replace(BY_CUSTOMER.spec, name="other"))), "changed twice", "block"),
        ((DROP_STATUS, Reindex("public", "orders", "orders_status")), "changed twice", "block"),
        ((BY_CUSTOMER, RenameIndex("public", "orders", "x", "orders_by_customer")), "changed twice", "block"),
        ((SetSetting("work_mem", "8MB"), SetSetting("work_mem", "9MB")), "changed twice", "block"),
        ((ANALYZE, ANALYZE), "changed twice", "block"),
        ((BY_CUSTOMER, BY_TWO), "overlapping indexes", "warn"),
        ((BY_CUSTOMER, ANALYZE), "changes of public.orders", "pass"),
        ((BY_CUSTOMER,), "disk for new indexes together", "pass"),
    ],
)
def test_what_does_not_go_together_is_said(changes: tuple[Change, ...], name: str, state: str) -> None:
    assert (name, state) in [(gate.name, gate.state) for gate in between(wanted(*changes))]


def test_of_two_that_are_the_same_one_stays() -> None:
    twins = [
        Wanted("sug_1", "one", DropIndex("public", "orders", "a"), 8192, "public.b"),
        Wanted("sug_2", "other", DropIndex("public", "orders", "b"), 8192, "public.a"),
    ]
    (first, *_) = between(in_order(twins))
    assert (first.name, first.state) == ("index that is kept", "block")
    assert [gate.state for gate in between(twins[:1])] == ["pass"]


async def test_several_run_in_order_and_each_is_put_back_by_itself(desk: Desk, shop: Database) -> None:
    before = catalogue(shop)
    ids = [(await desk.suggest(shop, change)).id for change in (ANALYZE, DROP_STATUS, BY_CUSTOMER)]
    basket = await desk.bench.hands.review_basket(ids)
    assert [item.wanted.change for item in basket.items] == [BY_CUSTOMER, DROP_STATUS, ANALYZE]
    assert basket.needs_name == "orders_status" and not basket.blocked_by and await desk.journal() == ()
    told: list[int] = []
    ran = await desk.bench.hands.apply_basket(basket.plan_hash, "ada", lambda number, one: told.append(number))
    assert ran.failed is None and told == [1, 2, 3]
    assert {row.state for row in ran.done} == {ChangeState.DONE} and {row.actor for row in ran.done} == {"ada"}
    assert await desk.log("basket") == ["basket.begun", "basket.ended"]
    for id_ in ids:
        assert (await desk.bench.store(suggestions.get, id_)).status is SuggestionStatus.APPLIED
    with pytest.raises(MeshagError, match="too old"):
        await desk.bench.hands.apply_basket(basket.plan_hash)
    for row in reversed(ran.done[:2]):
        _, review = await desk.bench.hands.review_undo(row.id)
        await desk.bench.hands.undo(row.id, review.plan_hash)
    assert catalogue(shop) == before


async def test_the_first_that_fails_ends_it(desk: Desk, shop: Database) -> None:
    ids = [(await desk.suggest(shop, change)).id for change in (BY_CUSTOMER, DROP_STATUS, ANALYZE)]
    basket = await desk.bench.hands.review_basket(ids)
    shop.execute("COMMENT ON INDEX orders_status IS 'needed every December'")
    ran = await desk.bench.hands.apply_basket(basket.plan_hash)
    assert [row.sql for row in ran.done] == [basket.items[0].review.sql]
    assert ran.failed == ids[1] and ran.error is not None and "changed since" in ran.error
    assert ran.not_begun == (ids[2],)
    assert {row.state for row in await desk.journal()} == {ChangeState.DONE, ChangeState.FAILED}
    assert shop.fetch("SELECT count(*) FROM pg_class WHERE relname = 'orders_status'") == [(1,)]


RUNS = """
import asyncio, os, signal, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.workflows.workbench import Workbench
from tests.changes.points import at

async def main():
    home, store, point, *ids = sys.argv[1:]

    def tell(number, one):
        if number == 2:
            at(point, lambda: os.kill(os.getpid(), signal.SIGKILL))

    async with await Workbench.open(Settings(home=Path(home), store_url=store)) as bench:
        basket = await bench.hands.review_basket(ids)
        await bench.hands.apply_basket(basket.plan_hash, "ada", tell)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", some_of(POINTS, ("before planned", "after run")))
async def test_of_a_run_that_was_killed_what_it_did_not_begin_is_offered_again(
    desk: Desk, shop18: Database, settings: Settings, reopened: Reopened, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """kill -9 at each moment of the second of three: it has its end by the catalogue, the third was not begun."""
    monkeypatch.setattr(change_workflow, "_ON_ITS_WAY_MS", 0)
    found = [await desk.suggest(shop18, change) for change in (BY_CUSTOMER, DROP_STATUS, ANALYZE)]
    ids, connection_id = [each.id for each in found], found[0].connection_id
    command = [sys.executable, "-c", RUNS, str(settings.home), settings.store_url, point, *ids]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: ASYNC221
    assert done.returncode == -signal.SIGKILL, done.stderr
    later = await reopened()
    for _ in range(3):  # the session of the dead may be at its statement still
        await later.scheduler().once()
    rows = {row.suggestion_id: row for row in await desk.journal()}
    assert rows[ids[0]].state is ChangeState.DONE and ids[2] not in rows and all(x.attempts <= 1 for x in rows.values())
    there = shop18.fetch("SELECT count(*) FROM pg_class WHERE relname = 'orders_status'") == [(1,)]
    second = rows.get(ids[1])
    assert (second is not None and second.state is ChangeState.DONE) is not there and invalid(shop18) == []
    left = await later.hands.left_of_basket(connection_id)
    rest = [ids[2]] if point != "before planned" else [ids[1], ids[2]]
    assert left is not None and [each.suggestion_id for each in left.items] == rest and left.actor == "ada"
    assert await later.hands.left_of_basket(connection_id) is None, "it is told once unasked"
    asked = await later.hands.left_of_basket(connection_id, asked=True)
    assert asked is not None and asked.items == left.items
    again = await later.hands.review_basket([each.suggestion_id for each in asked.items])
    assert (await later.hands.apply_basket(again.plan_hash)).failed is None
    assert await later.hands.left_of_basket(connection_id, asked=True) is None


async def test_there_must_be_room_for_all_of_them(desk: Desk, shop18: Database) -> None:
    sizes = (1_000, 2_000_000)
    changes = (BY_CUSTOMER, CreateIndex(IndexSpec("public", "orders", (IndexColumn("total"),))))
    ids = [(await desk.suggest(shop18, one, size_bytes=size)).id for one, size in zip(changes, sizes, strict=True)]
    basket = await desk.bench.hands.review_basket(ids)
    assert [item.review.estimated_bytes for item in basket.items] == [1_000, 2_001_000]
    ran = await desk.bench.hands.apply_basket(basket.plan_hash)
    assert [row.target["estimated_bytes"] for row in ran.done] == list(sizes), "asked again, the first is there"
    connection_id = await desk.connect(shop18)
    assert await desk.bench.hands.left_of_basket(connection_id, asked=True) is None


async def test_what_does_not_go_together_is_not_run(desk: Desk, shop18: Database) -> None:
    ids = [(await desk.suggest(shop18, change)).id for change in (ANALYZE, ANALYZE)]
    basket = await desk.bench.hands.review_basket(ids)
    with pytest.raises(MeshagError, match="changed twice"):
        await desk.bench.hands.apply_basket(basket.plan_hash)
    assert await desk.journal() == ()
    with pytest.raises(MeshagError, match="changed twice"):
        await desk.bench.hands.migration(ids, "a", "b")


MIGRATED: tuple[Change, ...] = (
    BY_CUSTOMER,
    DropIndex("public", "orders", "words"),
    SetTableOptions("public", "orders", (("fillfactor", "90"),)),
    CreateStatistics("public", "orders", ("customer_id", "status"), ("mcv",)),
    RenameIndex("public", "orders", "orders_status", 'odd "one"\'; \\! true\n--'),
    SetSetting("work_mem", "64MB", role="meshag_monitor"),
    ANALYZE,
)
ODD = "/* evil */ name;\nDROP TABLE orders; --"


async def test_psql_runs_it_up_and_down(desk: Desk, shop: Database, tmp_path: Path) -> None:
    shop.execute(f"CREATE INDEX words ON orders (note) WHERE note <> E'it''s;\\n--'; COMMENT ON INDEX words IS '{ODD}'")
    before = dump(shop)
    found = [await desk.suggest(shop, change) for change in MIGRATED]
    made = await desk.bench.hands.migration([each.id for each in found], "m.up.sql", "m.down.sql")
    assert made.not_undone == ("Something to do",) and await desk.journal() == () and dump(shop) == before
    psql = bindir(shop.major) / "psql"
    for name, text, same in (("up", made.up, False), ("down", made.down, True)):
        file = tmp_path / f"m.{name}.sql"
        file.write_text(text)
        done = client(str(psql), "-X", "-f", str(file), shop.socket_url)
        assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
        assert (dump(shop) == before) is same


async def test_psql_stops_at_what_fails(desk: Desk, shop18: Database, tmp_path: Path) -> None:
    found = [await desk.suggest(shop18, change) for change in (BY_CUSTOMER, DROP_STATUS)]
    made = await desk.bench.hands.migration([each.id for each in found], "m.up.sql", "m.down.sql")
    shop18.execute("CREATE INDEX orders_by_customer ON orders (total)")
    file = tmp_path / "up.sql"
    file.write_text(made.up)
    done = client(str(bindir(18) / "psql"), "-X", "-f", str(file), shop18.socket_url)
    assert done.returncode == 3
    assert shop18.fetch("SELECT count(*) FROM pg_class WHERE relname = 'orders_status'") == [(1,)]


async def test_the_client_of_mysql_runs_it_up_and_down(desk: Desk, my: Schema, tmp_path: Path) -> None:
    program = shutil.which("mariadb") or shutil.which("mysql")
    if program is None:
        pytest.skip("no client of MySQL or MariaDB on this machine")
    my.execute(*MY_SHOP)
    before = definitions(my)
    changes: tuple[Change, ...] = (
        index(my, IndexColumn("note"), IndexColumn("id"), name="x`; DROP TABLE orders; -- y"),
        DropIndex(my.name, "orders", "status"),
        RenameIndex(my.name, "orders", "od`d; -- (", "/*!50000 evil*/"),
        SetTableOptions(my.name, "orders", (("STATS_SAMPLE_PAGES", "64"),)),
        Analyze(my.name, "orders"),
    )
    found = [await desk.suggest(my, change) for change in changes]
    made = await desk.bench.hands.migration([each.id for each in found], "m.up.sql", "m.down.sql")
    assert definitions(my) == before
    options = tmp_path / "client.cnf"
    options.write_text(f"[client]\nuser={ADMIN}\npassword='{my.server.password}'\nsocket={my.server.socket}\n")
    for text, same in ((made.up, False), (made.down, True)):
        done = client(program, f"--defaults-file={options}", my.name, given=text)
        assert done.returncode == 0, done.stderr
        assert (definitions(my) == before) is same
