"""Commands that read servers and show what was run: `meshag sync | collect | runs`."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, plain, table
from meshag_tui.figures import ago, duration, moment_from, number_of
from meshag_tui.text import one_line
from meshag_tui.types import ConnectionStatus, ExecutionState, MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.store.executions import ExecutionInfo
    from meshag_tui.workflows.notices import Notice
    from meshag_tui.workflows.sync import SyncReport
    from meshag_tui.workflows.workbench import Workbench


async def sync(args: argparse.Namespace, output: Output) -> int | None:
    """Sync the named connections, or all that are not paused; one that fails does not stop the others."""
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        if args.names:
            chosen = [await bench.store(connections.find, name) for name in dict.fromkeys(args.names)]
        else:
            known = await bench.store(connections.listing)
            chosen = [info for info in known if info.status is not ConnectionStatus.INACTIVE]
            if not chosen:
                raise MeshagError("There is nothing to sync: meshag connections add NAME URL")
        if len(chosen) == 1:
            report = await bench.sync(chosen[0].id)
            output.answer(report, lambda: _report_lines(report))
            return None
        return await _several(bench, chosen, output)


async def _several(bench: Workbench, chosen: list[ConnectionInfo], output: Output) -> int:
    free = asyncio.Semaphore(bench.settings.collect.collectors)

    async def one(info: ConnectionInfo) -> SyncReport | MeshagError:
        async with free:
            try:
                return await bench.sync(info.id)
            except MeshagError as error:
                return error

    answers = await asyncio.gather(*(one(info) for info in chosen))
    documents: list[Any] = []
    failed = 0
    for info, answer in zip(chosen, answers, strict=True):
        if isinstance(answer, MeshagError):
            failed += 1
            error = {"code": getattr(answer, "code", None), "message": str(answer), "fix": getattr(answer, "fix", None)}
            documents.append({"connection": info.name, "connection_id": info.id, "error": error})
            output.line(f"{info.name}: failed")
            output.note(f"meshag: {info.name}: {answer}")
        else:
            documents.append(plain(answer))
            for line in _report_lines(answer):
                output.line(line)
    if output.as_json:
        output.document(documents)
    return 1 if failed else 0


def _report_lines(report: SyncReport) -> Iterator[str]:
    what = [f"{number_of(report.statements, 'statement')} ({report.active} active, {report.new_statements} new)"]
    what.append("tables not read" if report.tables is None else number_of(report.tables, "table"))
    what.append("indexes not read" if report.indexes is None else number_of(report.indexes, "index"))
    yield f"{report.connection}: {', '.join(what)} in {duration(report.duration_ms)}"
    for event in report.events:
        yield f"  {event.get('kind')}: {event.get('detail')}"
    for finding in report.warnings:
        yield f"  {finding.severity}: {finding.title}: {finding.detail}"
        for line in (finding.fix or "").splitlines():
            yield f"    {line}"


async def collect(args: argparse.Namespace, output: Output) -> None:
    """The scheduler without screens. Each end is a line on stderr; with --json the document at the end counts them."""
    from meshag_tui.workflows.notices import Finished
    from meshag_tui.workflows.workbench import Workbench

    ended = {"done": 0, "failed": 0}

    def heard(notice: Notice) -> None:
        if isinstance(notice, Finished):
            ended[notice.state] = ended.get(notice.state, 0) + 1
            name = names.get(notice.connection_id or "", notice.connection_id or "store")
            output.note(f"{name}: {notice.kind} {notice.state}" + (f": {notice.error}" if notice.error else ""))

    names: dict[str, str] = {}
    async with await Workbench.open(args.settings) as bench:
        await _learn_names(bench, names)
        bench.subscribe(heard)
        await bench.need("collect")
        scheduler = bench.scheduler()
        if args.once:
            await scheduler.once()
        else:
            try:
                async with asyncio.timeout(args.seconds):
                    await scheduler.run()
            except TimeoutError:
                pass
        output.answer(ended, lambda: [f"{ended['done']} runs done, {ended['failed']} failed"])


async def _learn_names(bench: Workbench, names: dict[str, str]) -> None:
    from meshag_tui.store import connections

    names.update({info.id: info.name for info in await bench.store(connections.listing)})


async def runs(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections, executions, projects
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        if args.name is not None and args.name.startswith("exec_"):
            if args.cancel and not await bench.cancel(args.name):
                raise MeshagError(f"{args.name} had ended already")
            if args.approve or args.refuse or args.resume:
                from meshag_tui.cli import agents

                await agents.answer(bench, args, output)
                return
            one = await bench.store(executions.get, args.name)
            output.answer(one, lambda: _run_lines(one))
            return
        connection_id = None
        if args.name is not None:
            connection_id = (await bench.store(connections.find, args.name)).id
        only: dict[str, Any] = {"before": args.before, "states": (ExecutionState(args.state),) if args.state else ()}
        if args.agent is not None:
            only["agent"] = (await bench.agents.find(args.agent)).id
        if args.project is not None:
            only["project"] = (await bench.store.read(projects.find, args.project)).id
        if args.since is not None:
            only["since"] = moment_from(args.since, time.time() * 1000)
            if only["since"] is None:
                raise UsageError(f"--since is a time as 03:12, or 2026-09-21 03:12, not {args.since!r}")
        found = await bench.executions(connection_id, args.limit, **only)
    columns = (
        Column("STARTED", lambda run: ago(run.started_at or run.created_at)),
        Column("WHAT", lambda run: run.kind),
        Column("CONNECTION", lambda run: run.connection_name or ""),
        Column("STATE", lambda run: run.state),
        Column("TOOK", lambda run: duration(run.duration_ms), "right"),
        Column("ID", lambda run: run.id),
        Column("ERROR", lambda run: run.error or ""),
    )
    output.answer(found, lambda: table(columns, found) if found else ["Nothing was run yet"])


def _run_lines(run: ExecutionInfo) -> Iterator[str]:
    yield f"{run.id}  {run.kind}  {run.connection_name or run.key}  {run.state}  {duration(run.duration_ms)}"
    if run.error:
        yield f"  {one_line(run.error)}"
    for name, ms in ((run.result or {}).get("phases") or {}).items():
        yield f"  {name:<14} {duration(ms)}"
    for line in run.log:
        yield f"  {line.level:<8} {line.message}"
