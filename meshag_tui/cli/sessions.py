"""`meshag sessions NAME`: what sessions do now, or what they did at a moment that was sampled."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import duration, moment, moment_from, number_of
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.live import LiveReading, Vital
    from meshag_tui.store.sampled import Span

_REACH_MS = 300_000
"""How far from the moment asked for something sampled may lie."""


def _waits_for(row: dict[str, Any]) -> str:
    """What it waits for; one that computes waits for nothing, whatever the server calls that."""
    return "" if row["wait"] == "cpu" else row["event"] or row["wait"] or ""


_COLUMNS = (
    Column("ID", lambda row: str(row["id"]), "right"),
    Column("STATE", lambda row: row["state"]),
    Column("AGE", lambda row: duration(row["ms"]), "right"),
    Column("WAITS FOR", _waits_for),
    Column("BLOCKED BY", lambda row: ", ".join(map(str, row["blocked_by"]))),
    Column("WHO", lambda row: f"{row['user']}@{row['database']}"),
    Column("CLIENT", lambda row: row["client"]),
    Column("APPLICATION", lambda row: row["application"]),
    Column("QUERY", lambda row: row["text"] or ""),
)


async def sessions(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections, database, sampled
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        if args.at is None:
            reading = await bench.connections.live(info.id)
            document = _of_reading(reading, args.idle)
        else:
            now = await bench.store(database.now_ms)
            at = moment_from(args.at, now)
            if at is None:
                raise UsageError("--at is a time as 03:12, or with its day as '2026-09-21 03:12'")
            span = await bench.store(sampled.at, info.id, at, _REACH_MS)
            if span is None:
                raise MeshagError(
                    f"Nobody looked at {info.name} around {moment(at)}: sessions are sampled while meshag or "
                    "meshag collect runs"
                )
            document = _of_span(span)
    rows = document["sessions"]
    output.answer({"connection": info.name, **document}, lambda: _lines(info.name, document, rows))
    if document.get("hidden"):
        output.note(f"{number_of(document['hidden'], 'session')} of other roles hidden: {document['fix']}")


def _of_reading(reading: LiveReading, idle: bool) -> dict[str, Any]:
    shown = [each for each in reading.sessions if idle or each.state != "idle"]
    return {
        "at": reading.taken_at,
        "state": reading.state,
        "hidden": reading.hidden,
        "fix": reading.finding.fix if reading.finding else None,
        "blockers": reading.blockers,
        "active": dict(reading.active()),
        "sessions": [
            {
                **_common(each),
                "ms": each.transaction_ms if each.state == "idle in transaction" else each.statement_ms,
                "transaction_ms": each.transaction_ms,
                "began": each.began,
            }
            for each in shown
        ],
        "vitals": _vitals(reading.vitals),
    }


def _of_span(span: Span) -> dict[str, Any]:
    return {
        "from": span.start_at,
        "to": span.end_at,
        "samples": span.samples,
        "active": {name: total / span.samples for name, total in span.active.items()},
        "sessions": [{**_common(each), "ms": each.ms, "seen": each.seen} for each in span.sessions],
        "vitals": _vitals(span.vitals),
    }


def _common(each: Any) -> dict[str, Any]:
    names = ("id", "user", "database", "client", "application", "kind", "state", "wait", "event", "fingerprint", "text")
    return {name: getattr(each, name) for name in names} | {"blocked_by": list(each.blocked_by)}


def _vitals(vitals: Mapping[str, Vital] | None) -> dict[str, Any] | None:
    return None if vitals is None else dict(vitals)


def _lines(name: str, document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return [f"No session of {name} works or holds a transaction"]
    return table(_COLUMNS, rows)
