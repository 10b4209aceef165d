"""`meshag settings` and `meshag schema`: the server's settings with reasons, and what changed of its structure."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import moment

_SETTINGS = (
    Column("", lambda row: row.judgement),
    Column("SETTING", lambda row: row.name),
    Column("VALUE", lambda row: row.value),
    Column("WHY", lambda row: row.reason),
)


async def settings(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.workflows.settings_review import review
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        found = await bench.store.read(review, info.id)
    output.answer([row._asdict() for row in found], lambda: table(_SETTINGS, found))


async def schema(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections, history
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        versions = (await bench.store.read(history.schema_versions, info.id))[: args.limit + 1]
        found = []
        for version, before in itertools.pairwise(versions):
            changes = await bench.store.read(history.schema_diff, before.id, version.id)
            found.append({"at": version.taken_at, "since": before.taken_at, "changes": changes})
    output.answer(found, lambda: _lines(found) if found else [_none(len(versions))])


def _none(versions: int) -> str:
    return "The structure is as it was when it was first read" if versions else "The structure was never read"


def _lines(found: list[dict[str, Any]]) -> Iterator[str]:
    for each in found:
        yield f"{moment(each['at'])}, since {moment(each['since'])}"
        for change in each["changes"]:
            sign = {"added": "+", "removed": "-"}.get(change.kind, "~")
            if change.kind == "changed":
                yield f"  {sign} {change.part} {change.name}"
                yield f"      - {change.before}"
                yield f"      + {change.after}"
            else:
                yield f"  {sign} {change.part} {change.name}  {change.after or change.before or ''}".rstrip()
