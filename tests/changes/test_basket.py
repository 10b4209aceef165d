"""Several suggestions in one run: in order, checked against each other, ended by the first that fails; and as files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from meshag_tui.changes.basket import Wanted, between, in_order
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
from tests.changes.conftest import BY_CUSTOMER, Desk, catalogue
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
    basket = await desk.bench.review_basket(ids)
    assert [item.wanted.change for item in basket.items] == [BY_CUSTOMER, DROP_STATUS, ANALYZE]
    assert basket.needs_name == "orders_status" and not basket.blocked_by and await desk.journal() == ()
    told: list[int] = []
    ran = await desk.bench.apply_basket(basket.plan_hash, "ada", lambda number, one: told.append(number))
    assert ran.failed is None and told == [1, 2, 3]
    assert {row.state for row in ran.done} == {ChangeState.DONE} and {row.actor for row in ran.done} == {"ada"}
    for id_ in ids:
        assert (await desk.bench.store(suggestions.get, id_)).status is SuggestionStatus.APPLIED
    with pytest.raises(MeshagError, match="too old"):
        await desk.bench.apply_basket(basket.plan_hash)
    for row in reversed(ran.done[:2]):
        _, review = await desk.bench.review_undo(row.id)
        await desk.bench.undo(row.id, review.plan_hash)
    assert catalogue(shop) == before


async def test_the_first_that_fails_ends_it(desk: Desk, shop: Database) -> None:
    ids = [(await desk.suggest(shop, change)).id for change in (BY_CUSTOMER, DROP_STATUS, ANALYZE)]
    basket = await desk.bench.review_basket(ids)
    shop.execute("COMMENT ON INDEX orders_status IS 'needed every December'")
    ran = await desk.bench.apply_basket(basket.plan_hash)
    assert [row.sql for row in ran.done] == [basket.items[0].review.sql]
    assert ran.failed == ids[1] and ran.error is not None and "changed since" in ran.error
    assert ran.not_begun == (ids[2],)
    assert {row.state for row in await desk.journal()} == {ChangeState.DONE, ChangeState.FAILED}
    assert shop.fetch("SELECT count(*) FROM pg_class WHERE relname = 'orders_status'") == [(1,)]


async def test_what_does_not_go_together_is_not_run(desk: Desk, shop18: Database) -> None:
    ids = [(await desk.suggest(shop18, change)).id for change in (ANALYZE, ANALYZE)]
    basket = await desk.bench.review_basket(ids)
    with pytest.raises(MeshagError, match="changed twice"):
        await desk.bench.apply_basket(basket.plan_hash)
    assert await desk.journal() == ()
    with pytest.raises(MeshagError, match="changed twice"):
        await desk.bench.migration(ids, "a", "b")


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
    made = await desk.bench.migration([each.id for each in found], "m.up.sql", "m.down.sql")
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
    made = await desk.bench.migration([each.id for each in found], "m.up.sql", "m.down.sql")
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
    made = await desk.bench.migration([each.id for each in found], "m.up.sql", "m.down.sql")
    assert definitions(my) == before
    options = tmp_path / "client.cnf"
    options.write_text(f"[client]\nuser={ADMIN}\npassword='{my.server.password}'\nsocket={my.server.socket}\n")
    for text, same in ((made.up, False), (made.down, True)):
        done = client(program, f"--defaults-file={options}", my.name, given=text)
        assert done.returncode == 0, done.stderr
        assert (definitions(my) == before) is same
