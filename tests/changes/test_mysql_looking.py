"""All that can be looked at on MySQL and MariaDB, on a server that writes down every statement: nothing changes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshag_tui.app import MeshagApp
from meshag_tui.settings import Settings
from meshag_tui.types import CreateIndex, IndexColumn, IndexSpec
from tests.changes.conftest import Desk
from tests.rig.mysql import FLAVOURS, Schema

READING = {"SELECT", "SET", "SHOW", "EXPLAIN", "USE"}
SHOP = (
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status varchar(20), KEY one (status), "
    "KEY two (status))",
    "INSERT INTO orders WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
    "SELECT i, i * 7 % 5000, 'done' FROM n",
    *["INSERT INTO orders SELECT id + (SELECT MAX(id) FROM orders), id * 7 % 5000, 'done' FROM orders"] * 5,
    "ANALYZE TABLE orders",
)


def said(schema: Schema) -> list[str]:
    """What our account sent, but for the beginnings of sessions."""
    query = (
        "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log "
        "WHERE command_type IN ('Query', 'Execute', 'Prepare') AND user_host LIKE 'shop\\_owner%'"
    )
    return [text for (text,) in schema.fetch(query)]


@pytest.mark.parametrize(
    "flavour", [pytest.param(each, marks=pytest.mark.soak if each == "MariaDB" else ()) for each in FLAVOURS]
)
async def test_looking_at_everything_changes_nothing(
    private_my: Callable[..., Schema], desk: Desk, settings: Settings, flavour: str
) -> None:
    schema = private_my(flavour, {"general-log": None, "log-output": "TABLE"})
    schema.execute(*SHOP)
    before = schema.fetch("SHOW CREATE TABLE orders")
    bench = desk.bench
    connection = await desk.connect(schema, schema.owner_url)
    await bench.connections.test_saved(connection)
    await bench.sync(connection)
    schema.execute(*(f"SELECT * FROM orders WHERE customer_id = {customer}" for customer in range(30)))
    await bench.sync(connection)
    found = await bench.advice.suggest(connection)
    assert {"missing-index", "duplicate-index"} <= {each.rule for each in found}
    await bench.connections.doctor(connection)
    reviewed = [await bench.hands.review(each.id) for each in found if each.change is not None]
    assert len(reviewed) >= 2 and all(each.sql for each in reviewed)
    app = MeshagApp(settings, bench)
    async with app.run_test(size=(120, 40)) as pilot:
        for key in "12345678":
            await pilot.press(key)
            await pilot.pause(0.2)
            await pilot.press("j", "enter", "escape", "g")
            await pilot.pause(0.1)
        await pilot.press("2")
        for key in ("P", "W", "escape", "4", "a", "escape", "u", "escape", "d", "escape", "r", "n"):
            await pilot.press(key)
            await pilot.pause(0.4)
    ours = said(schema)
    assert len(ours) > 40 and not [text for text in ours if "/* meshag" not in text]
    assert {text.lstrip("(").split(maxsplit=1)[0].upper() for text in ours} <= READING
    assert not [text for text in ours if text.upper().startswith(("SET GLOBAL", "SET PERSIST"))]
    assert schema.fetch("SHOW CREATE TABLE orders") == before

    change = CreateIndex(IndexSpec(schema.name, "orders", (IndexColumn("customer_id"),), name="by_customer"))
    advice = await desk.suggest(schema, change, url=schema.owner_url)
    await bench.hands.apply(advice.id, (await bench.hands.review(advice.id)).plan_hash)
    words = [text.lstrip("(").split()[0] for text in said(schema)]
    assert [word for word in words if word not in READING] == ["ALTER"], "it would show"
