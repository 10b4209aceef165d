"""What the palette finds beside actions: statements, tables, indexes and open suggestions of a connection, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshag_tui.store import history, models, suggestions
from meshag_tui.store.history_windows import listed
from meshag_tui.text import duration, one_line
from meshag_tui.types import Window
from meshag_tui.widgets.chooser import Choice

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp

STATEMENTS, OBJECTS = 200, 2_000
"""How many of each are offered: the dearest statements of the window, and the first by name."""


def things(connection_id: str, window: Window) -> list[Choice]:
    """What can be gone to, in the store's thread."""
    found = []
    for row in history.queries(connection_id, window, limit=STATEMENTS).rows:
        if row.text is not None:
            found.append(Choice(f"query {row.id}", one_line(row.text, 300, " "), f"query {duration(row.mean_time_ms)}"))
    for each in suggestions.listing(connection_id):
        if each.is_open:
            found.append(Choice(f"suggestion {each.id}", one_line(each.title, 300, " "), "advice"))
    kinds: tuple[tuple[str, Any], ...] = (("table", models.MonitoredTable), ("index", models.MonitoredIndex))
    for what, kind in kinds:
        here = (kind.connection == connection_id) & kind.gone_at.is_null()
        names = kind.select(kind.id, kind.schema_name, kind.name).where(here).order_by(kind.name).limit(OBJECTS)
        found += [Choice(f"{what} {key}", f"{schema}.{name}", what) for key, schema, name in listed(names)]
    return found


async def open_thing(app: MeshagApp, what: str, which: str) -> None:
    """Go to one of them."""
    if what == "suggestion":
        await app.show_suggestion(which)
        return
    place = {"query": "queries", "table": "tables", "index": "indexes"}[what]
    await app.go(place)
    pane: Any = app.pane(place)
    if what == "query":
        await pane.open_query(int(which))
        return
    await pane.shown_once()
    if not pane.open_key(int(which)):
        app.say(f"This {what} is not in the list any more", "warning")
