"""`meshag stats`: the whole installation in a few figures."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Output
from meshag_tui.figures import duration, moment, number_of, percent

if TYPE_CHECKING:
    from meshag_tui.store.tiles import Tiles


async def stats(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store.tiles import tiles
    from meshag_tui.workflows.workbench import Workbench

    midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    since = round(midnight.timestamp() * 1000)
    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(tiles, since)
    document: dict[str, Any] = found._asdict() | {"budgets": [each._asdict() for each in found.budgets]}
    output.answer(document, lambda: _lines(found))


def _lines(found: Tiles) -> Iterator[str]:
    yield f"connections   {_counted(found.connections)}"
    yield f"agents        {_counted(found.agents)}"
    rate = "" if found.success_rate is None else f", {percent(found.success_rate)} of those that ended went well"
    mean = "" if found.mean_ms is None else f", mean {duration(found.mean_ms)}"
    since = moment(found.since, "%H:%M")
    yield f"runs          {found.runs} since {since}, {found.failed} failed, {found.running} running{rate}{mean}"
    for each in found.budgets:
        of = "without a cap" if each.cap is None else f"of {each.cap:f}"
        about = f" for {each.project}" if each.project else ""
        yield f"budget        {each.plan}{about}: {each.spent:f} {of} {each.currency}"
    yield f"to decide     {number_of(found.open_suggestions, 'suggestion')}, {number_of(found.open_alerts, 'alert')}"
    yield f"worst health  {'never judged' if found.worst_health is None else f'{found.worst_health} of 100'}"


def _counted(counts: Any) -> str:
    return ", ".join(f"{number} {status.lower()}" for status, number in sorted(counts.items())) or "none"
