"""Adding and editing a connection: what the server needs first, then the form, a test, and only then it is saved.

A test that fails says why below the form and leaves the form as it is; nothing that is saved is touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input
from textual.worker import Worker

from meshag_tui.engines import KINDS, words_for
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import connection_form
from meshag_tui.screens.connection_form import Wanted
from meshag_tui.screens.findings import report_pieces
from meshag_tui.store import connections
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.types import MeshagError, Target, UsageError
from meshag_tui.widgets.dialog import Answer, dialog_css, sql_parts
from meshag_tui.widgets.form import ChoiceField, Form
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.workflows.connecting import Tested
from meshag_tui.workflows.workbench import Workbench

_PASTED = 8
"""Characters that come at once only by pasting."""


class ConnectionWizard(Dialog[str | None]):
    """Returns the id of the connection that was saved (or of the one that was there already), None when it was left.

    Adding begins with the instructions; editing with the form. In the form enter tests, and saves what was tested well.
    """

    DEFAULT_CSS = (
        dialog_css("ConnectionWizard")
        + """
    ConnectionWizard > .dialog { height: 95%; max-height: 40; }
    ConnectionWizard #instructions { height: 1fr; max-height: 100%; }
    ConnectionWizard #form { height: auto; max-height: 70%; }
    ConnectionWizard #result { height: 1fr; min-height: 3; max-height: 100%; border-top: solid $primary; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("tab", "app.focus_next", "Next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", "Previous", show=False, priority=True),
        Binding("left,right", "turn_engine", "Another engine", show=False),
        Binding("ctrl+b", "instructions", "Back", show=False),
        Binding("ctrl+s", "save_anyway", "Save anyway", show=False),
        Binding("pagedown", "page(1)", "Read on", show=False, priority=True),
        Binding("pageup", "page(-1)", "Read back", show=False, priority=True),
    ]

    def __init__(
        self, bench: Workbench, known: Sequence[ConnectionInfo], editing: ConnectionInfo | None = None
    ) -> None:
        super().__init__()
        self._bench = bench
        self._known = tuple(info for info in known if editing is None or info.id != editing.id)
        self._editing = editing
        self._tested: tuple[dict[str, str], Tested] | None = None  # the values a test went well with
        self._working: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(id="title", classes="dialog--title")
            yield Page(id="instructions")
            yield Form(connection_form.fields({info.name for info in self._known}, self._editing), id="form")
            yield Page(id="result")
            with Horizontal():
                yield Answer("esc", "Cancel", id="cancel")
                yield Answer("ctrl+b", "Setup", id="setup")
                yield Answer("ctrl+s", "Save anyway", id="anyway")
                yield Answer("enter", "Next", id="next")
                yield Answer("enter", "Test", id="test")
                yield Answer("enter", "Save", id="save")

    def on_mount(self) -> None:
        # The arrows, which go from field to field, would otherwise end in the text below.
        self.query_one("#result", Page).can_focus = False
        if self._editing is None:
            self._show_instructions()
        else:
            self._show_form()

    # --- the two steps ----------------------------------------------------------------------------------------------

    def _show_instructions(self) -> None:
        self.query_one("#title", PlainLine).set_text("Add a connection (1 of 2): what the server needs")
        target = self._as_far_as_given()
        lead: list[Piece] = [
            ("accent", f"{self.query_one(Form).values['engine']}  "),
            ("dim", "left and right: another engine\n\n"),
            ("", "MeshAG reads the server's own statistics with a role that can watch everything and change nothing. "),
            ("", "Have an administrator run this once; if there is such a role already, go on.\n"),
            ("dim", "y copies it, enter goes on.\n\n"),
        ]
        page = self.query_one("#instructions", Page)
        dialect = words_for(target.db_type).dialect
        page.set_parts([*lead, *sql_parts(self._bench.connections.setup_sql(target), dialect)])
        self._show("instructions", "cancel", "next")
        page.focus()

    def _show_form(self) -> None:
        what = "Add a connection (2 of 2)" if self._editing is None else f"Edit {self._editing.name}"
        self.query_one("#title", PlainLine).set_text(f"{what}: how to reach it")
        form = self.query_one(Form)
        self._show("form", "result", "cancel", "test", *(["setup"] if self._editing is None else []))
        self._tell([("dim", "enter tests it; nothing is saved before. tab goes on, left and right choose.")])
        form.field("url" if self._editing is None else "name").focus_field()

    def _show(self, *ids: str) -> None:
        for wanted in ("instructions", "form", "result", "cancel", "setup", "anyway", "next", "test", "save"):
            self.query_one(f"#{wanted}").display = wanted in ids

    @property
    def _at_form(self) -> bool:
        return bool(self.query_one(Form).display)

    def _as_far_as_given(self) -> Target:
        values = self.query_one(Form).values
        engine = KINDS[values["engine"]]
        database, user = values["database"].strip(), values["user"].strip() or "meshag"
        if not engine.address.whole_server:
            database = database or "the_database"
        return Target(engine, values["host"], 1, database, user)

    def on_page_copied(self, event: Page.Copied) -> None:
        if event.page.id == "instructions":
            event.stop()
            app = self.app
            script = self._bench.connections.setup_sql(self._as_far_as_given())
            copy = getattr(app, "copy", None)
            if copy is not None:
                copy(script, "setup SQL")

    # --- the form ---------------------------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        if (
            self._field_of(event.input) == "url"
            and ("://" in event.value or event.value.startswith("service="))
            and len(event.value) > _PASTED
        ):
            return  # typed: it is taken over when the field is left, pasted: at once
        self._values_changed()

    def on_paste(self, event: events.Paste) -> None:
        self.call_after_refresh(self._take_url)

    def on_choice_field_changed(self, event: ChoiceField.Changed) -> None:
        if event.field.choices == tuple(KINDS):
            self._engine_turned()
        self._values_changed()

    def _engine_turned(self) -> None:
        port, engine = (self.query_one(Form).field(name) for name in ("port", "engine"))
        port.value = connection_form.other_port(port.value, KINDS[engine.value])
        self._fit_to_engine()

    def _fit_to_engine(self) -> None:
        """Ask for what the chosen engine needs; what was given stays."""
        form = self.query_one(Form)
        engine = KINDS[form.field("engine").value]
        words = words_for(engine)
        form.field("database").become(connection_form.database_field(engine))
        for name, hint in (("url", words.url), ("password", f"empty: {words.keyless}")):
            if name != "password" or self._editing is None:
                labelled = form.field(name)
                labelled.become(replace(labelled.field, hint=hint))

    def action_turn_engine(self) -> None:
        """While the instructions are shown: those for the next engine."""
        if not self._at_form:
            self.query_one(Form).field("engine").query_one(ChoiceField).action_turn(1)
            self._engine_turned()
            self._show_instructions()

    def on_input_blurred(self, event: Input.Blurred) -> None:
        if self._field_of(event.input) == "url":
            self._take_url()

    def _field_of(self, widget: Input) -> str:
        labelled = next((node for node in widget.ancestors if (node.id or "").startswith("field-")), None)
        return "" if labelled is None or labelled.id is None else labelled.id.removeprefix("field-")

    def _take_url(self) -> None:
        """Spread a URL over the fields. It is taken out of its own, for there its password could be read."""
        form = self.query_one(Form)
        url = form.field("url")
        if not url.value.strip() or not url.check():
            return
        for name, value in connection_form.from_url(url.value, form.field("name").value).items():
            form.field(name).value = value
            form.field(name).tell(None)
        url.value = ""
        self._fit_to_engine()
        self._tell([("good", f"{glyphs().ok} Filled in from the URL. "), ("dim", "enter tests it.")])

    def _values_changed(self) -> None:
        if self._tested is not None and self._tested[0] != self.query_one(Form).values:
            self._tested = None
            self._offer("test")

    def _offer(self, *answers: str) -> None:
        for answer in ("anyway", "test", "save"):
            self.query_one(f"#{answer}").display = answer in answers

    def _tell(self, parts: Sequence[Piece]) -> None:
        self.query_one("#result", Page).set_parts(parts)

    # --- answers ----------------------------------------------------------------------------------------------------

    def on_input_submitted(self) -> None:
        self.action_go_on()

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter" and not isinstance(self.focused, Answer):
            event.stop()
            self.action_go_on()

    def on_answer_chosen(self, event: Answer.Chosen) -> None:
        match event.answer.id:
            case "cancel":
                self.action_leave()
            case "setup":
                self.action_instructions()
            case "anyway":
                self.action_save_anyway()
            case _:
                self.action_go_on()

    def action_go_on(self) -> None:
        """The next step: the form, its test, or saving what was tested well."""
        if not self._at_form:
            self._show_form()
            return
        self._take_url()
        form = self.query_one(Form)
        if self._working is not None or not form.check():
            return
        try:
            wanted = connection_form.wanted(form.values)
        except UsageError as error:
            self._tell([("critical", f"{glyphs().bad} {error}")])
            return
        if self._tested is not None and self._tested[0] == form.values:
            if not self._tested[1].same_as or self._editing is not None:
                self._begin(self._save(wanted))
            return
        self._begin(self._test(wanted, form.values))

    def action_instructions(self) -> None:
        if self._at_form and self._editing is None:
            self._show_instructions()

    def action_leave(self) -> None:
        if self._working is not None:
            self._working.cancel()
            self._working = None
            self._tell([("warning", "The test was cancelled.")])
        else:
            self.dismiss(None)

    def action_page(self, by: int) -> None:
        self.query_one("#result" if self._at_form else "#instructions", Page).turn(by)

    def action_save_anyway(self) -> None:
        """Save although the test failed, or although the same database is known already."""
        form = self.query_one(Form)
        if self._at_form and self.query_one("#anyway").display and self._working is None and form.check():
            self._begin(self._save(connection_form.wanted(form.values)))

    # --- work -------------------------------------------------------------------------------------------------------

    def _begin(self, work: object) -> None:
        async def working() -> None:
            try:
                await work  # type: ignore[misc]
            except MeshagError as error:
                self._failed(error)
            finally:
                self._working = None

        self._working = self.run_worker(working(), group="wizard")

    def _failed(self, error: MeshagError) -> None:
        fix = getattr(error, "fix", None)
        said: list[Piece] = [("critical", f"{glyphs().bad} {error}\n")]
        if fix:
            said += [("dim", "What to do: "), ("accent", f"{fix}\n")]
        self._tested = None
        self._tell([*said, ("dim", "Nothing was saved; the form is as you left it.")])
        self._offer("test", "anyway")

    async def _test(self, wanted: Wanted, values: dict[str, str]) -> None:
        target = await self._with_saved_password(wanted.target)
        self._tell([("dim", f"Testing {target.label} … esc stops it")])
        report = await self._bench.connections.test(target)
        self._tested = (values, report)
        parts = report_pieces(report)
        same = [name for name in report.same_as if self._editing is None or name != self._editing.name]
        if same:
            known = f"{glyphs().warning} This database is monitored already as {', '.join(same)}. "
            parts.insert(0, ("warning", known + "Leave with esc, or save it a second time with ctrl+s.\n"))
            self._offer("anyway")
        else:
            parts.append(("dim", "enter saves it."))
            self._offer("save")
        self._tell(parts)

    async def _with_saved_password(self, target: Target) -> Target:
        """When editing, an empty password means the saved one, if the server is still the one it was given for."""
        info = self._editing
        if info is None or target.password is not None or not info.has_password:
            return target
        if connection_form.reaches_elsewhere(target, info):
            raise UsageError("The saved password is for another server or user: give the password for this one")
        saved = await self._bench.store(connections.target, info.id, self._bench.vault)
        proxy = saved.proxy if target.proxy == info.proxy else target.proxy
        return replace(target, password=saved.password, proxy=proxy)

    async def _save(self, wanted: Wanted) -> None:
        if self._editing is None:
            info = await self._bench.connections.add(
                wanted.name,
                wanted.target,
                interval_s=wanted.interval_s,
                read_only=wanted.read_only,
                slow_ms=wanted.slow_ms,
                facts=None if self._tested is None else self._tested[1].facts,
            )
        else:
            await self._with_saved_password(wanted.target)  # refuses a password saved for another server
            info = await self._bench.connections.edit(
                self._editing.id,
                name=wanted.name,
                target=wanted.target,
                interval_s=wanted.interval_s,
                read_only=wanted.read_only,
                undo_worse=wanted.undo_worse,
                no_cloud=wanted.no_cloud,
                stage=wanted.stage,
                slow_ms=wanted.slow_ms,
                slow_by_longest=wanted.slow_by_longest,
                other_databases=wanted.other_databases,
            )
        self.dismiss(info.id)
