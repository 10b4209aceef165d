"""The shell: it paints before anything heavy is loaded, keys do what the one table says, a pane fails alone."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from textual.events import DescendantFocus

from meshag_tui.app import MeshagApp
from meshag_tui.screens.scope import DAY_MS
from meshag_tui.screens.tabs import Tabs
from meshag_tui.settings import Settings, UiSettings
from meshag_tui.store import connections
from meshag_tui.store.database import Store
from meshag_tui.store.remembered import recall
from meshag_tui.types import DbType, MeshagError, Target, UsageError
from meshag_tui.widgets.chooser import Chooser
from meshag_tui.widgets.form import ChoiceField
from meshag_tui.widgets.line import Line
from meshag_tui.widgets.status import ActionBar, StatusLine
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.workbench import Workbench
from tests.rig.pty import Terminal
from tests.screens.conftest import Desk, Open

ROOT = Path(__file__).parents[2]
NOWHERE = Target(DbType.POSTGRES, "192.0.2.1", 5432, "shop", "watcher")

FIRST_PAINT = """
import asyncio, json, sys
from pathlib import Path
from meshag_tui.app import MeshagApp
from meshag_tui.settings import Settings

class Probe(MeshagApp):
    async def _open(self):
        print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
        self.exit()

async def main():
    app = Probe(Settings(home=Path(sys.argv[1]), store_url="sqlite:///nowhere.db"))
    async with app.run_test() as pilot:
        await pilot.pause(0.5)

sys.stdout = sys.__stdout__
asyncio.run(main())
"""


def test_the_first_paint_loads_the_screen_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PAINT, str(tmp_path)], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.stdout, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[0]))
    assert "textual" in loaded
    heavy = {"peewee", "playhouse", "psycopg", "openai", "plotext", "postgast", "cryptography", "pydantic"}
    assert not loaded & heavy


def test_the_first_data_needs_no_driver_and_no_workflow(tmp_path: Path) -> None:
    """What is imported between the first paint and the list of statements of a store on SQLite."""
    Store.open(str(tmp_path / "meshag.db")).close()
    program = (
        "import sys, meshag_tui.app, meshag_tui.screens.queries, meshag_tui.store.database as database\n"
        "import meshag_tui.workflows.workbench\n"
        f"store = database.Store.open({str(tmp_path / 'meshag.db')!r})\n"
        "print(*sys.modules); store.close()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "peewee" in loaded
    late = {"psycopg", "cryptography", "pygments.lexers.sql", "openai", "plotext", "postgast", "pydantic", "argparse"}
    ours = {"engines.base", "snapshot", "workflows.durable", "screens.query", "widgets.dialog", "widgets.chart"}
    ours |= {"proposed", "store.change_documents", "store.snapshots", "advisor"}
    assert not loaded & (late | {f"meshag_tui.{name}" for name in ours})


async def test_a_store_that_takes_its_time_is_said_to_be_opened(settings: Settings) -> None:
    opening: Future[Workbench] = Future()
    app = MeshagApp(settings, opening=opening, collect=False)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot)
        await desk.until("opening the store")
        opening.set_result(await Workbench.open(settings))
        await desk.until("no connection yet")


@pytest.mark.parametrize(
    ("changed", "said", "unsaid"),
    [
        ("app._FIRST_PAINT_S = 60", "no connection yet", "opening the store"),
        ("tui.begin = lambda settings: Future()", "opening the store", "no connection yet"),
    ],
    ids=["the data is quick", "the store never opens"],
)
def test_the_first_paint_waits_a_moment_for_the_data(tmp_path: Path, changed: str, said: str, unsaid: str) -> None:
    """The screen is laid out and written once, unless the data takes longer than one wants to look at nothing."""
    program = (
        "from concurrent.futures import Future\n"
        "from meshag_tui import app\n"
        "from meshag_tui.cli import command, tui\n"
        f"{changed}\n"
        "command.run([])"
    )
    with Terminal.python(program, environment={"MESHAG_HOME": str(tmp_path)}) as terminal:
        terminal.wait_for(said, 30)
        assert unsaid.encode() not in terminal.raw
        terminal.send("q")
        terminal.wait(30)


async def test_an_empty_store_says_what_to_do(at_desk: Open) -> None:
    async with at_desk(size=(80, 24)) as desk:
        said = await desk.until("no connection yet")
        assert "i adds one" in said
        await desk.press("r")
        assert "r Sync: there is no connection yet" in desk.screen
        await desk.press("q")
        assert desk.app._exit


async def test_the_help_names_every_key_of_the_place_and_why_it_is_off(at_desk: Open) -> None:
    async with at_desk() as desk:
        await desk.press("question_mark")
        said = desk.screen
        assert "Keys: Overview" in said and "Add a connection" in said
        assert "(not now: there is no connection yet)" in said
        await desk.press("escape")
        assert "Keys: Overview" not in desk.screen


async def test_the_palette_does_what_is_chosen(at_desk: Open) -> None:
    async with at_desk() as desk:
        await desk.press("ctrl+p")
        await desk.type("activity")
        await desk.press("enter")
        await desk.until("nothing was done yet")


async def test_keys_can_be_changed_by_the_actions_name(at_desk: Open) -> None:
    async with at_desk(ui=UiSettings(theme="dark", keys={"screen-7": "f7", "quit": "Q"})) as desk:
        await desk.press("q", "7")
        assert "no connection yet" in desk.screen and not desk.app._exit
        await desk.press("f7")
        await desk.until("nothing was done yet")
        await desk.press("Q")
        assert desk.app._exit


def test_a_key_for_two_actions_is_refused(settings: Settings) -> None:
    from dataclasses import replace

    with pytest.raises(UsageError, match="given to both"):
        MeshagApp(replace(settings, ui=UiSettings(keys={"sync-now": "q"})))


@pytest.fixture
def broken_store(settings: Settings) -> Settings:
    """The store's file holds something else."""
    settings.home.joinpath("meshag.db").write_bytes(b"not a database at all" * 100)
    return settings


async def test_a_store_that_cannot_be_opened_is_said(at_desk: Open, broken_store: Settings) -> None:
    async with at_desk() as desk:
        said = await desk.until("Error")
        assert "not a database" in said.lower() or "damaged" in said.lower() or "meshag.db" in said
        await desk.press("r")
        assert "the store is not open" in desk.screen
        await desk.press("q")
        assert desk.app._exit


async def test_an_error_of_a_pane_is_said_and_what_was_shown_stays(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("7")
        await desk.until("connection.added")

        def refuse(*_: object, **__: object) -> None:
            raise MeshagError("the store is locked by another program")

        monkeypatch.setattr("meshag_tui.screens.activity.activity.recent", refuse)
        await bench.add_connection("other", NOWHERE)
        said = await desk.until("the store is locked by another program")
        assert "Error" in said and "connection.added" in said


async def test_a_pane_that_fails_leaves_the_application_alive(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.add_connection("shop", NOWHERE)
    await bench.add_connection("stock", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until("stock")
        pane = desk.app.front_pane()
        assert pane is not None

        def fail(*_: object) -> None:
            raise ValueError("a row of an unknown shape")

        monkeypatch.setattr(type(pane), "_describe", fail)
        await desk.press("j")
        said = await desk.until("this screen failed")
        assert "ValueError: a row of an unknown shape" in said
        assert "a row of an unknown shape" in caplog.text
        monkeypatch.undo()
        await desk.press("7")
        await desk.until("connection.added")
        await desk.press("1")
        await desk.until("stock")


async def test_what_fails_in_painting_or_in_a_dialog_leaves_the_application_alive(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a shape nobody knows")

    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until("shop ")
        for broken, keys, said in (
            (Table, "j", "this screen failed"),
            (ChoiceField, "i enter", "This dialog failed"),
            (Chooser, "ctrl+p", "This dialog failed"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(broken, "on_input_changed" if broken is Chooser else "render_line", fail)
                for key in keys.split():
                    await desk.press(key)
                if broken is Table:
                    desk.app.screen.refresh()
                if broken is Chooser:
                    await desk.type("q")
                for _ in range(500):  # to look at the screen would paint it, and fail here
                    if "a shape nobody knows" in caplog.text:
                        break
                    await desk.pilot.pause(0.02)
            await desk.until(said)
            assert "ValueError: a shape nobody knows" in desk.screen
            caplog.clear()
            await desk.press("escape", "7")
            await desk.until("connection.added")
            await desk.press("1")
            await desk.until("shop ")
        await desk.press("ctrl+p")
        await desk.type("keys that")
        await desk.until("All keys that work here")
    assert desk.app.return_code in (None, 0)


@pytest.mark.parametrize("line", [StatusLine, Tabs, ActionBar])
async def test_a_line_that_fails_says_so_and_comes_back(
    line: type[Line], bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench, size=(100, 24)) as desk:
        await desk.press("1")
        whole = await desk.until("shop ")
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise ValueError("a title of \x1b]0;an unknown shape password=hunter2")

            patch.setattr(line, "segments", fail)
            desk.app.query_one(line).refresh()
            said = await desk.until("this line failed: ValueError: a title of")
            assert "shop " in said and "\x1b" not in said and "hunter2" not in said
            await desk.press("7")
            await desk.until("connection.added")
            assert caplog.text.count("a title of") == 2, (
                "in the report: once as the error, once as the code that raised"
            )
        await desk.press("1")
        desk.app.query_one(line).refresh()
        await desk.gone("this line failed")
        assert desk.screen.splitlines()[1] == whole.splitlines()[1]
    assert desk.app.return_code in (None, 0)


async def test_what_fails_in_what_a_line_hears_or_in_the_applications_own_work_ends_nothing(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a shape nobody knows")

    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench, ui=UiSettings(theme="dark", refresh_s=3600)) as desk:
        await desk.press("1")
        await desk.until("shop ")
        with monkeypatch.context() as patch:
            patch.setattr(Tabs, "on_click", fail)
            await desk.pilot.click(Tabs, offset=(3, 0))
            assert "Tabs failed" in caplog.text
        await desk.pilot.click(Tabs, offset=(72, 0))
        await desk.until("connection.added")
        for name, happens in (
            ("_freshness", lambda: desk.app.set_timer(0.01, desk.app._tick)),
            ("on_descendant_focus", lambda: desk.app.post_message(DescendantFocus(desk.app.query_one(Tabs)))),
        ):
            caplog.clear()
            with monkeypatch.context() as patch:
                patch.setattr(MeshagApp, name, fail)
                happens()
                await desk.until(lambda _: "the application's own work failed" in caplog.text)
            await desk.until("ValueError: a shape nobody knows. ")
        await desk.press("1")
        await desk.until("shop ")
    assert desk.app.return_code in (None, 0)


async def test_a_held_screen_shows_nothing_new_until_it_goes_on(bench: Workbench, at_desk: Open) -> None:
    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until("shop")
        await desk.press("p")
        before = desk.screen
        await bench.add_connection("stock", NOWHERE)
        await desk.pilot.pause(0.6)
        assert desk.screen == before
        await desk.press("p")
        await desk.until("stock")


async def test_what_another_process_wrote_is_seen(bench: Workbench, at_desk: Open) -> None:
    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until("shop")
        await bench.store(connections.add, "from elsewhere", NOWHERE, bench.vault)  # no notice is published
        await desk.until("from elsewhere")


async def test_connection_and_window_are_remembered(bench: Workbench, at_desk: Open) -> None:
    await bench.add_connection("shop", NOWHERE)
    await bench.add_connection("stock", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("c")
        await desk.type("stock")
        await desk.press("enter")
        await desk.press("w")
        await desk.type("7 d")
        await desk.press("enter")
        await desk.until("window 7 d")
        await desk.press("left_square_bracket")
        await desk.until("window 7 d to")
        while (await bench.store.read(recall, "screens.scope", {})).get("span_ms") != 7 * DAY_MS:
            await desk.pilot.pause(0.02)
    async with at_desk(bench) as desk:
        said = await desk.until("window 7 d")
        assert said.startswith(" stock") and "window 7 d to" not in said


async def test_any_span_can_be_looked_at(bench: Workbench, at_desk: Open) -> None:
    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("w")
        await desk.type("another")
        await desk.press("enter")
        await desk.type("soon")
        await desk.press("enter")
        await desk.until("A window is a number and a unit")
        await desk.press(*["backspace"] * 4)
        await desk.type("36h")
        await desk.press("enter")
        await desk.until("window 36 h")


async def test_a_filter_narrows_inverts_and_is_cleared(bench: Workbench, at_desk: Open) -> None:
    for name in ("sales", "stock", "billing"):
        await bench.add_connection(name, NOWHERE)

    def rows(screen: str) -> list[str]:
        return [name for name in ("sales", "stock", "billing") if f"{name}  " in "".join(screen.splitlines()[2:12])]

    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until(lambda screen: len(rows(screen)) == 3)
        await desk.press("slash")
        await desk.type("~^s")
        await desk.until(lambda screen: rows(screen) == ["sales", "stock"])
        await desk.press("enter", "escape")
        await desk.until(lambda screen: len(rows(screen)) == 3)
        await desk.press("slash")
        await desk.type("!~^s")
        await desk.until(lambda screen: rows(screen) == ["billing"])


async def test_the_footer_shows_what_can_be_done_here_first(bench: Workbench, at_desk: Open) -> None:
    await bench.add_connection("shop", NOWHERE)
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("1")
        await desk.until("shop ")
        await desk.until("i Add  E Edit  T Test  P On/off  D Remove  enter Open  r Sync")
        await desk.press("7")
        await desk.until("connection.added")
        said = await desk.until("/ Filter  s Sort")
        assert "enter Open" not in said, "of what was done there is no more to see"
