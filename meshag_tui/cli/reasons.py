"""The command `meshag why`: for one statement, each index that could serve it and what speaks against it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from meshag_tui.cli.naming import expect
from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import count, percent, size
from meshag_tui.glyphs import glyphs

if TYPE_CHECKING:
    from meshag_tui.advisor.verdicts import Verdict, Why


async def why(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store.ids import query_id
    from meshag_tui.workflows import reasons
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "qry", "why")
    async with await Workbench.open(args.settings) as bench:
        found = await reasons.why(bench, query_id(args.id), budget_bytes=args.budget, window_ms=args.window)
    output.answer(asdict(found), lambda: lines(found))


def lines(found: Why) -> Iterator[str]:
    """The answer for people: sentences, then a table of indexes."""
    yield from found.said
    if found.cost is not None:
        calls = f"{count(found.planner_calls)} planner calls"
        yield f"Present cost {count(found.cost)}; priced by {found.priced_by}, {calls}."
    if found.verdicts:
        yield ""
        yield from table(_COLUMNS, found.verdicts)


def _index(one: Verdict) -> str:
    return f"{one.table} ({one.keys})"


_COLUMNS = (
    Column("", lambda row: glyphs().ok if row.chosen else ""),
    Column("INDEX", _index),
    Column("SIZE", lambda row: size(row.size_bytes)),
    Column("COST", lambda row: glyphs().none if row.cost is None else count(row.cost)),
    Column("SAVES", lambda row: percent(row.gain)),
    Column("WHY", lambda row: row.why),
)
