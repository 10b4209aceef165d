"""The command `meshag benchmark`: what a suggestion does, measured in a sandbox with data."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.naming import expect
from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import count, duration, percent, size

if TYPE_CHECKING:
    from meshag_tui.store.rehearsals import RehearsalRow
    from meshag_tui.workflows.notices import Progress
    from meshag_tui.workflows.rehearsal import RehearsalReview
    from meshag_tui.workflows.workbench import Workbench


async def benchmark(args: argparse.Namespace, output: Output) -> None:
    """Show what would be read, ask, do it, print what was measured."""
    from meshag_tui.cli.asking import confirm
    from meshag_tui.store import rehearsals
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "sug", "benchmark", "reh")
    async with await Workbench.open(args.settings) as bench:
        if args.id.startswith("reh_"):
            row = await bench.store(rehearsals.get, args.id)
            extra = {"samples": await bench.store(rehearsals.samples, args.id)} if args.samples else {}
            output.answer({**describe(row), **extra}, lambda: lines(row))
            return
        review = await bench.hands.review_rehearsal(args.id)
        for line in review_lines(review):
            output.line(line)
        if args.dry_run:
            if output.as_json:
                output.document(_review(review))
            return
        if not args.yes:
            confirm("Copy these rows and measure?", output)
        row = await _measured(bench, review, output)
        output.answer(describe(row), lambda: lines(row))


async def _measured(bench: Workbench, review: RehearsalReview, output: Output) -> RehearsalRow:
    """Wait for it and say where it is; ctrl+c cancels it, and its sandbox goes."""
    loop = asyncio.get_running_loop()
    cancelling: list[asyncio.Task[bool]] = []
    told = ""

    def tell(progress: Progress) -> None:
        nonlocal told
        if progress.phase != told and not output.as_json:
            told = progress.phase
            output.note(f"meshag: {progress.phase}")

    def cancel() -> None:
        cancelling.extend(loop.create_task(bench.cancel(run)) for run in bench.runner.running)

    loop.add_signal_handler(signal.SIGINT, cancel)
    try:
        return await bench.hands.rehearse(review.suggestion_id, review.hash, tell)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        await asyncio.gather(*cancelling, return_exceptions=True)


def review_lines(review: RehearsalReview) -> Iterator[str]:
    """What would be read, for people."""
    plan = review.plan
    yield f"read   {plan.source}"
    yield f"into   {plan.place}, gone afterwards"
    for one in plan.tables:
        part = "whole" if one.share == 1 else f"{percent(one.share)} of it" if one.share else "parents only"
        yield f"table  {one.name}: {part}, of {count(one.rows)} rows in {size(one.bytes)}"
    for statement in plan.statements:
        yield f"run    {statement}"
    limits = plan.limits
    if not plan.statements:
        where = "all rows are in the copy" if review.asked else "the change is only made and taken back"
        yield f"read   nothing but the catalogue: {where}"
        return
    yield f"limit  {count(limits.rows)} rows, {size(limits.bytes)}, {limits.seconds:g} s, read-only"
    for note in plan.notes:
        yield f"note   {note}"


def lines(row: RehearsalRow) -> Iterator[str]:
    """What was measured, for people."""
    from meshag_tui.advisor.rehearsed import proof_said, said, saving, undone_said

    found = row.document
    columns = (
        Column("QUERY", lambda one: one["query_id"] + ("" if one["main"] else " (other)")),
        Column("VERDICT", lambda one: one["verdict"]),
        Column("CHANGE", lambda one: said(one) if one["verdict"] != "failed" else one["why"] or ""),
        Column("BEFORE", lambda one: _figures(one.get("before"))),
        Column("AFTER", lambda one: _figures(one.get("after"))),
        Column("ROUNDS", lambda one: f"{one['rounds']} × {one['sets']}" if one.get("rounds") else ""),
    )
    yield f"{row.id}: {row.verdict}; {found['sandbox']}"
    yield f"ran    {found['sql']}"
    if found.get("proof"):
        yield proof_said(found["proof"])
    if found.get("undone"):
        yield undone_said(found["undone"])
    if found["statements"]:
        yield from table(columns, list(found["statements"]))
        yield f"{found['confidence']:.0%} intervals; medians, 95th percentiles and blocks of a run; caches warm"
    saved = found.get("saved_ms_per_day")
    if saved:
        yield saving(saved)
    for one in found["copied"]:
        yield f"copied {one['name']}: {count(one['rows'])} of {count(one['of'])} rows"
    for note in found["notes"]:
        yield f"note   {note}"


def _figures(figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return ""
    return f"{duration(figures['median_ms'])}, {duration(figures['p95_ms'])}, {count(figures['blocks'])}"


def describe(row: RehearsalRow) -> dict[str, Any]:
    """A rehearsal as a document."""
    return {
        "id": row.id,
        "suggestion_id": row.suggestion_id,
        "connection_id": row.connection_id,
        "created_at": row.created_at,
        "actor": row.actor,
        **row.document,
    }


def _review(review: RehearsalReview) -> dict[str, Any]:
    plan = asdict(review.plan)
    return {
        "suggestion_id": review.suggestion_id,
        "connection_id": review.connection_id,
        **{name: plan[name] for name in ("source", "place", "tables", "statements", "limits", "notes")},
        "queries": [one.id for one in review.asked],
    }
