"""`meshag activity …` and `meshag note`: the log, whether it is whole, and files of it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import moment, moment_from, number_of
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.workflows.workbench import Workbench

_COLUMNS = (
    Column("", lambda one: str(one.id), "right"),
    Column("WHEN", lambda one: moment(one.at)),
    Column("WHO", lambda one: one.actor),
    Column("WHAT", lambda one: one.kind),
    Column("CONNECTION", lambda one: one.connection_name or ""),
    Column("ENTRY", lambda one: one.message),
)
_ALL = 1 << 31
_NEEDED = ("id", "at", "actor", "kind", "about", "subject", "message", "details", "origin", "prev_hash", "hash")


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import activity
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(activity.recent, args.n, **await _filter(args, bench))
    output.answer(found, lambda: table(_COLUMNS, found) if found else ["No such entry"])


async def verify(args: argparse.Namespace, output: Output) -> int:
    """Exit 1 when something is not as it was written."""
    from meshag_tui.store import chain
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        verdict = await bench.store.read(chain.verify, args.known)
    whole = f"All {verdict.entries} entries are as they were written. The end is {verdict.head or 'empty'}"
    output.answer(
        {**verdict._asdict(), "faults": [fault._asdict() for fault in verdict.faults], "whole": verdict.whole},
        lambda: [whole] if verdict.whole else [fault.what for fault in verdict.faults],
    )
    return 0 if verdict.whole else 1


async def export(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import activity
    from meshag_tui.workflows.workbench import Workbench

    path = Path(args.file)
    if path.suffix.lower() not in (".json", ".csv"):
        raise UsageError(f"{path}: end the name in .json or .csv")
    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(activity.recent, _ALL, **await _filter(args, bench))
        label = bench.store.url_label
    rows = [activity.exported(entry) for entry in reversed(found)]
    text = json.dumps({"store": label, "entries": rows}, indent=1) if path.suffix.lower() == ".json" else _csv(rows)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise MeshagError(f"{path} cannot be written: {error.strerror}") from None
    output.answer({"file": path, "entries": len(rows)}, lambda: [f"Wrote {number_of(len(rows), 'entry')} to {path}"])


def _csv(rows: list[dict[str, Any]]) -> str:
    from meshag_tui.screens.export import Report, as_csv

    return as_csv(Report("Activity", {}, rows))


async def bring(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    entries = _read(Path(args.file))
    async with await Workbench.open(args.settings) as bench:
        count = await bench.bring(entries, Path(args.file).name)
    said = f"Brought {number_of(count, 'entry')}; {len(entries) - count} were here already"
    output.answer({"brought": count}, lambda: [said])


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return [{name: each[name] for name in _NEEDED} for each in document["entries"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no export of an activity log ({type(error).__name__})") from None


def kinds(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store.activity_kinds import KINDS

    output.answer(dict(KINDS), lambda: [f"{kind:<24} {happened}" for kind, happened in KINDS.items()])


async def note(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        await bench.note(args.text, args.run)
    output.answer({"noted": args.text, "run": args.run}, lambda: ["Noted"])


async def _filter(args: argparse.Namespace, bench: Workbench) -> Mapping[str, Any]:
    from meshag_tui.store import connections, database

    now = await bench.store.read(database.now_ms)
    given: dict[str, Any] = {name: getattr(args, name) for name in ("kind", "actor", "project", "text")}
    for name in ("since", "until"):
        text = getattr(args, name)
        given[name] = None if text is None else moment_from(text, now)
        if text is not None and given[name] is None:
            raise UsageError(f"--{name} is a time as 03:12, or with its day as '2026-09-21 03:12'")
    if args.connection is not None:  # one that is gone is known by its id
        gone = args.connection.startswith("con_")
        given["connection"] = args.connection if gone else (await bench.store(connections.find, args.connection)).id
    return given
