"""Commands about agents: `meshag agents …`, `meshag flow …`, `meshag run …`, and agreeing to what a run waits for."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import ago, duration, moment
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.agents.flow import Flow
    from meshag_tui.agents.profiles import Profile
    from meshag_tui.store.agents import AgentRow
    from meshag_tui.workflows.agents import Agent, RunOf
    from meshag_tui.workflows.workbench import Workbench

_OWN = ("name", "category", "description")
_PROFILE = ("instructions", "context", "tools", "model", "configuration")


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import projects
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        mine = None if args.project is None else (await bench.store.read(projects.find, args.project)).id
        found = await bench.agents.page(
            args.limit, status=args.status, category=args.category, text=args.text, removed=args.removed, project=mine
        )
    columns = (
        Column("NAME", lambda row: row.name),
        Column("CATEGORY", lambda row: row.category),
        Column("STATUS", lambda row: row.status),
        Column("EVERY", lambda row: duration(row.every_s * 1000) if row.every_s else "when asked"),
        Column("RUNS", lambda row: str(row.runs), "right"),
        Column("LAST RUN", lambda row: ago(row.last_run_at)),
        Column("ID", lambda row: row.id),
        Column("DESCRIPTION", lambda row: row.description),
    )
    output.answer(found, lambda: table(columns, found) if found else ["There is no such agent"])


async def show(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.find(args.agent)
        found = await bench.agents.get(row.id)
    output.answer(_described(found), lambda: _lines(found))


async def add(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.profiles import profile
    from meshag_tui.workflows.workbench import Workbench

    given = _document(args.file)
    _known(given, (*_OWN, "every", "flow", *_PROFILE))
    if not isinstance(given.get("name"), str):
        raise UsageError("agent: name: it needs one")
    who = profile({name: given[name] for name in _PROFILE if name in given})
    async with await Workbench.open(args.settings) as bench:
        await bench.agents.page(1)
        row = await bench.agents.add(
            given["name"],
            who,
            _flow(given.get("flow", "advise")),
            category=given.get("category", "other"),
            description=given.get("description", ""),
            every_s=_every(given),
        )
        output.answer(row, lambda: [f"Added {row.name} ({row.id}), {row.status}"])


async def edit(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.profiles import profile
    from meshag_tui.workflows.workbench import Workbench

    given = _document(args.file)
    _known(given, (*_OWN, "every", "flow", *_PROFILE))
    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.find(args.agent)
        before = await bench.agents.get(row.id)
        own = {name: given[name] for name in _OWN if name in given}
        if "every" in given:
            own["every_s"] = _every(given)
        more = {name: given[name] for name in _PROFILE if name in given}
        who: Profile | None = profile({**before.profile.document(), **more}) if more else None
        if own or who is not None:
            row = await bench.agents.edit(row.id, who, **own)
        if "flow" in given:
            row = await bench.agents.save_flow(row.id, _flow(given["flow"]))
        output.answer(row, lambda: [f"Saved {row.name}: version {row.version}, flow {row.flow_version}"])


async def status(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.set_status((await bench.agents.find(args.agent)).id, args.status)
        output.answer(row, lambda: [f"{row.name} is {row.status}"])


async def remove(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.remove((await bench.agents.find(args.agent)).id)
        output.answer(row, lambda: [f"Removed {row.name}; meshag agents restore takes it back"])


async def restore(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.restore((await bench.agents.find(args.agent)).id)
        output.answer(row, lambda: [f"{row.name} is back, {row.status}"])


async def purge(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        gone = await bench.agents.purge(args.days)
        output.answer({"purged": gone}, lambda: [f"Forgot {', '.join(gone)}" if gone else "There was none to forget"])


# --- flows ------------------------------------------------------------------------------------------------------------


def templates(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.profiles import templates as made

    def lines() -> Iterator[str]:
        for name, flow in made().items():
            yield f"{name}: {flow.metadata.title}"
            yield from (f"  {line}" for line in _drawn(flow))

    output.answer({name: flow.document() for name, flow in made().items()}, lines)


def flow_schema(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.flow import schema

    output.answer(schema(), lambda: [json.dumps(schema(), indent=2)])


async def export_flow(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.find(args.agent)
        document = (await bench.agents.get(row.id, flow_version=args.version)).flow.document()
    output.answer(document, lambda: [json.dumps(document, indent=2)])


async def import_flow(args: argparse.Namespace, output: Output) -> None:
    """An agent has one flow: another one takes its place when somebody agrees, or --replace says so."""
    from meshag_tui.agents.flow_edit import differences
    from meshag_tui.cli.asking import answerable, confirm
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.find(args.agent)
        wanted = _flow(_document(args.file))
        now = (await bench.agents.get(row.id)).flow
        if not args.replace and row.flow_deleted_at is None and wanted.checksum() != now.checksum():
            if not answerable():
                raise UsageError(f"{row.name} has a flow, version {row.flow_version}: say --replace to replace it")
            for line in differences(now.document(), wanted.document()):
                output.line(line)
            confirm(f"Replace what {row.name} does? Version {row.flow_version} stays.", output)
        row = await bench.agents.save_flow(row.id, wanted)
        output.answer(row, lambda: [f"{row.name} does what version {row.flow_version} says"])


async def diff_flow(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.flow_edit import differences
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.find(args.agent)
        after = args.after or row.flow_version
        before, now = [
            (await bench.agents.get(row.id, flow_version=number)).flow.document() for number in (args.before, after)
        ]
    lines = differences(before, now)
    output.answer(
        {"agent": row.id, "before": args.before, "after": after, "lines": lines},
        lambda: lines or [f"Versions {args.before} and {after} are the same"],
    )


async def remove_flow(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.remove_flow((await bench.agents.find(args.agent)).id)
        output.answer(row, lambda: [f"{row.name} has no flow any more, and is {row.status}"])


def check_flow(args: argparse.Namespace, output: Output) -> int:
    from meshag_tui.agents.flow import problems

    flow = _flow(_document(args.file))
    found = problems(flow)
    output.answer(
        {"problems": found, "checksum": flow.checksum()},
        lambda: [*(f"{line}" for line in found)] if found else [*_drawn(flow), "It may run"],
    )
    return 1 if found else 0


# --- runs -------------------------------------------------------------------------------------------------------------


async def run(args: argparse.Namespace, output: Output) -> int:
    from meshag_tui.store import connections
    from meshag_tui.types import ExecutionState
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.agents.find(args.agent)
        about = (await bench.store(connections.find, args.connection)).id
        outcome = await bench.agents.run(row.id, about)
        found = await bench.agents.run_of(outcome.execution_id)
        output.answer(_described_run(found), lambda: _run_lines(found))
        if outcome.state not in (ExecutionState.DONE, ExecutionState.READY):
            output.note(f"meshag: {outcome.execution_id} {outcome.state}: {outcome.error}")
            return 1
    return 0


async def answer(bench: Workbench, args: argparse.Namespace, output: Output) -> None:
    """Agree to what a run waits for, or to nothing of it, or let it go on; and wait until it is done or waits again."""
    from meshag_tui.cli.asking import confirm

    if args.resume:
        await bench.agents.resume(args.name)
    else:
        waiting = await bench.agents.run_of(args.name)
        if not waiting.asks:
            raise MeshagError(f"{args.name} does not wait for an answer")
        agreed = [item["hash"] for item in waiting.asks] if args.approve else []
        if args.approve and not args.yes:
            for line in _asked(waiting):
                output.line(line)
            confirm(f"Run these {len(agreed)} on {waiting.info.connection_name}?", output)
        await bench.agents.answer(args.name, agreed)
    await bench.runner.settle()
    found = await bench.agents.run_of(args.name)
    output.answer(_described_run(found), lambda: _run_lines(found))


def _asked(found: RunOf) -> Iterator[str]:
    for item in found.asks:
        yield f"{item['title']}:"
        yield f"  {item['sql']}"
        yield from (f"  warning: {line}" for line in item["warned"])


def _run_lines(found: RunOf) -> Iterator[str]:
    from meshag_tui.agents.graph import drawn, states

    info = found.info
    yield f"{info.id}  {found.agent.row.name} on {info.connection_name}  {info.state}  {duration(info.duration_ms)}"
    for row in drawn(found.agent.flow, states(found.standing, info.state)):
        yield f"  {row.text}"
    if info.error:
        yield f"  {one_line(info.error)}"
    if found.asks:
        yield from _asked(found)
        yield f"  meshag runs {info.id} --approve (or --refuse)"


def _described_run(found: RunOf) -> dict[str, Any]:
    info = found.info
    return {
        "id": info.id,
        "agent": found.agent.row.id,
        "version": found.agent.row.version if not info.input else info.input["version"],
        "flow_version": info.input["flow_version"],
        "connection": info.connection_name,
        "state": info.state,
        "error": info.error,
        "at": found.standing.at,
        "steps": [{"node": visit.node_id, **visit.output} for visit in found.standing.visits],
        "asks": found.asks,
        "started_at": info.started_at,
        "finished_at": info.finished_at,
    }


# --- inside -----------------------------------------------------------------------------------------------------------


def _described(found: Agent) -> dict[str, Any]:
    return {**found.row._asdict(), **found.profile.document(), "flow": found.flow.document()}


def _lines(found: Agent) -> Iterator[str]:
    row: AgentRow = found.row
    yield f"{row.name}  {row.id}  {row.category}  {row.status}"
    if row.description:
        yield row.description
    every = f"every {duration(row.every_s * 1000)}, next {moment(row.next_run_at)}" if row.every_s else "when asked"
    yield f"runs {every}; {row.runs} so far, the last {ago(row.last_run_at)}"
    yield f"tools: {', '.join(found.profile.tools) or 'none'}; model: {found.profile.model or 'in the usual order'}"
    yield f"profile version {row.version}, flow version {row.flow_version}"
    yield from (f"  {line}" for line in _drawn(found.flow))


def _drawn(flow: Flow) -> list[str]:
    from meshag_tui.agents.graph import drawn

    return [row.text for row in drawn(flow)]


def _document(path: str) -> dict[str, Any]:
    """What a TOML or JSON file says.

    Raises:
        UsageError: it cannot be read, or is neither.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}") from None
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is neither JSON nor TOML: {one_line(error)}") from None
    return dict(found)


def _flow(given: Any) -> Flow:
    from meshag_tui.agents.flow import read
    from meshag_tui.agents.profiles import templates as made

    if isinstance(given, str):
        if given not in made():
            raise UsageError(f"flow: there is no template {given!r}: there are {', '.join(made())}")
        return made()[given]
    return read(given)


def _every(given: dict[str, Any]) -> int | None:
    from meshag_tui.cli import values

    if not given.get("every"):
        return None
    try:
        return values.seconds(str(given["every"]))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"every: {error}") from None


def _known(given: dict[str, Any], names: tuple[str, ...]) -> None:
    if wrong := sorted(set(given) - set(names)):
        raise UsageError(f"agent: there is no {', '.join(wrong)}: there are {', '.join(names)}")
