"""Put an applied change back: the change that undoes it, from what was captured before it ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.changes.record import ChangeRefused
from meshag_tui.changes.review import Review
from meshag_tui.store.changes import ChangeRow
from meshag_tui.types import Change, ChangeState, CreateIndex, DropIndex, HideIndex, RestoreIndex, ShowIndex


def inverse(row: ChangeRow) -> Change:
    """The change that puts `row` back.

    A made index is dropped by the name the journal has; a dropped one is restored from the definition captured before
    the drop; a hidden one is shown, and the other way round.

    Raises:
        ChangeRefused: the row was not carried out, has been undone, is an undo itself, or left nothing to undo.
    """
    if row.state is ChangeState.UNDONE:
        raise ChangeRefused(f"{row.id} has been undone already")
    if row.state is not ChangeState.DONE:
        raise ChangeRefused(f"{row.id} is {row.state}: only a change that is done can be undone")
    if row.undoes is not None:
        raise ChangeRefused(f"{row.id} has put {row.undoes} back: apply the suggestion again if you want it after all")
    change = row.change
    if isinstance(change, DropIndex) and row.undo_sql:
        return RestoreIndex(change.schema, change.table, change.name, tuple(row.undo_sql.split(";\n")))
    undoing = inverse_of(change, row.target["catalogue"])
    if undoing is None:
        raise ChangeRefused(f"{change.kind} cannot be undone: it changes statistics and free space, not definitions")
    return undoing


def inverse_of(change: Change, catalogue: Mapping[str, Any]) -> DropIndex | HideIndex | ShowIndex | None:
    """What puts back a change that made an index, hid it or let it be used; None for any other."""
    if isinstance(change, CreateIndex):
        return DropIndex(change.spec.schema, change.spec.table, str(catalogue["index"]))
    if isinstance(change, RestoreIndex):
        return DropIndex(change.schema, change.table, change.name)
    if isinstance(change, HideIndex):
        return ShowIndex(change.schema, change.table, change.name)
    if isinstance(change, ShowIndex):
        return HideIndex(change.schema, change.table, change.name)
    return None


def check_same(row: ChangeRow, reviewed: Review) -> None:
    """Raises ChangeRefused if what would be dropped is no longer the index that `row` made.

    Its definition is what counts: rebuilding an index gives it another oid.
    """
    made = row.target.get("made") or {}
    before, now = made.get("definition"), reviewed.catalogue.get("definition")
    if isinstance(reviewed.change, DropIndex) and before is not None and before != now:
        raise ChangeRefused(f"The index is not the one that {row.id} made any more, it is {now}: drop it by hand")
