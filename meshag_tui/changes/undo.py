"""Put an applied change back: the change that undoes it, from what was captured before it ran."""

from __future__ import annotations

from meshag_tui.changes.review import ChangeRefused
from meshag_tui.store.changes import ChangeRow
from meshag_tui.types import Change, ChangeState, CreateIndex, DropIndex, RestoreIndex


def inverse(row: ChangeRow) -> Change:
    """The change that puts `row` back.

    A made index is dropped by the name the journal has; a dropped one is restored from the definition captured before
    the drop.

    Raises:
        ChangeRefused: the row was not carried out, has been undone, or is of a kind that leaves nothing to undo.
    """
    if row.state is ChangeState.UNDONE:
        raise ChangeRefused(f"{row.id} has been undone already")
    if row.state is not ChangeState.DONE:
        raise ChangeRefused(f"{row.id} is {row.state}: only a change that is done can be undone")
    change = row.change
    catalogue = row.target["catalogue"]
    if isinstance(change, CreateIndex):
        return DropIndex(change.spec.schema, change.spec.table, str(catalogue["index"]))
    if isinstance(change, DropIndex) and row.undo_sql:
        return RestoreIndex(change.schema, change.table, change.name, tuple(row.undo_sql.split(";\n")))
    if isinstance(change, RestoreIndex):
        return DropIndex(change.schema, change.table, change.name)
    raise ChangeRefused(f"{change.kind} cannot be undone: it changes statistics and free space, not definitions")
