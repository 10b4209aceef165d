"""What the catalogue's answer means for the DBA when a change did not happen: what is there now, and what mends it."""

from __future__ import annotations

from meshag_tui.engines.words import Words
from meshag_tui.store.changes import ChangeRow
from meshag_tui.types import (
    Analyze,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    HideIndex,
    Rebuild,
    Reindex,
    RenameIndex,
    RestoreIndex,
    RestoreStatistics,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
    ShowIndex,
)


def verdict(row: ChangeRow, found: str, reason: str | None, words: Words) -> str:
    """One line: why it is no success (`reason`, as far as we know), and the state the object was left in.

    `found` is what the session's `verify` said: "absent" or "invalid".
    """
    change = row.change
    if isinstance(change, DropIndex | HideIndex | ShowIndex):
        name = f"{change.schema}.{change.name}"
        state = f"the index {name} is as before"
        if found == "invalid":
            state = (
                f"the index {name} is half dropped: no query uses it, writes still pay for it; "
                f"apply it again to finish, or {words.remedies['half-dropped-index']}"
            )
    elif isinstance(change, CreateIndex | RestoreIndex):
        name = f"{change.schema if isinstance(change, RestoreIndex) else change.spec.schema}.{_index(row)}"
        state = f"there is no index {name}"
        if found == "invalid":
            state = f"an invalid index {name} was left, which serves no query: {row.undo_sql} removes it"
    elif isinstance(change, RenameIndex):
        state = f"the index {change.schema}.{change.name} has its name still"
    elif isinstance(change, Reindex):
        state = f"the index {change.schema}.{change.name} is as before"
        if found == "invalid":
            state += ", and an invalid one beside it, named like it with _ccnew or _ccold, serves no query: drop it"
    elif isinstance(change, SetTableOptions | SetStatisticsTarget):
        state = f"the options of {change.schema}.{change.table} are as before"
    elif isinstance(change, CreateStatistics | RestoreStatistics):
        state = f"there are no such statistics of {change.schema}.{change.table}"
    elif isinstance(change, DropStatistics):
        state = f"the statistics {change.schema}.{change.name} are as before"
    elif isinstance(change, SetSetting):
        state = f"{change.name} is as before"
    elif isinstance(change, Rebuild):
        state = f"the table {change.schema}.{change.table} is as before"
    elif isinstance(change, Analyze):
        state = "its statistics were not renewed, as far as the server says"
    else:
        state = "its space was not reclaimed, as far as the server says"
    return f"{reason or 'The server did not make the change'}: {state}"


def _index(row: ChangeRow) -> str:
    return str(row.target["catalogue"].get("index", ""))
