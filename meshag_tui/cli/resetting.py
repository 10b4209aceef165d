"""`meshag reset NAME`: the server counts its statements from nothing; what was collected stays."""

from __future__ import annotations

import argparse

from meshag_tui.cli.output import Output


async def reset(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.changes.resetting import EFFECT, NOTE
    from meshag_tui.cli.asking import confirm_name
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        shown = await bench.hands.review_reset(info.id)
        answer = {"connection": info.name, "sql": shown.sql, "reset": not args.dry_run}
        if args.dry_run:
            output.answer(answer, lambda: [shown.sql])
            return
        if not args.yes:
            for line in (f"On {info.label}:", *shown.sql.splitlines(), f"{EFFECT} {NOTE}."):
                output.note(line)
            confirm_name("Nothing undoes it.", info.name, output)
        await bench.hands.reset_statistics(shown)
        output.answer(answer, lambda: [f"{info.name} counts its statements from nothing; what was collected stays"])
