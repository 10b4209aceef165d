"""A place of lists: several kinds of things, each a table with a detail below, forms to add and change, verbs by keys.

To serve another kind, write a `Kind` (what is listed, what is said of one, its verbs as `do_…` methods) and name it in
the `kinds` of an `EntityPane`; a new place of them also needs its line in `places` and its name in
`keys.ENTITY_PLACES`. `f` and `b` go from kind to kind, the keys of `keys.py` (`i` `E` `T` `P` `D`) do the verbs of the
same name, `m` lists all others, enter reads one in full, `/` filters, `s` sorts, `C` chooses columns, `e` writes the
list to a file. Nothing here knows what the things are, and no list holds more than a page: `rows` is handed how many to
read, and one more than asked for is counted as "more". What a form's values cannot be is said in the form, which stays
open with what was typed.

    class Pets(Kind):
        name, title = "pets", "Pets"
        columns = (Column("name", "Name", 12, keep=100), Column("legs", "Legs", 5, align="right"))
        empty = State(Condition.EMPTY, "no pet yet", remedy="i adds one.")
        verbs = (Verb("add", "Add", "Add a pet", of_row=False), Verb("feed", "Feed", "Feed it", needs="analyze"))

        async def rows(self, limit): return await self.bench.store.read(pets.page, limit)
        async def about(self, row): return [("bold", row.name)]
        async def do_add(self): self.form("Add a pet", [Field("name", "Name", required=True)], self._add)
        async def _add(self, values): await self.bench.add_pet(values["name"]); return f"Added {values['name']}"
        async def do_feed(self, row): ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.glyphs import glyphs
from meshag_tui.screens import export
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.presets import kept_under
from meshag_tui.types import MeshagError
from meshag_tui.widgets.chart import Chart, Trend
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp
    from meshag_tui.workflows.workbench import Workbench

PAGE = 500
"""Rows a list holds at most; the title says when there are more."""
_KEYED = {"add", "edit", "try", "switch", "remove"}


class Verb(NamedTuple):
    """What can be done: `do_<id>` of the kind, with the row under the cursor if it is `of_row`; `needs` is the right it
    takes, "" where it only looks."""

    id: str
    title: str
    help: str
    of_row: bool = True
    needs: str = "admin"


class Kind:
    """One kind of things. Subclasses set the class attributes and write `rows`, `about` and a `do_…` for each verb."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    columns: ClassVar[tuple[Column, ...]] = ()
    empty: ClassVar[State] = State(Condition.EMPTY)
    sort: ClassVar[tuple[str, bool] | None] = None
    cut: ClassVar[str] = "the first"
    """Which ones a list has that has not all of them: "the newest" where `rows` reads those."""
    verbs: ClassVar[tuple[Verb, ...]] = ()

    def __init__(self, pane: EntityPane) -> None:
        self.pane = pane

    @property
    def bench(self) -> Workbench:
        return self.pane.bench

    @property
    def shell(self) -> MeshagApp:
        return self.pane.shell

    # --- what a subclass writes -------------------------------------------------------------------------------------

    def key(self, row: Any) -> Hashable:
        """What tells a row apart from others, also after it was read anew."""
        key: Hashable = row.id
        return key

    async def rows(self, limit: int) -> Sequence[Any]:
        """The first rows, at most `limit`."""
        raise NotImplementedError

    async def about(self, row: Any) -> list[Piece]:
        """A row in full."""
        raise NotImplementedError

    async def open(self, row: Any) -> None:
        """What enter does: by default the row is read in full."""
        self.pane.open_view("whole")

    async def heading(self) -> str:
        """A few words beside the title: a sum, a switch that is on."""
        return ""

    async def trend(self) -> Trend | None:
        """A chart below the list, instead of the detail; None: there is none."""
        return None

    def why_not(self, verb: str, row: Any) -> str | None:
        """Why a verb cannot be done now; `row` is None in an empty list."""
        return None

    # --- what a subclass uses ---------------------------------------------------------------------------------------

    def form(
        self,
        title: str,
        fields: Sequence[Field],
        save: Callable[[dict[str, str]], Awaitable[str]],
        verb: str = "Save",
    ) -> None:
        """Ask for values and save them; what `save` returns is said, what it refuses with the form open again."""

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self.shell.do(saving(values))

        async def saving(values: dict[str, str]) -> None:
            try:
                self.done(await save(values))
            except MeshagError as error:
                again = [
                    field if field.kind == "password" else replace(field, value=values[field.name]) for field in fields
                ]
                self.form(title, again, save, verb)
                self.shell.say(str(error), "error")

        self.shell.push_screen(FormDialog(title, fields, verb), answered)

    def confirm(self, question: Confirmation, do: Callable[[], Awaitable[str]]) -> None:
        """Ask before doing; what `do` returns is said."""

        async def doing() -> None:
            self.done(await do())

        def answered(yes: bool | None) -> None:
            if yes:
                self.shell.do(doing())

        self.shell.push_screen(ConfirmDialog(question), answered)

    def done(self, said: str) -> None:
        """Say what was done, and read the list again."""
        self.shell.say(said)
        self.pane.refresh_soon()


class KindsLine(PlainLine):
    """The kinds of a place, the listed one in brackets, and more beside them, with as much air as there is room for."""

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__("", id="parts", classes="entities--title")
        self._titles = titles
        self._at = 0
        self._more: tuple[str, ...] = ()

    def say(self, at: int, *more: str) -> None:
        """Have the kind at this place listed; `more`: what is said beside the kinds."""
        self._at, self._more = at, tuple(filter(None, more))
        self.on_resize()

    def on_resize(self) -> None:
        parts = [f"[{title}]" if at == self._at else title for at, title in enumerate(self._titles)]
        room = self.size.width - sum(map(len, parts)) - sum(len(each) + 3 for each in self._more)
        if room >= len(parts) - 1:
            said = ("  " if room >= 2 * (len(parts) - 1) else " ").join(parts)
        else:
            said = f"{parts[self._at]} {self._at + 1} of {len(parts)}"
        self.set_text(glyphs().separator.join([said, *self._more]))


class EntityPane(ListPane):
    """A place of kinds. Subclasses set `place`, `topics` and `kinds`."""

    kinds: ClassVar[tuple[type[Kind], ...]] = ()
    needs_connection = False
    DEFAULT_CSS = """
    EntityPane .entities--title { height: 1; padding: 0 1; color: $accent; text-style: bold; }
    EntityPane Table { height: 1fr; }
    EntityPane #about { height: 45%; max-height: 14; border-top: solid $primary; padding: 0 1; }
    EntityPane #trend { height: 45%; max-height: 14; border-top: solid $primary; padding: 0 1; }
    EntityPane #whole { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds = tuple(kind(self) for kind in self.kinds)
        self._at = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield KindsLine([kind.title for kind in self._kinds])
            for number, kind in enumerate(self._kinds):
                table = Table(
                    kind.columns, key=kind.key, empty=kind.empty, sort=kind.sort, markable=False, id=f"rows-{kind.name}"
                )
                table.display = number == self._at
                yield table
            yield Page(id="about")
            trend = Chart(id="trend")
            trend.display = False
            yield trend
        yield Page(id="whole", classes="view")

    @property
    def kind(self) -> Kind:
        """The kind that is listed."""
        return self._kinds[self._at]

    @property
    def rows_table(self) -> Table:
        return self.query_one(f"#rows-{self.kind.name}", Table)

    @property
    def table(self) -> Table | None:
        return self.rows_table if not self.depth and self.is_mounted else None

    @property
    def row(self) -> Any | None:
        """What the cursor is on."""
        return self.rows_table.row if self.is_mounted and self.children else None

    def focus_view(self) -> None:
        if self.depth:
            super().focus_view()
        else:
            self.rows_table.focus()

    @property
    def list_table(self) -> Table:
        return self.rows_table

    @property
    def _key(self) -> str:
        return kept_under(f"{self.place}.{self.kind.name}", self.bench.actor)

    async def load(self) -> None:
        kind = self.kind
        found = list(await kind.rows(PAGE + 1))
        heading = await kind.heading()
        trend = await kind.trend()
        if kind is not self.kind:
            return  # another list was asked for meanwhile
        more = len(found) > PAGE
        shown = [row for row in found[:PAGE] if self.matches(_words(kind, row))]
        self.rows_table.set_rows(shown)
        chart = self.query_one("#trend", Chart)
        chart.display = trend is not None
        if trend is not None:
            chart.set_trend(trend)
        self.query_one(KindsLine).say(self._at, f"{kind.cut} {PAGE}" if more else "", heading)
        await self._describe()

    async def _describe(self) -> None:
        row, whole = self.row, self.view == "whole"
        about = self.query_one("#about", Page)
        about.display = row is not None and not self.query_one("#trend", Chart).display
        self.shell.refresh_keys()
        if row is None:
            return
        parts = await self.kind.about(row)
        page = self.query_one("#whole", Page) if whole else about
        page.set_parts(parts, keep_place=whole)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        if event.table is self.rows_table:
            self.describe(self._describe_fresh)

    async def _describe_fresh(self) -> None:
        self.refresh_soon() if self.stale else await self._describe()

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        await self.kind.open(event.row)

    def copy_text(self) -> tuple[str, str] | None:
        if not self.is_mounted:
            return None
        page = self.query_one("#whole" if self.view == "whole" else "#about", Page)
        return (page.copy_text, self.kind.title.lower()) if page.copy_text else None

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        if action_id in ("part-next", "part-before", "export") and self.depth:
            return "esc goes back to the list first"
        if action_id == "export" and not (self.is_mounted and self.rows_table.rows):
            return "there is none here"
        part, _, name = action_id.partition("-")
        if part == "entity" and name in _KEYED:
            return self._why_not(name)
        if action_id == "entity-more" and not self._others():
            return "there is nothing else to do in this list"
        return super().why_not(action_id)

    def _why_not(self, name: str) -> str | None:
        verb = next((verb for verb in self.kind.verbs if verb.id == name), None)
        if verb is None:
            return "not in this list"
        row = self.row
        if verb.needs in self.shell.refused:
            return self.shell.refused[verb.needs]
        if verb.of_row and row is None:
            return "there is none here"
        return self.kind.why_not(name, row)

    def _others(self) -> list[Verb]:
        return [verb for verb in self.kind.verbs if verb.id not in _KEYED]

    def _turn(self, by: int) -> None:
        self.rows_table.display = False
        self._at = (self._at + by) % len(self._kinds)
        self._kept = None  # how this list was left is recalled when it is read
        table = self.rows_table
        table.display = True
        self.query_one(KindsLine).say(self._at)
        self.query_one("#about", Page).display = False
        self.query_one("#trend", Chart).display = False
        table.focus()
        self.refresh_soon()
        self.shell.refresh_keys()

    def do_part_next(self) -> None:
        self._turn(1)

    def do_part_before(self) -> None:
        self._turn(-1)

    def do_export(self) -> None:
        """Write the listed rows to a file, each column by its key."""
        kind, rows = self.kind, self.rows_table.rows

        async def report() -> export.Report:
            told = [{column.key: _told(column, row) for column in kind.columns} for row in rows]
            return export.Report(kind.title, export.facts(self), told)

        export.ask(self, kind.name, report)

    async def _do_verb(self, name: str) -> None:
        verb = next(verb for verb in self.kind.verbs if verb.id == name)
        handler = getattr(self.kind, f"do_{name.replace('-', '_')}")
        await (handler(self.row) if verb.of_row else handler())

    async def do_entity_add(self) -> None:
        await self._do_verb("add")

    async def do_entity_edit(self) -> None:
        await self._do_verb("edit")

    async def do_entity_switch(self) -> None:
        await self._do_verb("switch")

    async def do_entity_remove(self) -> None:
        await self._do_verb("remove")

    def do_entity_try(self) -> None:
        self.shell.do(self._do_verb("try"))  # it may take long: keys are not held up

    def do_entity_more(self) -> None:
        from meshag_tui.widgets.chooser import Choice, Chooser

        choices = [
            Choice(verb.id, f"{verb.title}: {verb.help}", "", self._why_not(verb.id) or "") for verb in self._others()
        ]

        def chosen(verb: str | None) -> None:
            if verb is not None:
                self.shell.do(self._do_verb(verb))

        self.shell.push_screen(Chooser(self.kind.title, choices), chosen)


def _told(column: Column, row: Any) -> Any:
    """A value as a program reads it, where it is one, else as it is shown."""
    value = column.of(row)
    return value if isinstance(value, (str, int, float, bool, Decimal)) or value is None else column.render(value)


def _words(kind: Kind, row: Any) -> str:
    """What the filter looks at: the cells as they are shown."""
    return " ".join(column.render(column.of(row)) for column in kind.columns)
