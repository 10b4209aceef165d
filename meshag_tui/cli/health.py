"""`meshag health` and `meshag limits`: how connections fare, item by item, and from when a figure counts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import moment
from meshag_tui.types import UsageError, Window

if TYPE_CHECKING:
    from meshag_tui.advisor.score import Health
    from meshag_tui.store.health import Kept

_ITEMS = (
    Column("TAKES", lambda item: f"-{item.lost}" if item.lost else "", "right"),
    Column("OF", lambda item: str(item.points), "right"),
    Column("MEASURE", lambda item: item.name),
    Column("", lambda item: item.verdict),
    Column("FIGURE", lambda item: item.said, "right"),
    Column("WARNING", lambda item: _limit(item, item.warning), "right"),
    Column("CRITICAL", lambda item: _limit(item, item.critical), "right"),
    Column("WHAT", lambda item: ": ".join(filter(None, (item.title, item.detail or item.fix)))),
)
_KEPT = (
    Column("AT", lambda kept: moment(kept.at)),
    Column("SCORE", lambda kept: str(kept.score), "right"),
    Column("JUDGED", lambda kept: str(kept.judged), "right"),
    Column("TAKEN BY", lambda kept: taken(kept)),
)


async def health(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections, database
    from meshag_tui.store import health as room
    from meshag_tui.workflows.watching import judge
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        if args.names:
            infos = [await bench.store(connections.find, name) for name in args.names]
        else:
            infos = list(await bench.store.read(connections.listing))
        now = await bench.store(database.now_ms)
        slow_ms = bench.settings.advice.slow_ms
        judged = [(info.name, await bench.store.read(judge, info.id, slow_ms, now)) for info in infos]
        past: dict[str, tuple[Kept, ...]] = {}
        if args.history:
            window = Window(now - args.history, now)
            past = {info.name: await bench.store.read(room.history, info.id, window=window) for info in infos}
    documents = [describe(name, found) | _past(past.get(name)) for name, found in judged]
    answer: Any = documents[0] if len(args.names) == 1 else documents
    output.answer(answer, lambda: [line for name, found in judged for line in _lines(name, found, past.get(name))])


def describe(name: str, found: Health) -> dict[str, Any]:
    """A score as JSON."""
    return {
        "connection": name,
        "score": found.score,
        "judged": found.judged,
        "verdict": found.verdict,
        "items": found.items,
    }


def taken(kept: Kept) -> str:
    """What took points in a score that was kept, the most first."""
    lost = sorted((item for item in kept.items if item["lost"]), key=lambda item: -item["lost"])
    return ", ".join(f"{item['name']} -{item['lost']} ({item['said']})" for item in lost)


def _past(kept: tuple[Kept, ...] | None) -> dict[str, Any]:
    return {} if kept is None else {"history": [each._asdict() for each in kept]}


def _limit(item: Any, value: float) -> str:
    from meshag_tui.advisor.score import measure

    return measure(item.name).says(value) + ("*" if item.own else "")


def _lines(name: str, found: Health, past: tuple[Kept, ...] | None) -> Iterator[str]:
    unread = f", {100 - found.judged} points not judged" if found.judged < 100 else ""
    yield f"{name}: {found.score} of 100, {found.verdict}{unread}"
    yield from table(_ITEMS, found.items)
    if any(item.own for item in found.items):
        yield "* a limit of its own"
    if past:
        yield from table(_KEPT, past)
    yield ""


async def limits(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.advisor import score
    from meshag_tui.engines import words_for
    from meshag_tui.store import connections
    from meshag_tui.store import health as room
    from meshag_tui.workflows.workbench import Workbench

    if args.measure is not None and not args.usual and (args.warning is None or args.critical is None):
        raise UsageError("Two limits are needed: meshag limits NAME MEASURE WARNING CRITICAL")
    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        own = await bench.store(room.limits, info.id)
        if args.usual:
            gone = own if args.measure is None else [score.measure(args.measure).name]
            await bench.alerting.set_limits(info.id, {name: pair for name, pair in own.items() if name not in gone})
        elif args.measure is not None:
            pair = (score.limit_from(args.measure, args.warning), score.limit_from(args.measure, args.critical))
            await bench.alerting.set_limits(info.id, own | {args.measure: pair})
        own = await bench.store(room.limits, info.id)
    without = words_for(info.engine or info.db_type).no_measure
    rows = [_limits_row(each, own) for each in score.MEASURES if each.name != without]
    columns = (
        Column("MEASURE", lambda row: row["measure"]),
        Column("WARNING", lambda row: score.measure(row["measure"]).says(row["warning"]), "right"),
        Column("CRITICAL", lambda row: score.measure(row["measure"]).says(row["critical"]), "right"),
        Column("", lambda row: "its own" if row["own"] else ""),
        Column("WHAT", lambda row: row["title"]),
    )
    output.answer(rows, lambda: table(columns, rows))


def _limits_row(of: Any, own: dict[str, tuple[float, float]]) -> dict[str, Any]:
    warning, critical = own.get(of.name, (of.warning, of.critical))
    known = {"measure": of.name, "title": of.title, "unit": of.unit, "points": of.points}
    return known | {"warning": warning, "critical": critical, "own": of.name in own}
