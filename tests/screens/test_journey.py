"""From launch to an applied change and back, by keys alone, on a real server; the catalogue is the judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshag_tui.settings import LlmSettings, Settings
from meshag_tui.store import changes, history, models, suggestions
from meshag_tui.types import ChangeState, SuggestionStatus, Target
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm, Reply
from tests.rig.postgres import Database
from tests.screens.conftest import Desk, Open

SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL, note text);
INSERT INTO orders SELECT n, n % 5000, 'open', repeat('x', 60) FROM generate_series(1, 60000) n;
CREATE INDEX orders_status_idx ON orders (status);
CREATE INDEX orders_status_copy ON orders (status);
ANALYZE orders;
"""
NEW_INDEX = "orders_customer_id_idx"


def indexes(database: Database) -> set[str]:
    """Names of the valid indexes there are."""
    rows = database.fetch(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = 'orders'::regclass AND i.indisvalid"
    )
    return {name for (name,) in rows}


def ddl(database: Database) -> int:
    """How many statements that change a schema this database has ever run."""
    query = (
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid "
        "WHERE d.datname = current_database() AND query ~* '^\\s*(create|drop|alter|vacuum|analyze)'"
    )
    return int(database.fetch(query)[0][0])


async def prepared(bench: Workbench, database: Database) -> str:
    """A connection that was synced twice around some work, and advised on."""
    database.execute(SCHEMA)
    info = await bench.connections.add("shop", Target.from_url(database.url))
    await bench.sync(info.id)
    with database.connect(prepare_threshold=None) as connection:
        for number in range(300):
            connection.execute("SELECT id, note FROM orders WHERE customer_id = %s", (number,))
    await bench.sync(info.id)
    await bench.advice.suggest(info.id)
    return info.id


async def choose(desk: Desk, title: str) -> None:
    """Put the cursor on the advice that begins like this."""
    await desk.press("g")
    for _ in range(30):
        if any(line.lstrip(" ▸●").find(title) >= 0 and line.startswith("▸") for line in desk.screen.splitlines()):
            return
        await desk.press("j")
    raise AssertionError(f"there is no {title!r}:\n{desk.screen}")


async def test_three_keys_apply_and_two_undo(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    connection_id = await prepared(bench, pg18)
    before = ddl(pg18)
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("4")
        await desk.until("Index orders (customer_id)")
        await choose(desk, "Index orders (customer_id)")
        await desk.press("a")
        await desk.until("Run it")
        await desk.until("✓ ok")
        assert "CREATE INDEX CONCURRENTLY" in desk.screen and pg18.name in desk.screen
        await desk.press("escape", "a")
        await desk.until("✓ ok")
        assert NEW_INDEX not in indexes(pg18) and ddl(pg18) == before, "looking changes nothing"
        if "w accepts" in desk.screen:
            await desk.press("w")
        await desk.press("r")
        await desk.until("✓ Applied (u undoes it)", 30)
        assert NEW_INDEX in indexes(pg18)
        row = bench.store.run(changes.listing, connection_id)[0]
        assert (row.state, row.undoes) == (ChangeState.DONE, None)
        assert bench.store.run(suggestions.get, row.suggestion_id or "").status is SuggestionStatus.APPLIED
        await desk.until("✓ applied")
        await desk.press("u")
        await desk.until("Undo: Index orders")
        await desk.until("✓ ok")
        if "w accepts" in desk.screen:
            await desk.press("w")
        if "Type " in desk.screen:
            await desk.type(NEW_INDEX)
            await desk.press("enter")
        else:
            await desk.press("r")
        await desk.until("✓ Undone", 30)
        assert NEW_INDEX not in indexes(pg18)
        await desk.press("enter")
        await desk.until("Queries it is about")
        await desk.press("G")
        said = await desk.until("undo: done")
        assert "apply: done, and undone since" in said


async def test_what_is_marked_is_applied_together_and_written_as_files(
    bench: Workbench, at_desk: Open, pg18: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(bench, pg18)
    monkeypatch.chdir(tmp_path)
    async with at_desk(bench, size=(120, 40)) as desk:
        await desk.press("4")
        await desk.until("Drop orders_status_copy")
        for title in ("Drop orders_status_copy", "Index orders (customer_id)"):
            await choose(desk, title)
            await desk.press("space")
        await desk.until("2 marked")
        await desk.press("E")
        await desk.until("Export 2 as a migration")
        await desk.press("enter")
        await desk.until("Wrote meshag-shop.up.sql")
        up, down = (tmp_path / f"meshag-shop.{way}.sql" for way in ("up", "down"))
        assert "DROP INDEX CONCURRENTLY public.orders_status_copy;" in up.read_text()
        assert down.read_text().index("orders_status_copy") < down.read_text().index(
            f"DROP INDEX CONCURRENTLY public.{NEW_INDEX}"
        )
        await desk.press("a")
        await desk.until("Apply 2 suggestions")
        await desk.until("Together:")
        assert desk.words.index("CREATE INDEX") < desk.words.index("DROP INDEX"), "made before the other goes"
        if "w accepts" in desk.screen:
            await desk.press("w")
        await desk.until("Type orders_status_copy")
        await desk.type("orders_status_copy")
        await desk.press("enter")
        await desk.until("✓ Applied 2", 30)
        assert NEW_INDEX in indexes(pg18) and "orders_status_copy" not in indexes(pg18)


async def test_what_is_behind_one_that_failed_stays_marked(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    await prepared(bench, pg18)
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("4")
        await desk.until("Drop orders_status_copy")
        for title in ("Drop orders_status_copy", "Index orders (customer_id)"):
            await choose(desk, title)
            await desk.press("space")
        await desk.press("a")
        await desk.until("Type orders_status_copy")
        pg18.execute(f"CREATE INDEX {NEW_INDEX} ON orders (status, customer_id)")  # another takes the name meanwhile
        if "w accepts" in desk.screen:
            await desk.press("w")
        await desk.type("orders_status_copy")
        await desk.press("enter")
        await desk.until("Applied 0 of 2; 1 behind it not begun, marked again")
        await desk.press("escape")
        await desk.until("1 marked")
        assert "orders_status_copy" in indexes(pg18)


async def test_what_is_dropped_must_be_named_and_comes_back(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    await prepared(bench, pg18)
    definition = pg18.fetch("SELECT pg_get_indexdef('orders_status_copy'::regclass)")
    async with at_desk(bench, size=(120, 40)) as desk:
        await desk.press("4")
        await desk.until("Drop orders_status_copy")
        await choose(desk, "Drop orders_status_copy")
        await desk.press("a")
        await desk.until("✓ ok")
        if "w accepts" in desk.screen:
            await desk.press("w")
        await desk.until("Type orders_status_copy")
        await desk.press("enter")
        assert "That is not the name" in desk.screen and "orders_status_copy" in indexes(pg18)
        await desk.type("orders_status_copy")
        await desk.press("enter")
        await desk.until("✓ Applied", 30)
        assert "orders_status_copy" not in indexes(pg18) and "orders_status_idx" in indexes(pg18)
        await desk.until("✓ applied")
        await desk.press("u")
        await desk.until("Put it back")
        await desk.until("✓ ok")
        if "w accepts" in desk.screen:
            await desk.press("w")
        await desk.press("r")
        await desk.until("✓ Undone", 30)
        assert pg18.fetch("SELECT pg_get_indexdef('orders_status_copy'::regclass)") == definition


@pytest.mark.slow
async def test_a_walk_through_every_screen_changes_nothing(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    await prepared(bench, pg18)
    before, objects = ddl(pg18), indexes(pg18)
    async with at_desk(bench, size=(120, 40)) as desk:
        await desk.until("Share")
        for keys in (
            "2 enter P m o escape",
            "3 enter m escape",
            "4 enter escape a",
            "escape d",
            "escape",
            "5",
            "6",
            "7",
        ):
            await desk.press(*keys.split())
            await desk.pilot.pause(0.2)
        await desk.press("4")
        for _ in range(12):
            await desk.press("j", "a")
            await desk.pilot.pause(0.5)
            await desk.press("enter" if len(desk.app.screen_stack) > 1 else "v")
    assert (ddl(pg18), indexes(pg18)) == (before, objects)


async def test_the_planner_is_asked_by_a_key(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    await prepared(bench, pg18)
    bench.store.run(models.Plan.delete().execute)  # as if it were not among the dearest, which are planned unasked
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("2")
        await desk.until("SELECT id, note FROM orders")
        await desk.press("slash")
        await desk.type("note from")
        await desk.press("enter")
        await desk.until("matching note from")
        await desk.press("enter")
        await desk.until("Plan: none yet, P asks the planner")
        assert "no plan was asked for yet" not in desk.screen, "where there is little room the plan is folded"
        await desk.press("q", "P")  # in the list it is the plan of the row under the cursor
        await desk.until("Seq Scan on orders")
        assert "keeps about" in await desk.until("◆ high")
        await desk.until("plan was read")
        await desk.press("P")
        await desk.until("The plan is the same as before")
        await desk.press("W")
        said = await desk.until("gets these indexes, or none")
        assert "orders (customer_id)" in said


async def test_a_model_is_asked_only_after_its_prompt_was_shown(
    settings: Settings, at_desk: Open, pg18: Database, fake_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    asked = settings._replace(llm=LlmSettings(base_url=fake_llm.base_url, model="tester"))
    async with await Workbench.open(asked) as bench:
        connection_id = await prepared(bench, pg18)
        window = bench.store.run(history.latest_window, connection_id, 10**9)
        page = bench.store.run(history.queries, connection_id, window)
        query = next(row.uid for row in page.rows if row.text and "note FROM orders" in row.text)
        proposal = {
            **{"kind": "query_advice", "table": "orders", "columns": [], "order": [], "method": None, "include": []},
            **{"where": None, "index": None, "title": "Ask for [bold]less[/bold]", "why": "Nobody reads the note"},
            "query_ids": [query],
        }
        fake_llm.script = [Reply(json.dumps({"proposals": [proposal]}))]
        async with at_desk(bench, size=(120, 40)) as desk:
            await desk.press("4")
            await desk.until("Index orders (customer_id)")
            await desk.press("N")
            said = await desk.until("Exactly this is sent")
            assert "tester at http://127.0.0.1" in said and "bytes leave this machine" in said
            await desk.press("enter")
            await desk.until("Nothing was sent")
            assert not fake_llm.requests
            await desk.press("N")
            await desk.until("Exactly this is sent")
            await desk.press("s")
            await desk.until("1 suggestion of the model is open", 30)
            assert len(fake_llm.requests) == 1
            if len(desk.app.screen_stack) > 1:  # what of the answer was not believed
                await desk.press("escape")
            await desk.until("Ask for [bold]less[/bold]")
            assert "sk-not-a-real-key" not in desk.screen


async def test_a_project_without_cloud_shows_the_prompt_and_sends_none(
    settings: Settings, at_desk: Open, pg18: Database, fake_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    elsewhere = fake_llm.base_url.replace("127.0.0.1", "0.0.0.0")  # answers, and is no loopback address
    asked = settings._replace(llm=LlmSettings(base_url=elsewhere, model="tester"))
    async with await Workbench.open(asked) as bench:
        connection_id = await prepared(bench, pg18)
        await bench.advice.give_model_consent(connection_id)
        async with at_desk(bench, size=(120, 40)) as desk:
            await desk.press("1", "E")
            await desk.until("Edit shop")
            await desk.press(*["tab"] * 16)
            await desk.until("Only local models ")
            await desk.press("right", "enter")
            await desk.until("enter Save")
            await desk.press("enter")
            await desk.until("only on this machine, as all of Default")
            await desk.press("4")
            await desk.until("Index orders (customer_id)")
            await desk.press("N")
            await desk.until("Nothing of this may be sent")
            said = await desk.until("This would be sent:")
            assert "its project allows only models on this machine" in said and elsewhere in said
            await desk.press("s", "enter")
        await bench.advice.suggest(connection_id, llm=True)  # past every question, with the consent given before
        assert any("nothing was sent: its project allows only models" in note for note in bench.advice.notes)
        assert not fake_llm.requests
