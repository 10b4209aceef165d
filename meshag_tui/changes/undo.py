"""Put an applied change back: the change that undoes it, from what was captured before it ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from meshag_tui.changes.record import ChangeRefused
from meshag_tui.changes.review import Review
from meshag_tui.store.changes import ChangeRow
from meshag_tui.types import (
    Change,
    ChangeState,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    HideIndex,
    RenameIndex,
    RestoreIndex,
    RestoreStatistics,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
    ShowIndex,
)


def inverse(row: ChangeRow) -> Change:
    """The change that puts `row` back.

    What was dropped is restored from the definition captured before the drop; for the rest see `inverse_of`.

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
    if isinstance(change, DropIndex | DropStatistics) and row.undo_sql:
        restore = RestoreIndex if isinstance(change, DropIndex) else RestoreStatistics
        return restore(change.schema, change.table, change.name, tuple(row.undo_sql.split(";\n")))
    undoing = inverse_of(change, row.target["catalogue"])
    if undoing is None:
        raise ChangeRefused(f"{change.kind} cannot be undone: it renews what is there, and no definition changes")
    return undoing


def inverse_of(change: Change, catalogue: Mapping[str, Any]) -> Change | None:
    """What puts a change back by what the catalogue said before it; None where its own statements are needed, or none.

    An index or statistics that it made are dropped by their name; a setting or option gets the value it had.
    """
    match change:
        case CreateIndex(spec):
            return DropIndex(spec.schema, spec.table, str(catalogue["index"]))
        case RestoreIndex():
            return DropIndex(change.schema, change.table, change.name)
        case RenameIndex():
            return RenameIndex(change.schema, change.table, change.new_name, change.name)
        case HideIndex():
            return ShowIndex(change.schema, change.table, change.name)
        case ShowIndex():
            return HideIndex(change.schema, change.table, change.name)
        case SetTableOptions():
            return replace(change, options=tuple((name, value) for name, value in catalogue["undo"]))
        case SetStatisticsTarget():
            return replace(change, target=catalogue["before"])
        case SetSetting():
            before = catalogue["before"]
            return replace(change, value=before, until_restart=catalogue.get("running") if before is None else None)
        case CreateStatistics() if catalogue.get("statistics"):
            return DropStatistics(change.schema, change.table, str(catalogue["statistics"]))
        case RestoreStatistics():
            return DropStatistics(change.schema, change.table, change.name)
    return None


def check_same(row: ChangeRow, reviewed: Review) -> None:
    """Raises ChangeRefused if what would be put back is no longer what `row` made or set.

    Of an index its definition is what counts, and what is said of it beside that: rebuilding it gives it another oid.
    A dropped index is only put back on the table that it was dropped from.
    """
    made, now = row.target.get("made") or {}, reviewed.catalogue
    for name in ("definition", "described", "before"):
        if name in made and name in now and made[name] != now[name]:
            if name == "before":
                raise ChangeRefused(f"It is not as {row.id} set it any more, but {_said(now[name])}: decide by hand")
            statistics = isinstance(reviewed.change, DropStatistics | RestoreStatistics)
            what, be = ("statistics", "are") if statistics else ("index", "is")
            said = f"not the one that {row.id} made any more but {_said(now[name])}"
            raise ChangeRefused(f"The {what} {be} {said}: change it by hand")
    change, dropped_from = reviewed.change, row.target["catalogue"].get("table_oid")
    if isinstance(change, RestoreIndex) and dropped_from is not None and dropped_from != now.get("table_oid"):
        raise ChangeRefused(
            f"{change.schema}.{change.table} is another table than the one {row.id} dropped the index from: "
            f"if it is wanted there, make it by hand: {row.undo_sql}"
        )


def _said(now: Any) -> str:
    if isinstance(now, Mapping):
        return ", ".join(f"{name} = {_said(value)}" for name, value in now.items())
    if isinstance(now, Sequence) and not isinstance(now, str):
        return "; ".join(map(str, now)) or "without what was said of it"
    return "the default" if now is None else str(now)
