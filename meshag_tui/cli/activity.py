"""`meshag activity …` and `meshag note`: the log, whether it is whole, and files of it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import AsyncIterator, Mapping
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
_PAGE = 2_000
"""Entries that are read and written at once."""
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
    from meshag_tui.workflows.workbench import Workbench

    path = Path(args.file)
    if path.suffix.lower() not in (".json", ".csv"):
        raise UsageError(f"{path}: end the name in .json or .csv")
    async with await Workbench.open(args.settings) as bench:
        pages = _pages(bench, await _filter(args, bench))
        count = await _write(path, pages, bench.store.url_label)
    output.answer({"file": path, "entries": count}, lambda: [f"Wrote {number_of(count, 'entry')} to {path}"])


async def _pages(bench: Workbench, wanted: Mapping[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
    """The entries from the oldest on, a page at a time: however long the log is, no more of it is in memory."""
    from meshag_tui.store import activity

    last = 0
    while found := await bench.store.read(activity.following, last, _PAGE, **wanted):
        last = found[-1].id
        yield [activity.exported(entry) for entry in found]


async def _write(path: Path, pages: AsyncIterator[list[dict[str, Any]]], label: str) -> int:
    """Write them as the file's name says; how many. A file that cannot be finished is taken away."""
    from meshag_tui.screens.export import Report, as_csv

    count, as_list = 0, path.suffix.lower() == ".csv"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise MeshagError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write("" if as_list else f'{{"store": {json.dumps(label)}, "entries": [')
            async for rows in pages:
                if as_list:
                    file.write(as_csv(Report("Activity", {}, rows), header=not count))
                else:
                    file.write("".join(f"{',' if count or n else ''}\n{json.dumps(row)}" for n, row in enumerate(rows)))
                count += len(rows)
            empty = "" if count else as_csv(Report("Activity", {}, ()))
            file.write(empty if as_list else "\n]}\n")
    except BaseException as error:
        os.unlink(path)
        if isinstance(error, OSError):
            raise MeshagError(f"{path} cannot be written: {error.strerror}") from None
        raise
    return count


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
