"""A pane whose first view is a list that its user arranges: columns, order, presets, kept beyond a restart.

What is kept is the user's own (`bench.actor`), in the store; a filter comes back only with a preset, so that no list
is short without somebody having asked for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from meshag_tui.screens.pane import Pane
from meshag_tui.screens.presets import Kept, Preset, kept_from, kept_under, name_problem
from meshag_tui.store.remembered import recall, remember
from meshag_tui.types import UsageError
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.widgets.column_dialog import Arranged

_ARRANGED = "arranged"


class ListPane(Pane):
    """Base of panes with a list. The first of `all_presets` is how the list usually looks."""

    all_presets: ClassVar[tuple[Preset, ...]] = (Preset("as usual"),)

    def __init__(self) -> None:
        super().__init__()
        self._kept: Kept | None = None  # None: not recalled yet

    @property
    def list_table(self) -> Table:
        """The table of the first view."""
        return next(iter(self.query("#list Table").results(Table)))

    @property
    def presets(self) -> tuple[Preset, ...]:
        """The given presets that the list has the columns for."""
        keys = {column.key for column in self.list_table.columns}
        return tuple(each for each in self.all_presets if not each.sort or each.sort in keys)

    @property
    def narrowed(self) -> str:
        """What the pane's own choice shows, in words that `narrow` understands; "" where there is none."""
        return ""

    def narrow(self, shown: str) -> None:
        """Show what `narrowed` said once; words that mean nothing any more show what is shown usually."""

    # --- what is kept -----------------------------------------------------------------------------------------------

    @property
    def _key(self) -> str:
        return kept_under(self.place, self.bench.actor)

    async def prepare(self) -> None:
        """Arrange the list as it was left."""
        if self._kept is None:
            keys = [column.key for column in self.list_table.columns]
            self._kept = kept_from(await self.bench.store.read(recall, self._key), keys)
            if self._kept.now is not None:
                self._arrange(self._kept.now)

    def _keep(self, kept: Kept) -> None:
        if kept != self._kept:
            self._kept = kept
            self.shell.do(self.bench.store(remember, self._key, kept.document))

    def _arranged(self) -> None:
        """The list was arranged anew: read it so, and keep that."""
        self._keep_arrangement()
        self.refresh_soon()

    def _as_preset(self, name: str) -> Preset:
        """How the list looks now."""
        table = self.list_table
        by, down = table.sort or ("", True)
        chosen = table.chosen
        columns = None if chosen is None else tuple(each.key for each in table.columns if each.key in chosen)
        if table.sort == table.usual_sort:
            by, down = "", True
        return Preset(name, by, down, columns, self.filter_text.strip(), self.narrowed)

    def _arrange(self, preset: Preset) -> None:
        table = self.list_table
        table.choose(preset.columns)
        table.order(preset.sort or None, preset.descending)

    def _keep_arrangement(self) -> None:
        now = self._as_preset(_ARRANGED)._replace(filter="", shown="")
        self._keep((self._kept or Kept())._replace(now=now))

    def on_table_sort_changed(self, event: Table.SortChanged) -> None:
        if event.table is self.list_table:
            self._keep_arrangement()

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        if action_id in ("columns", "presets") and self.depth:
            return "esc goes back to the list first"
        return super().why_not(action_id)

    def do_columns(self) -> None:
        """Choose which columns the list shows, or the one to order by."""
        from meshag_tui.widgets.column_dialog import ColumnDialog

        def chosen(wanted: Arranged | None) -> None:
            if wanted is None:
                return
            table = self.list_table
            usual = {column.key for column in table.columns if not column.optional}
            table.choose(None if wanted.columns == usual else wanted.columns)
            if wanted.sort is not None:
                table.sort_by(wanted.sort)
            else:
                self._arranged()

        self.shell.push_screen(ColumnDialog(self.list_table), chosen)

    def do_presets(self) -> None:
        """Choose a preset, keep how the list looks now as one, or forget one."""
        from meshag_tui.widgets.chooser import Choice, Chooser
        from meshag_tui.widgets.form import Field, FormDialog

        own = (self._kept or Kept()).own
        choices = [Choice(f"given {number}", each.name, each.said) for number, each in enumerate(self.presets)]
        choices += [Choice(f"own {each.name}", each.name, f"yours {each.said}".strip()) for each in own]
        choices.append(Choice("keep", "keep this order, these columns and this filter under a name"))
        choices += [Choice(f"forget {each.name}", f"forget {each.name}") for each in own]

        def chosen(choice: str | None) -> None:
            what, _, which = (choice or "").partition(" ")
            if what == "given":
                self.shell.do(self._take(self.presets[int(which)]))
            elif what == "own":
                self.shell.do(self._take(next(each for each in own if each.name == which)))
            elif what == "forget":
                self._keep((self._kept or Kept()).without(which))
                self.shell.say(f"Forgot the preset {which}")
            elif what == "keep":
                field = Field("name", "Name", hint="a name you know takes its place", check=name_problem, required=True)
                self.shell.push_screen(FormDialog("Keep as a preset", [field], verb="Keep"), named)

        def named(values: dict[str, str] | None) -> None:
            if values is not None:
                preset = self._as_preset(values["name"].strip())
                self._keep((self._kept or Kept()).with_own(preset))
                self.shell.say(f"Kept as {preset.name}: {self.shell.actions['presets'].shown_key} finds it again")

        self.shell.push_screen(Chooser("Presets", choices), chosen)

    async def _take(self, preset: Preset) -> None:
        self._arrange(preset)
        self.narrow(preset.shown)
        try:
            await self.set_filter(preset.filter)
        except UsageError as error:  # kept by another version
            self.shell.say(str(error), "warning")
        self._arranged()
        self.shell.say(f"Preset: {preset.name}")
