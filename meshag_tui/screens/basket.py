"""Several suggestions in one review: what would run in which order, what speaks against it, or two files.

The dialog is that of a single change (`screens.apply`); here is what it shows of several, and what becomes of the yes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from meshag_tui.cli.migration import files_of, write
from meshag_tui.figures import moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.apply import ORDER, ApplyDialog, gate_pieces
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError
from meshag_tui.widgets.dialog import sql_parts
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.changes.basket import Basket, Wanted
    from meshag_tui.screens.suggestions import SuggestionsPane

ONE_OF = "applying one by one,"
"""How it is said which of a run is at work."""


def basket_pieces(basket: Basket) -> list[Piece]:
    """All of a basket. What speaks against it comes first, then each statement with its gates and undo."""
    said: list[Piece] = [("dim", "On       "), ("bold", f"{one_line(basket.target_label)}\n")]
    against = [gate for gate in basket.gates if gate.state != "pass"]
    said.append(("dim", "Against it:\n" if against else "Every gate lets it through.\n"))
    for gate in sorted(against, key=lambda each: ORDER[each.state]):
        said += gate_pieces(gate)
    said.append(("dim", "Together:\n"))
    for gate in basket.together:
        if gate.state == "pass":
            said += gate_pieces(gate)
    said.append(("dim", "This runs, one after the other; the first that fails ends it:\n"))
    for number, item in enumerate(basket.items, 1):
        said += [("bold", f"{number}. {one_line(item.wanted.title)}\n")]
        said += [*sql_parts(item.review.sql.strip(), basket.dialect), ("", "\n")]
    said.append(("dim", "This puts each back, by its own undo:\n"))
    for number, item in enumerate(basket.items, 1):
        undo = item.review.undo_sql
        said.append(("bold", f"{number}. "))
        said += sql_parts(undo.strip(), basket.dialect) if undo else [("", "nothing: it changes no definition")]
        said.append(("", "\n"))
    said.append(("dim", "Gates that let it through:\n"))
    for gate in basket.gates[len(basket.together) :]:
        if gate.state == "pass":
            said += gate_pieces(gate)
    return said


def ask(pane: SuggestionsPane, wanted: Sequence[StoredSuggestion]) -> None:
    """Show what is marked as one run, and begin it after a second key."""
    ids = [each.id for each in wanted]
    look = partial(pane.bench.hands.review_basket, ids)
    dialog = ApplyDialog(f"Apply {len(ids)} suggestions", look, pieces=basket_pieces)

    def answered(agreed: str | None) -> None:
        if agreed is not None:
            pane.shell.do(_run(pane, wanted, agreed, dialog.accept))

    pane.shell.push_screen(dialog, answered)


async def _run(pane: SuggestionsPane, wanted: Sequence[StoredSuggestion], agreed: str, accept: Collection[str]) -> None:
    def tell(number: int, one: Wanted) -> None:
        pane.begun(one.suggestion_id, f"{ONE_OF} {number} of {len(wanted)}")

    try:
        ran = await pane.bench.hands.apply_basket(agreed, tell=tell, accept=accept)
    except MeshagError as error:
        pane.failed(f"Not applied: {len(wanted)} suggestions", error)
        return
    finally:
        pane.ended([each.id for each in wanted])
    undo = f" ({pane.shell.actions['undo'].shown_key} undoes each)" if ran.done else ""
    if ran.failed is None:
        pane.shell.say(f"{glyphs().ok} Applied {len(ran.done)}{undo}")
        return
    left = f"; {len(ran.not_begun)} behind it not begun, marked again" if ran.not_begun else ""
    pane.mark(ran.not_begun)
    title = next((each.title for each in wanted if each.id == ran.failed), ran.failed)
    pane.failed(f"Applied {len(ran.done)} of {len(wanted)}{left}", MeshagError(f"{one_line(title)}: {ran.error}"))


async def offer_what_is_left(pane: SuggestionsPane, connection_id: str) -> None:
    """Mark what was not begun when MeshAG was killed in a run of several, and say so."""
    left = await pane.bench.hands.left_of_basket(connection_id)
    if left is not None:
        pane.mark([each.suggestion_id for each in left.items])
        began, key = moment(left.created_at, "%d %b %H:%M"), pane.shell.actions["apply"].shown_key
        pane.shell.say(
            f"The run of {began} by {one_line(left.actor, 30)} was interrupted: {len(left.items)} not begun, marked "
            f"again ({key} looks at them)",
            "warning",
        )


def ask_files(pane: SuggestionsPane, wanted: Sequence[StoredSuggestion]) -> None:
    """Ask for a name and write two files that psql or mysql runs."""
    info = pane.connection
    subject = re.sub(r"[^\w.-]+", "-", info.name if info is not None else "meshag")
    proposed = f"./meshag-{subject}" if info is None else info.proposed(f"meshag-{subject}")
    field = Field("name", "Name", proposed, hint="NAME.up.sql, NAME.down.sql", check=_check, required=True)

    def answered(values: dict[str, str] | None) -> None:
        if values is not None:
            pane.shell.do(_write(pane, [each.id for each in wanted], values["name"].strip()))

    pane.shell.push_screen(FormDialog(f"Export {len(wanted)} as a migration", [field], verb="Write"), answered)


def _check(given: str) -> str | None:
    up, down = files_of(given.strip())
    if not up.parent.is_dir():
        return "there is no such folder"
    return "it exists already: take another name" if up.exists() or down.exists() else None


async def _write(pane: SuggestionsPane, ids: Sequence[str], name: str) -> None:
    up, down = files_of(name)
    made = await pane.bench.hands.migration(ids, up.name, down.name)
    await asyncio.to_thread(write, up, down, made)
    lost = f"; {len(made.not_undone)} cannot be put back" if made.not_undone else ""
    pane.shell.say(f"Wrote {up} and {down.name}{lost}")
