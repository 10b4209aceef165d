"""`meshag compare`: the statements of two windows by what they add to the load, and what else happened."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.cli import caveats
from meshag_tui.cli.output import Column, Output, table
from meshag_tui.engines import words_for
from meshag_tui.figures import duration, moment

if TYPE_CHECKING:
    from meshag_tui.store.comparison import Amount, Comparison, Difference
    from meshag_tui.store.happenings import Happening
    from meshag_tui.types import Window


_NOTHING = 1e-6  # ms in a second


async def compare(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import comparison, connections, history
    from meshag_tui.store.happenings import happenings
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        now = await bench.store(history.latest_window, info.id, args.window)
        then = comparison.baseline(now, args.against)
        found = await bench.store(comparison.compare, info.id, now, then, limit=args.limit, text=args.text)
        happened = await bench.store(happenings, info.id, now)
    codes = words_for(info.engine or info.db_type).statement_findings
    none = f"No statement ran on {info.name} in either window; meshag sync {info.name} reads anew"
    if not found.observed:
        blind = then if found.now_s else now
        none = f"Nothing was observed from {moment(blind.start)} to {moment(blind.end)}: there is nothing to compare"
    nothing = caveats.instead_of_rows(info, codes, none)
    output.answer(_document(found, happened), lambda: _lines(found, happened) if found.rows else nothing)
    if not found.complete:
        output.note("Counts were lost in one of the windows: see what happened")


def _document(found: Comparison, happened: tuple[Happening, ...]) -> dict[str, Any]:
    return {
        "now": _window(found.now, found.now_s, found.now_ms_per_s),
        "then": _window(found.then, found.then_s, found.then_ms_per_s),
        "complete": found.complete,
        "statements_total": found.total_rows,
        "groups": [
            {"course": group.course, "statements": group.statements, "by_ms_per_s": group.by_ms_per_s}
            for group in found.groups
        ],
        "statements": [describe(row) for row in found.rows],
        "happened": [
            {"at": each.at, "kind": each.kind, "what": each.what, "subject": each.subject} for each in happened
        ],
    }


def _window(window: Window, seconds: float, ms_per_s: float) -> dict[str, Any]:
    return {"start": window.start, "end": window.end, "observed_s": seconds, "ms_per_s": ms_per_s}


def describe(row: Difference) -> dict[str, Any]:
    """A difference as the contract has it. Loads are ms in each second observed."""
    return {
        "id": row.uid,
        "text": row.text,
        "text_state": row.text_state,
        "user": row.db_user,
        "course": row.course,
        "by_ms_per_s": row.by_ms_per_s,
        "by_mean_ms_per_s": row.by_mean_ms_per_s,
        "by_calls_ms_per_s": row.by_calls_ms_per_s,
        **{f"{name}_now": value for name, value in _amount(row.now).items()},
        **{f"{name}_then": value for name, value in _amount(row.then).items()},
    }


def _amount(amount: Amount) -> dict[str, Any]:
    return {
        "calls": amount.calls,
        "time_ms": amount.time_ms,
        "mean_time_ms": amount.mean_ms,
        "calls_per_s": amount.calls_per_s,
        "ms_per_s": amount.ms_per_s,
    }


def signed(ms_per_s: float) -> str:
    """A load that came or went: "+120 ms/s"; what rounding leaves is nothing."""
    if abs(ms_per_s) < _NOTHING:
        return "0 ms/s"
    return f"{'-' if ms_per_s < 0 else '+'}{duration(abs(ms_per_s))}/s"


_COLUMNS = (
    Column("ID", lambda row: row.uid),
    Column("WHAT", lambda row: row.course),
    Column("LOAD", lambda row: signed(row.by_ms_per_s), "right"),
    Column("MEAN THEN", lambda row: duration(row.then.mean_ms), "right"),
    Column("MEAN NOW", lambda row: duration(row.now.mean_ms), "right"),
    Column("CALLS/S THEN", lambda row: f"{row.then.calls_per_s:.2f}", "right"),
    Column("CALLS/S NOW", lambda row: f"{row.now.calls_per_s:.2f}", "right"),
    Column("QUERY", lambda row: row.text if row.text is not None else f"<{row.text_state}>"),
)


def _lines(found: Comparison, happened: tuple[Happening, ...]) -> Iterator[str]:
    moved = found.now_ms_per_s - found.then_ms_per_s
    yield f"load {duration(found.now_ms_per_s)}/s, {duration(found.then_ms_per_s)}/s then: {signed(moved)}"
    yield from table(_COLUMNS, found.rows)
    for each in happened:
        yield f"{moment(each.at)}  {each.kind}: {each.what}"
