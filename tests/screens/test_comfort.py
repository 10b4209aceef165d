"""Comfort by keys: finding anything by letters, going back to where one was, copying as it is pasted elsewhere."""

from __future__ import annotations

import asyncio
import shlex

import pytest
from peewee import fn

from meshag_tui.engines import words_for
from meshag_tui.screens import copying
from meshag_tui.screens.trail import Step, Trail
from meshag_tui.store import ids, models
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Open
from tests.screens.test_overview import NOWHERE


def test_a_trail_goes_back_and_forth_and_forgets_what_lay_ahead() -> None:
    trail = Trail()
    a, b, c = Step("queries", "x"), Step("tables", "x"), Step("queries", "y")
    for step in (a, b, b, c):
        trail.went(step)
    assert trail.steps == [a, b, c] and not trail.can(1)
    assert (trail.turn(-1), trail.turn(-1), trail.turn(-1)) == (b, a, None)
    trail.went(a)  # where the turn led: no new step
    assert trail.turn(1) == b
    trail.went(a)
    assert trail.steps == [a, b, a] and not trail.can(1)
    for number in range(200):
        trail.went(Step(str(number), None))
    assert len(trail.steps) == 50


@pytest.mark.parametrize("server", ["PostgreSQL", "MariaDB"])
async def test_a_command_is_quoted_for_a_shell_and_holds_no_password(bench: Workbench, server: str) -> None:
    scheme = "postgresql" if server == "PostgreSQL" else "mysql"
    target = Target.from_url(f"{scheme}://o'brien:canary@db1.example.org:6000/my%20shop")
    info = await bench.connections.add("shop", target)
    sql = "SELECT '$(touch x)', \"a\" FROM t\nWHERE b = 'it''s'"
    said = copying.command(sql, info, words_for(server))
    assert "canary" not in said
    shown = f"for each in {said.strip()}; do printf '%s\\0' \"$each\"; done"
    shell = await asyncio.create_subprocess_exec("sh", "-c", shown, stdout=asyncio.subprocess.PIPE)
    arguments = (await shell.communicate())[0].decode().split("\0")
    assert arguments[:-1] == shlex.split(said)
    assert {"db1.example.org", "6000", "o'brien", "my shop", f"{sql};"} <= set(arguments)


async def test_find_jump_and_copy(bench: Workbench, at_desk: Open) -> None:
    shop_id = bench.store.run(shop.fill_open, bench.vault)
    await bench.connections.add("another", NOWHERE)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        copied: list[tuple[str, str]] = []
        desk.app.copy = lambda text, what: bool(copied.append((what, text)))  # type: ignore[method-assign]
        desk.app.look_at_connection(shop_id)
        await desk.until("SELECT id, status, total_cents")
        await desk.press("ctrl+p")
        await desk.type("shoporders")
        await desk.until("shop.orders")
        chooser = desk.app.screen
        hints = {choice.hint.split()[0] for choice in chooser._choices if choice.hint}  # type: ignore[attr-defined]
        assert {"query", "table", "index", "advice"} <= hints
        table = next(c for c in chooser._choices if c.hint == "table")  # type: ignore[attr-defined]
        chooser.dismiss(table.id)
        name = table.label.partition(".")[2]
        await desk.until(lambda _: desk.app.place == "tables" and desk.app.panes["tables"].view == "table")
        assert name in desk.screen
        await desk.press("minus")
        await desk.until(lambda _: desk.app.place == "queries")
        await desk.press("1", "g", "enter")
        await desk.until(lambda _: desk.app.connection is not None and desk.app.connection.name == "another")
        await desk.press("minus", "minus")
        await desk.until(lambda _: desk.app.connection is not None and desk.app.connection.name == "shop")
        await desk.press("equals_sign")
        assert desk.app.place != "opening"
        await desk.app.go("queries")
        await desk.until("SELECT id, status, total_cents")
        count = len(desk.app.panes["queries"].list_table.rows)  # type: ignore[attr-defined]
        for form in ("Markdown", "command", "list"):
            await desk.press("Y")
            await desk.until("Copy as")
            await desk.type(form)
            await desk.press("enter")
        desk.app.look_at_connection(next(i.id for i in desk.app.connections if i.name == "another"))
        uid = ids.query_uid(bench.store.run(models.Query.select(fn.MIN(models.Query.id)).scalar))
        await desk.press("ctrl+p")
        await desk.paste(uid)
        await desk.until(f"Go to {uid}")
        await desk.press("enter")
        await desk.until(lambda _: desk.app.place == "queries" and desk.app.panes["queries"].view == "query")
        assert desk.app.connection is not None and desk.app.connection.name == "shop", "wherever one was"
    (_, block), (_, command), (_, listed) = copied
    assert block.startswith("```sql\nSELECT ") and block.endswith(";\n```\n")
    assert command.startswith("psql -h db1.example.org -p 5432 -U watcher -d shop -c ")
    head, rule, *rows = listed.splitlines()
    assert len(rows) == count and rule == "|" + " --- |" * (head.count(" | ") + 1)
    assert "\x1b" not in listed
