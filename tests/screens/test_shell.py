"""The shell: it paints before anything heavy is loaded, keys do what the one table says, a pane fails alone."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from textual.events import DescendantFocus

from meshag_tui.app import MeshagApp
from meshag_tui.engines.base import EngineError
from meshag_tui.screens.activity import ActivityPane
from meshag_tui.screens.scope import DAY_MS
from meshag_tui.screens.tabs import Tabs
from meshag_tui.screens.tour import STOPS
from meshag_tui.settings import Settings, UiSettings
from meshag_tui.store import connections
from meshag_tui.store.database import Store
from meshag_tui.store.remembered import recall
from meshag_tui.store.vault import Vault
from meshag_tui.types import DbType, MeshagError, Target, UsageError
from meshag_tui.widgets.chooser import Chooser
from meshag_tui.widgets.form import ChoiceField
from meshag_tui.widgets.line import Line
from meshag_tui.widgets.status import ActionBar, StatusLine
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.workbench import Workbench
from tests.rig.pty import Terminal
from tests.rig.stores import one_version_older
from tests.screens import shop
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


FIRST_DATA = """
import sys, meshag_tui.cli.command as command
from meshag_tui import logs
from meshag_tui.cli import output, tui
from meshag_tui.screens import first
from meshag_tui.settings import load
from meshag_tui.widgets.terminal import erases_in_colour
from meshag_tui.workflows.opening import begin
command._parse([])
settings = load(environment={"MESHAG_HOME": sys.argv[1]})
logs.set_up(settings)
opening = begin(settings, first.ask)
import meshag_tui.app
meshag_tui.app.MeshagApp(settings)
bench = opening.result()
from meshag_tui.screens.places import START, place_named
place_named(START[0]).load()
*_, (read, _, page) = bench.store._begun
assert read.__qualname__ == "Question.page" and page.result().rows
print(*sys.modules)
bench.store.close()
"""
STARTED = """
app cli engines engines.words figures glyphs logs screens settings store text types upgrading widgets workflows
cli.alone cli.command cli.output cli.tui
screens.filter screens.first screens.general screens.keys screens.list_pane screens.look screens.looking
screens.pane screens.places screens.presets screens.queries screens.queries_rows screens.query_facts
screens.question screens.scope screens.tabs screens.trail screens.why_empty
store.connections store.database store.digests store.documents store.drivers store.history store.history_queries
store.history_rows store.history_windows store.ids store.key_file store.models store.place store.remembered
store.schema store.sqlite_file store.statistics store.text_filter store.thread store.vault
widgets.actions widgets.columns widgets.entry widgets.frame widgets.guarded widgets.line widgets.page
widgets.screens widgets.sql widgets.states widgets.status widgets.table widgets.terminal widgets.themes
workflows.notices workflows.opening workflows.rights workflows.workbench
"""


def test_the_first_data_needs_no_more_modules_than_these(settings: Settings) -> None:
    """All of ours that `meshag` loads until it shows the list of statements of a store on SQLite.

    Whoever adds one makes each start slower: import it where it is first needed, or say here that every start needs it.
    """
    with contextlib.closing(Store.open(settings.store_url)) as store:
        store.run(shop.fill_open, Vault.open(settings))
    done = subprocess.run(
        [sys.executable, "-c", FIRST_DATA, str(settings.home)], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    ours = {name.removeprefix("meshag_tui.") for name in loaded if name.startswith("meshag_tui.")}
    assert ours - set(STARTED.split()) == set(), "every start would load these"
    assert set(STARTED.split()) - ours == set(), "no start loads these any more"
    late = {"psycopg", "cryptography", "pygments.lexers.sql", "openai", "plotext", "postgast", "pydantic", "argparse"}
    late |= {"peewee", "playhouse", "sqlglot", "asyncmy", "statistics", "secrets"}
    assert not loaded & late


def test_values_of_many_fields_are_made_cheaply() -> None:
    """Annotations that are text are compiled one by one when a NamedTuple is made, 20 µs a field, at every start."""
    dear = []
    for name in STARTED.split():
        path = ROOT.joinpath("meshag_tui", *name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        values = [each for each in classes if "NamedTuple" in map(ast.unparse, each.bases)]
        fields = [each for value in values for each in value.body if isinstance(each, ast.AnnAssign)]
        if len(fields) >= 10 and any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
        ):
            dear.append(name)
    assert not dear, "these need no `from __future__ import annotations`"


async def test_a_store_that_takes_its_time_is_said_to_be_opened(settings: Settings) -> None:
    opening: Future[Workbench] = Future()
    app = MeshagApp(settings, opening=opening, collect=False)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot)
        await desk.until("opening the store")
        opening.set_result(await Workbench.open(settings))
        await desk.until("no connection yet")


async def test_how_far_the_upgrade_of_the_store_is_is_said(settings: Settings) -> None:
    path = settings.home / "meshag.db"
    name = one_version_older(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that the upgrade has to wait
        app = MeshagApp(settings, collect=False)
        async with app.run_test(size=(80, 24)) as pilot:
            desk = Desk(app, pilot)
            await desk.until(f"upgrading the store, step 1 of 1: {name}")
            other.execute("ROLLBACK")
            await desk.until("no connection yet")
            assert "upgrading" not in desk.screen


@pytest.mark.parametrize(
    ("changed", "said", "unsaid"),
    [
        ("app._FIRST_PAINT_S = 60", "no connection yet", "opening the store"),
        ("tui.begin = lambda settings, then: Future()", "opening the store", "no connection yet"),
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


async def test_what_is_held_back_is_not_taken_for_painted(at_desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pane loads once its data is painted would else be loaded before, and the data wait for it."""
    async with at_desk() as desk:
        await desk.until("no connection yet")
        pane, screen = desk.app.front_pane(), desk.app._main
        assert pane is not None
        let_go = screen.let_go
        monkeypatch.setattr(screen, "let_go", lambda: None)  # by the opening, which may still go on
        screen.hold_back()
        pane.refresh()
        painted = asyncio.ensure_future(pane.painted())
        await asyncio.sleep(0.2)
        assert not painted.done()
        taken = asyncio.Event()
        monkeypatch.setattr(desk.app, "taken", taken.wait)  # by a terminal, which there is none of here
        let_go()
        await asyncio.sleep(0.2)
        assert not painted.done()
        taken.set()
        async with asyncio.timeout(5):
            await painted


async def test_an_empty_store_says_what_to_do(at_desk: Open) -> None:
    async with at_desk(size=(80, 24)) as desk:
        said = await desk.until("i adds one")
        assert "no connection yet" in said
        await desk.press("r")
        assert "r Sync: there is no connection yet" in desk.screen
        await desk.press("ctrl+c")
        assert "ctrl+c again leaves" in desk.screen

        assert "ctrl+t shows you around" in said
        await desk.press("ctrl+t")
        for at, stop in enumerate(STOPS, 1):
            said = await desk.until(f"Tour, {at} of {len(STOPS)}")
            assert desk.app.place == stop.place
            assert all(desk.app.actions[each].shown_key in said for each in stop.actions)
            await desk.press("enter")
        await desk.gone("Tour, ")
        await desk.press("ctrl+t")
        await desk.until("Tour, 1 of")
        await desk.press("escape")
        assert "Tour, " not in desk.screen and desk.app.place == STOPS[0].place
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

    with pytest.raises(UsageError, match="given to both"):
        MeshagApp(settings._replace(ui=UiSettings(keys={"sync-now": "q"})))


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
    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("7")
        await desk.until("connection.added")

        def refuse(*_: object, **__: object) -> None:
            raise MeshagError("the store is locked by another program")

        monkeypatch.setattr("meshag_tui.screens.activity.activity.recent", refuse)
        await bench.connections.add("other", NOWHERE)
        said = await desk.until("the store is locked by another program")
        assert "Error" in said and "connection.added" in said


async def test_a_pane_that_fails_leaves_the_application_alive(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.connections.add("shop", NOWHERE)
    await bench.connections.add("stock", NOWHERE)
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


async def test_what_was_not_read_yet_is_not_called_empty(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_read, load = asyncio.Event(), ActivityPane.load

    async def late(self: ActivityPane) -> None:
        await may_read.wait()
        await load(self)

    monkeypatch.setattr(ActivityPane, "load", late)
    async with at_desk(bench) as desk:
        await desk.press("7")
        assert "nothing was done yet" not in await desk.until("Loading")
        may_read.set()
        await desk.until("nothing was done yet")


def test_no_work_beside_the_screens_fails_unheard() -> None:
    """Every worker that is in the source passes the application's net: none asks to be left alone, none goes round."""
    sources = {
        path: path.read_text(encoding="utf-8")
        for room in ("screens", "widgets", "app.py")
        for path in [ROOT / "meshag_tui" / room, *(ROOT / "meshag_tui" / room).rglob("*.py")]
        if path.is_file()
    }
    assert sum(text.count("run_worker(") for text in sources.values()) > 10
    for path, text in sources.items():
        for way_round in ("exit_on_error", "create_task(", "ensure_future("):
            assert way_round not in text, f"{path.name}: what fails there nobody hears of"


async def test_what_fails_beside_the_screens_takes_its_pane_or_dialog_with_it(
    bench: Workbench, at_desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: object, text: str) -> None:
        password = "hunter2"
        raise ValueError(f"{text} of {len(password)}")

    async with at_desk(bench) as desk:
        await desk.press("7")
        await desk.until("nothing was done yet")
        pane = desk.app.front_pane()
        assert pane is not None
        pane.describe(lambda: fail(pane, "a row"))
        assert "ValueError: a row of 7" in await desk.until("this screen failed")
        await desk.press("question_mark")
        await desk.until("Keys: MeshAG")
        dialog = desk.app.screen
        dialog.run_worker(fail(dialog, "a plan"))
        assert "ValueError: a plan of 7" in await desk.until("This dialog failed")
        await desk.press("escape")
        desk.app.run_worker(fail(desk.app, "a look"))
        await desk.until("ValueError: a look of 7. ")
        assert caplog.text.count("ValueError: a ") >= 3 and "hunter2" not in caplog.text
        await desk.press("question_mark")
        await desk.until("Keys: MeshAG")
        dialog = desk.app.screen
        await desk.press("escape")
        await desk.gone("Keys: MeshAG")
        shown = desk.screen
        desk.app.run_worker(fail(dialog, "what is gone"))
        await desk.until(lambda _: "what is not shown any more failed" in caplog.text)
        assert desk.screen == shown
    assert desk.app.return_code in (None, 0)


async def test_what_fails_in_painting_or_in_a_dialog_leaves_the_application_alive(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a shape nobody knows")

    await bench.connections.add("shop", NOWHERE)
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
    await bench.connections.add("shop", NOWHERE)
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

    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench, ui=UiSettings(theme="dark", refresh_s=3600)) as desk:
        await desk.press("1")
        await desk.until("shop ")
        with monkeypatch.context() as patch:
            patch.setattr(Tabs, "on_click", fail)
            await desk.pilot.click(Tabs, offset=(3, 0))
            assert "Tabs failed" in caplog.text
        await desk.pilot.click(Tabs, offset=(desk.screen.splitlines()[1].index("7 "), 0))
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
    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until("shop")
        await desk.press("p")
        before = desk.screen
        await bench.connections.add("stock", NOWHERE)
        await desk.pilot.pause(0.6)
        assert desk.screen == before
        await desk.press("p")
        await desk.until("stock")


async def test_what_another_process_wrote_is_seen(bench: Workbench, at_desk: Open) -> None:
    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1")
        await desk.until("shop")
        await bench.store(connections.add, "elsewhere", NOWHERE, bench.vault)  # no notice is published
        await desk.until("elsewhere")


async def test_connection_and_window_are_remembered(bench: Workbench, at_desk: Open) -> None:
    await bench.connections.add("shop", NOWHERE)
    await bench.connections.add("stock", NOWHERE)
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
    await bench.connections.add("shop", NOWHERE)
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
        await bench.connections.add(name, NOWHERE)

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
    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("1")
        await desk.until("shop ")
        await desk.until("i Add  E Edit  T Test  P On/off  D Remove  enter Open  r Sync")
        await desk.press("7")
        await desk.until("connection.added")
        said = await desk.until("/ Filter  s Sort")
        assert "enter Open" not in said, "of what was done there is no more to see"


async def test_behind_a_dialog_nothing_is_painted_but_what_is_said(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_desk(bench) as desk:
        await desk.press("i")
        await desk.until("Add a connection")
        painted: list[object] = []
        show = desk.app._display
        monkeypatch.setattr(desk.app, "_display", lambda screen, what: (painted.append(what), show(screen, what)))
        line = desk.app.screen_stack[0].query_one(StatusLine)
        line.change(connection="an age that grows")
        await desk.pilot.pause(0.2)
        assert [what for what in painted if what is not None] == []
        desk.app.say("somebody should know")
        await desk.pilot.pause(0.2)
        assert len([what for what in painted if what is not None]) == 1
        await desk.press("escape")
        assert len([what for what in painted if what is not None]) > 1


async def test_a_refusal_that_does_not_fit_is_shown_in_full(at_desk: Open) -> None:
    async def refused(why: str) -> None:
        raise EngineError(why, "GRANT DROP ON performance_schema.* TO meshag")

    async with at_desk(size=(80, 24)) as desk:
        desk.app.do(refused("no"))
        await desk.until("no → GRANT DROP")
        assert "Not done" not in desk.screen
        desk.app.do(refused("meshag lacks a right: DROP command denied to user meshag for a table"))
        await desk.until("Not done")
        assert "GRANT DROP ON performance_schema.* TO meshag" in desk.screen
