"""Commands about threads with models: `meshag ask`, `meshag threads …`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import moment
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.store.threads import MessageRow, Thread
    from meshag_tui.workflows.threads import Sending
    from meshag_tui.workflows.workbench import Workbench


async def ask(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.naming import expect
    from meshag_tui.workflows.workbench import Workbench

    subject = expect(args.subject, "qry", "ask", "sug", "thrd")
    async with await Workbench.open(args.settings) as bench:
        if subject.startswith("thrd_"):
            if args.model is not None and not args.preview:
                await bench.threads.edit(subject, model=args.model or None)
            thread = await bench.threads.get(subject)
        else:
            agent = await bench.agents.get((await bench.agents.find(args.agent)).id) if args.agent else None
            thread = await bench.threads.draft(
                subject,
                plan=args.plan,
                model=args.model or (agent.profile.model if agent else None),
                agent_id=agent.row.id if agent else None,
                window_ms=args.window,
            )
        sending = await bench.threads.preview(thread, args.question)
        if args.preview:
            _show(sending, output)
            return
        await _agree(bench, thread, sending, args, output)
        thread_id = thread.row.id or await bench.threads.begin(thread)
        said = await bench.threads.ask(thread_id, args.question)
        thread = await bench.threads.get(thread_id)
        output.answer(described(said, thread), lambda: _lines(said, thread))


def _show(sending: Sending, output: Output) -> None:
    labels = [one.label for one in sending.endpoints]
    output.answer({"text": sending.text, "bytes": sending.bytes, "to": labels}, lambda: [sending.text])
    where = ", or if that is down to ".join(labels) or "nobody: there is no model to ask"
    output.note(f"meshag: {sending.refused or f'{sending.bytes} bytes would go to {where}'}")


async def _agree(bench: Workbench, thread: Thread, sending: Sending, args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.asking import confirm

    if sending.agreed or not sending.endpoints:
        return
    if not args.consent:
        if output.as_json or not sys.stdin or not sys.stdin.isatty():
            raise MeshagError("Nothing was sent: see --preview, then agree with --consent")
        output.line(sending.text)
        where = ", or ".join(one.label for one in sending.endpoints)
        confirm(f"Send such texts ({sending.bytes} bytes) of this connection to {where}?", output, "--consent")
    await bench.advice.give_model_consent(thread.row.connection_id, thread.row.model)


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        about = (await bench.store(connections.find, args.name)).id if args.name else None
        found = await bench.threads.page(args.limit, connection_id=about, subject_id=args.about, removed=args.removed)
    columns = (
        Column("ID", lambda row: row.id),
        Column("CONNECTION", lambda row: row.connection),
        Column("ABOUT", lambda row: f"{row.subject_kind} {row.subject_id}"),
        Column("SAID", lambda row: str(row.messages), "right"),
        Column("LAST", lambda row: moment(row.updated_at)),
        Column("NAME", lambda row: row.name),
    )
    output.answer(found, lambda: table(columns, found) if found else ["There is no thread: meshag ask begins one"])


async def show(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.transcript import markdown
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        thread = await bench.threads.get(args.id)
    document = {
        **thread.row._asdict(),
        "evidence": thread.evidence,
        "messages": [described(each, thread) for each in thread.messages],
    }
    output.answer(document, lambda: [markdown(thread)])


async def edit(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    given = {"name": args.name, "instructions": args.instructions}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if args.model is not None:
        changes["model"] = args.model or None
    if not changes:
        raise UsageError("Nothing to change: see meshag threads edit --help")
    async with await Workbench.open(args.settings) as bench:
        row = await bench.threads.edit(args.id, **changes)
        output.answer(row, lambda: [f"Saved {row.id}: {row.name}"])


async def remove(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        await bench.threads.remove(args.id)
        output.answer({"removed": args.id}, lambda: [f"Removed {args.id}; meshag threads restore takes it back"])


async def restore(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        await bench.threads.restore(args.id)
        output.answer({"restored": args.id}, lambda: [f"{args.id} is back"])


def described(said: MessageRow, thread: Thread) -> dict[str, Any]:
    """What was said, as JSON; of an answer with the figures that are not in the evidence."""
    from meshag_tui.agents import figures

    document = {"thread": thread.row.id, **said._asdict()}
    if said.role == "assistant" and said.state != "failed":
        found = figures.parts(said.content, thread.evidence["text"])
        counted = [part for part in found if part.checked is not None]
        document["figures"] = {"all": len(counted), "unchecked": list(figures.unchecked(found))}
    return document


def _lines(said: MessageRow, thread: Thread) -> list[str]:
    from meshag_tui.agents.transcript import remarks

    return [said.content, "", *remarks(said, thread), f"Go on with: meshag ask {thread.row.id} QUESTION"]
