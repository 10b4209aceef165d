"""`meshag demo`: a real database server with a real workload, watched, advised on, and shown.

The demo has a store and a key of its own in a private folder that goes when it ends; the user's are left alone, unless
a store is asked for by --store or MESHAG_STORE.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Output
from meshag_tui.figures import duration
from meshag_tui.text import clip
from meshag_tui.types import Target, UsageError

if TYPE_CHECKING:
    from meshag_tui.demo.run import Demo
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.workbench import Workbench

NAME = "shop"
INTERVAL_S = 5
HEADLESS_S = 30
_SHOWN = 10


def demo(args: argparse.Namespace, output: Output) -> Any:
    """Run it with screens, or without (`--headless`, `--json`)."""
    headless = args.headless or output.as_json
    if not headless:
        from meshag_tui.cli.tui import refuse_unfit_terminal

        refuse_unfit_terminal()
        if args.seconds is not None:
            raise UsageError("--seconds goes with --headless")
        return _with_screens(args)
    return _headless(args, output)


async def _headless(args: argparse.Namespace, output: Output) -> None:
    with _folder() as folder:
        settings = _private(args, folder)
        demo = _demo(args, lambda said: output.note(f"meshag: {said}"))
        await asyncio.to_thread(demo.open)
        try:
            await _watch(demo, settings, args.seconds or HEADLESS_S, output)
        finally:
            await asyncio.to_thread(demo.close)


async def _watch(demo: Demo, settings: Any, seconds: int, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(settings) as bench:
        info = await _add(bench, demo)
        await bench.sync(info.id)
        await asyncio.to_thread(demo.start_workload)
        output.note(f"meshag: the shop works for {seconds} s")
        scheduler = bench.scheduler()
        try:
            async with asyncio.timeout(seconds):
                await scheduler.run()
        except TimeoutError:
            pass
        await bench.sync(info.id)
        await bench.advice.suggest(info.id)
        document = await _found(bench, info, demo)
    output.answer(document, lambda: _lines(document))


async def _add(bench: Workbench, demo: Demo) -> ConnectionInfo:
    """The shop as a new connection, beside one of the same name in a store that was asked for."""
    from meshag_tui.store import connections

    taken = {info.name for info in await bench.store(connections.listing)}
    names = itertools.chain((NAME,), (f"{NAME}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    return await bench.connections.add(name, Target.from_url(demo.url), interval_s=INTERVAL_S)


async def _found(bench: Workbench, info: ConnectionInfo, demo: Demo) -> dict[str, Any]:
    from meshag_tui.cli.advice import describe
    from meshag_tui.store import history

    window = await bench.store(history.latest_window, info.id, 86_400_000)
    page = await bench.store(history.queries, info.id, window, limit=_SHOWN)
    found = await bench.advice.open_suggestions(info.id)
    runs = await bench.executions(info.id, limit=1_000)
    return {
        "connection": info.name,
        "executed": demo.statements,
        "syncs": sum(run.kind == "sync_database_stats" and run.state == "done" for run in runs),
        "queries": [
            {"id": row.uid, "text": row.text, "calls": row.calls, "total_time_ms": row.total_time_ms}
            for row in page.rows
        ],
        "suggestions": [describe(row) for row in found],
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['executed']} statements executed, {document['syncs']} syncs"
    yield ""
    yield "Dearest statements"
    for row in document["queries"]:
        yield f"  {duration(row['total_time_ms']):>9}  {clip(' '.join((row['text'] or '').split()), 90)}"
    yield ""
    yield f"{len(document['suggestions'])} suggestions"
    for row in document["suggestions"]:
        yield f"  {row['priority']:<6}  {row['rule']:<22}  {row['title']}"


def _with_screens(args: argparse.Namespace) -> int:
    """The server must be started by the main thread: it ends with the thread that started it."""
    with _folder() as folder:
        settings = _private(args, folder)
        demo = _demo(args, lambda said: print(f"meshag: {said}", file=sys.stderr, flush=True))
        demo.open()
        try:
            asyncio.run(_first_look(demo, settings))
            demo.start_workload()
            app = importlib.import_module("meshag_tui.app")
            return int(app.run(settings) or 0)
        finally:
            demo.close()


async def _first_look(demo: Demo, settings: Any) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(settings) as bench:
        info = await _add(bench, demo)
        await bench.sync(info.id)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """For a store and a key: taken away however we end, `kill -9` and a hang-up that leaves no time included."""
    from meshag_tui.servers.rundir import RunDirectory

    place = RunDirectory()
    try:
        folder = place.path / "home"
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        place.remove()


def _private(args: argparse.Namespace, folder: Path) -> Any:
    """The user's settings on a store and key of the demo's own, unless a store was asked for."""
    asked = args.store or os.environ.get("MESHAG_STORE")
    store_url = args.settings.store_url if asked else f"sqlite:///{folder / 'demo.db'}"
    home = args.settings.home if asked else folder
    # A short life is watched closely.
    collect = args.settings.collect._replace(objects_every_s=2 * INTERVAL_S, texts_every_s=2 * INTERVAL_S)
    return args.settings._replace(home=home, store_url=store_url, collect=collect)


def _demo(args: argparse.Namespace, say: Any) -> Demo:
    from meshag_tui.demo.run import Demo, host

    return Demo(host(args.engine, args.server), progress=say)
