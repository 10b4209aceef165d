"""Commands about suggestions: `meshag suggest | suggestions | apply | dismiss | review | undo`."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from meshag_tui.cli.naming import expect
from meshag_tui.cli.output import Column, Output, table
from meshag_tui.proposed import statement_of
from meshag_tui.types import MeshagError, SuggestionPriority, SuggestionStatus, UsageError

if TYPE_CHECKING:
    from meshag_tui.changes.basket import Basket
    from meshag_tui.changes.review import Review
    from meshag_tui.engines.base import Gate
    from meshag_tui.settings import MoneySettings
    from meshag_tui.store.changes import ChangeRow
    from meshag_tui.store.suggestions import StoredSuggestion
    from meshag_tui.workflows.workbench import Workbench

_T = TypeVar("_T")


async def suggest(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli import model_consent
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    settings = args.settings
    if args.time_limit is not None:
        settings = settings._replace(advice=settings.advice._replace(time_limit_s=float(args.time_limit)))
    async with await Workbench.open(settings) as bench:
        info = await bench.store(connections.find, args.name)
        if args.preview:
            await model_consent.preview(bench, info.id, args, output)
            return
        llm = False if args.no_llm else await model_consent.agreed(bench, info.id, args, output)
        found = await bench.advice.suggest(
            info.id, llm=llm, budget_bytes=args.budget, window_ms=args.window, model=args.model, fresh=args.fresh
        )
        for note in bench.advice.notes:
            output.note(f"meshag: {note}")
        _print(found, output, f"Nothing to suggest for {info.name}", args.settings.money)


async def suggestions(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.store import suggestions as kept
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        connection_id = None
        if args.name is not None:
            connection_id = (await bench.store(connections.find, args.name)).id
        found: Sequence[StoredSuggestion] = await bench.store(
            kept.listing,
            connection_id,
            status=None if args.status is None else SuggestionStatus(args.status),
            priority=None if args.priority is None else SuggestionPriority(args.priority),
            rule=args.rule,
            resolved=args.all,
            open_only=args.status is None and not args.all,
            limit=args.limit + 1,
        )
        if len(found) > args.limit:
            found = found[: args.limit]
            output.note(f"meshag: there are more; --limit says how many are listed ({args.limit})")
        _print(found, output, "No suggestion; meshag suggest NAME looks for some", args.settings.money)


def _print(found: Sequence[StoredSuggestion], output: Output, nothing: str, rates: MoneySettings) -> None:
    columns = [
        Column("ID", lambda row: row.id),
        Column("PRIORITY", lambda row: row.priority),
        Column("STATUS", lambda row: row.status),
        Column("RULE", lambda row: row.rule),
        Column("EVIDENCE", lambda row: row.evidence_kind),
        Column("TITLE", lambda row: row.title),
    ]
    if rates.any:
        columns.insert(-1, Column("WORTH", lambda row: _worth(row, rates), "right"))
    output.answer([describe(row, rates) for row in found], lambda: table(columns, found) if found else [nothing])


def _worth(row: StoredSuggestion, rates: MoneySettings) -> str:
    from meshag_tui.changes.money import estimate, in_short

    return in_short(estimate(row.gain_ms_per_day, row.evidence, row.change, rates))


def statement_fields(sql: str | None) -> dict[str, Any]:
    """`sql`, one statement, and `then_sql`, what follows it of itself."""
    first, rest = (None, ()) if sql is None else statement_of(sql)
    return {"sql": first, "then_sql": list(rest)}


def describe(row: StoredSuggestion, rates: MoneySettings | None = None) -> dict[str, Any]:
    """A suggestion as the contract has it, and what else is known; with rates also what it is worth in 30 days."""
    from meshag_tui.store.ids import query_uid

    money = None
    if rates is not None and rates.any:
        from meshag_tui.changes.money import estimate

        money = estimate(row.gain_ms_per_day, row.evidence, row.change, rates)
    return {
        "id": row.id,
        "connection_id": row.connection_id,
        "type": row.type,
        "rule": row.rule,
        "priority": row.priority,
        "status": row.status,
        "title": row.title,
        "text": row.text,
        **statement_fields(row.sql),
        "undo_sql": row.undo_sql,
        "schema": row.schema,
        "table": row.table,
        "confidence": row.confidence,
        "risk": row.risk,
        "query_ids": [query_uid(number) for number in row.query_ids],
        "evidence": {**row.evidence, "kind": row.evidence_kind},
        "origin": row.origin,
        "model": row.model,
        "gain_ms_per_day": row.gain_ms_per_day,
        "worth": None if money is None else {**money._asdict(), "days": 30},
        "created_at": row.created_at,
        "last_found_at": row.last_found_at,
        "resolved_at": row.resolved_at,
        "dismiss_reason": row.dismiss_reason,
    }


async def apply(args: argparse.Namespace, output: Output) -> None:
    """Show, ask, run. `--yes` is a yes to the statement and to every warning shown with it; what blocks, blocks.

    What is not known needs a yes of its own: `--accept` with the gate's name, or an answer on the terminal.
    """
    from meshag_tui.workflows.workbench import Workbench

    for each in args.ids:
        expect(each, "sug", "apply")
    if bool(args.ids) is (args.rest is not None):
        raise UsageError("Name what to apply: meshag apply sug_… (or --rest NAME, what a run of several left)")
    if args.rest is not None or len(args.ids) > 1:
        from meshag_tui.cli import basket

        await basket.apply(args, output)
        return
    args.id = args.ids[0]
    async with await Workbench.open(args.settings) as bench:
        review = await bench.hands.review(args.id)
        for line in _review_lines(review):
            output.line(line)
        if args.dry_run:
            if output.as_json:
                output.document(review_document(review))
            return
        accept = ask(review, output, args)
        row = await carried_out(bench, output, bench.hands.apply(args.id, review.plan_hash, accept=accept))
        undo = "" if row.undo_sql is None else f"; meshag undo {row.id} puts it back"
        output.answer(change_document(row), lambda: [f"Done ({row.id}){undo}"])


async def undo(args: argparse.Namespace, output: Output) -> None:
    """Show, ask, run; `--yes` and `--accept` as for `apply`."""
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "chg", "undo", "sug")
    async with await Workbench.open(args.settings) as bench:
        undone, review = await bench.hands.review_undo(args.id)
        for line in _review_lines(review):
            output.line(line)
        accept = ask(review, output, args)
        row = await carried_out(bench, output, bench.hands.undo(undone.id, review.plan_hash, accept=accept))
        output.answer(change_document(row), lambda: [f"Undone: {undone.id} ({row.id})"])


async def dismiss(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "sug", "dismiss")
    async with await Workbench.open(args.settings) as bench:
        found = await bench.advice.dismiss(args.id, args.reason)
        output.answer(describe(found), lambda: [f"Dismissed: {found.title}"])


async def review(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "sug", "review")
    async with await Workbench.open(args.settings) as bench:
        found = await bench.advice.mark_reviewed(args.id)
        output.answer(describe(found), lambda: [f"Reviewed: {found.title}"])


def _review_lines(review: Review) -> Iterator[str]:
    yield f"on     {review.target_label}"
    yield from statement_lines(review)


def statement_lines(review: Review) -> Iterator[str]:
    """Statement, undo and gates of a review."""
    first, rest = statement_of(review.sql)
    yield f"run    {first}"
    yield from (f"then   {one}" for one in rest)
    yield f"undo   {review.undo_sql or 'nothing to undo'}"
    for gate in review.gates:
        yield gate_line(gate)


def gate_line(gate: Gate) -> str:
    """A gate with its value and limit."""
    limit = f" (limit {gate.limit})" if gate.limit else ""
    return f"{gate.state:<6} {gate.name}: {gate.value}{limit}{'; ' + gate.detail if gate.detail else ''}"


def ask(review: Review | Basket, output: Output, args: argparse.Namespace) -> list[str]:
    """Ask for a yes, or for the name of what is dropped, and before that for each gate whose value is not known.

    Returns:
        Names of the gates that are gone on without.

    Raises:
        MeshagError: a gate blocks, or is not known and not to be gone on without; else as `asking.confirm`.
    """
    from meshag_tui.changes.review import check_unknown
    from meshag_tui.cli.asking import confirm, confirm_name

    if review.blocked_by:
        gate = review.blocked_by[0]
        raise MeshagError(f"Not run: {gate.name} is {gate.value}, must be {gate.limit}. {gate.detail}".rstrip())
    accept = list(args.accept)
    if args.yes:
        check_unknown(review.unknown, accept)
        return accept
    for gate in review.unknown:
        if gate.name not in accept:
            question = f"{gate.name} is {gate.value}, must be {gate.limit}. Go on without knowing it?"
            confirm(question, output, f'--accept "{gate.name}"')
            accept.append(gate.name)
    warned = ", ".join(gate.name for gate in review.warned_by)
    despite = f" despite the warning: {warned}" if warned else ""
    if review.needs_name is not None:
        confirm_name(f"It will be dropped{despite}.", review.needs_name, output)
    else:
        confirm(f"Run it{despite}?", output)
    return accept


async def carried_out(bench: Workbench, output: Output, work: Coroutine[Any, Any, _T]) -> _T:
    """Wait for a change and say where the server is with it; ctrl+c cancels it there, instead of leaving it alone."""
    from meshag_tui.workflows import change
    from meshag_tui.workflows.notices import Notice, Progress

    loop = asyncio.get_running_loop()
    cancelling: list[asyncio.Task[bool]] = []

    def tell(notice: Notice) -> None:
        if isinstance(notice, Progress) and notice.kind == change.KIND and not output.as_json:
            output.note(f"meshag: {notice.phase}")

    def cancel() -> None:
        output.note("meshag: cancelling it on the server")
        cancelling.extend(loop.create_task(bench.cancel(run)) for run in bench.runner.running)

    unsubscribe = bench.subscribe(tell)
    loop.add_signal_handler(signal.SIGINT, cancel)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        unsubscribe()
        await asyncio.gather(*cancelling, return_exceptions=True)


def review_document(review: Review) -> dict[str, Any]:
    return {
        "connection_id": review.connection_id,
        "target": review.target_label,
        **statement_fields(review.sql),
        "undo_sql": review.undo_sql,
        "gates": review.gates,
        "blocked": bool(review.blocked_by),
        "plan_hash": review.plan_hash,
        "needs_name": review.needs_name,
    }


def change_document(row: ChangeRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "connection_id": row.connection_id,
        "suggestion_id": row.suggestion_id,
        "undoes": row.undoes,
        "state": row.state,
        **statement_fields(row.sql),
        "undo_sql": row.undo_sql,
        "attempts": row.attempts,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "error": row.error,
    }
