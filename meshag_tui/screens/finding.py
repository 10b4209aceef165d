"""What the palette finds beside actions: statements, tables, indexes and open suggestions of a connection, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.figures import duration, number_of
from meshag_tui.store import connections, executions, history, ids, models, suggestions
from meshag_tui.store.history_windows import listed
from meshag_tui.text import one_line
from meshag_tui.types import Window
from meshag_tui.widgets.chooser import Choice
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp
    from meshag_tui.store.connections import ConnectionInfo

_ID = re.compile(r"[a-z]+_[0-9a-z]{10,16}")
STATEMENTS, OBJECTS = 200, 2_000
"""How many of each are offered: the dearest statements of the window, and the first by name; of advice the most
urgent."""


def things(connection_id: str, window: Window) -> list[Choice]:
    """What can be gone to, in the store's thread."""
    found = []
    for row in history.queries(connection_id, window, limit=STATEMENTS, trends=False).rows:
        if row.text is not None:
            found.append(Choice(f"query {row.id}", one_line(row.text, 300, " "), f"query {duration(row.mean_time_ms)}"))
    for each in suggestions.listing(connection_id, open_only=True, limit=OBJECTS):
        found.append(Choice(f"suggestion {each.id}", one_line(each.title, 300, " "), "advice"))
    kinds: tuple[tuple[str, Any], ...] = (("table", models.MonitoredTable), ("index", models.MonitoredIndex))
    for what, kind in kinds:
        here = (kind.connection == connection_id) & kind.gone_at.is_null()
        names = kind.select(kind.id, kind.schema_name, kind.name).where(here).order_by(kind.name).limit(OBJECTS)
        found += [Choice(f"{what} {key}", f"{schema}.{name}", what) for key, schema, name in listed(names)]
    return found


def by_id(typed: str) -> Choice | None:
    """Where an id that was pasted leads, if it is one that something can be opened by."""
    prefix = typed.partition("_")[0]
    known = {"qry": "query", "sug": "advice", "exec": "run", "con": "connection"}
    if prefix not in known or not _ID.fullmatch(typed):
        return None
    return Choice(f"id {typed}", f"Go to {typed}", known[prefix])


async def _open_id(app: MeshagApp, uid: str) -> None:
    """Go to what has this id, of whichever connection. MeshagError: there is none."""
    bench = app.bench
    if bench is None:
        return
    store = bench.store
    if uid.startswith("con_"):
        app.look_at_connection((await store.read(connections.find, uid)).id)
    elif uid.startswith("exec_"):
        await store.read(executions.get, uid)
        await app.go("runs")
        pane: Any = app.pane("runs")
        await pane.shown_once()
        pane.query_one(Table).move_to(uid)
    elif uid.startswith("sug_"):
        app.look_at_connection((await store.read(suggestions.get, uid)).connection_id)
        await app.show_suggestion(uid)
    else:
        number = ids.query_id(uid)
        app.look_at_connection((await store.read(history.statement, number)).connection_id)
        await open_thing(app, "query", str(number))


def projects(known: Sequence[ConnectionInfo]) -> list[Choice]:
    """Where there are several: each with how many connections it has."""
    names = [info.project_name for info in known]
    several = sorted(set(names)) if len(set(names)) > 1 else []
    return [
        Choice(f"project {name}", f"Look at the project {name}", number_of(names.count(name), "connection"))
        for name in several
    ]


async def _open_project(app: MeshagApp, name: str) -> None:
    """The overview of its connections alone, and the first of them to be looked at."""
    await app.go("connections")
    pane: Any = app.pane("connections")
    await pane.set_filter(name)
    here = app.connection
    if here is None or here.project_name != name:
        app.look_at_connection(next(info.id for info in app.connections if info.project_name == name))


async def open_thing(app: MeshagApp, what: str, which: str) -> None:
    """Go to one of them."""
    if what == "id":
        await _open_id(app, which)
        return
    if what == "suggestion":
        await app.show_suggestion(which)
        return
    if what == "project":
        await _open_project(app, which)
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
