"""Commands about money spent on models: `meshag ledger …` and `meshag prices …`. Amounts are strings in JSON."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.cli.providers import money
from meshag_tui.figures import duration, moment, percent
from meshag_tui.store.amounts import day, day_ms
from meshag_tui.types import UsageError


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import ledger
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(ledger.page, args.limit)
    columns = (
        Column("WHEN", lambda row: moment(row.at)),
        Column("PROVIDER", lambda row: row.provider),
        Column("MODEL", lambda row: row.model),
        Column("FOR", lambda row: row.purpose),
        Column("OUTCOME", lambda row: row.outcome),
        Column("TOKENS", lambda row: f"{row.tokens_in if row.tokens_in is not None else '?'}+{row.tokens_out or 0}"),
        Column("TOOK", lambda row: duration(row.duration_ms)),
        Column("COST", lambda row: money(row.cost, row.currency), "right"),
        Column("ABOUT", lambda row: row.connection or ""),
        Column("ERROR", lambda row: row.error or ""),
    )
    output.answer(found, lambda: table(columns, found) if found else ["No model was asked yet"])


async def sums(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import ledger
    from meshag_tui.store.database import now_ms
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        now = await bench.store(now_ms)
        found = await bench.store.read(ledger.pivot, args.by, now - args.window, None)
    columns = (
        Column(args.by.upper(), lambda one: one.group or "none"),
        Column("CALLS", lambda one: str(one.calls), "right"),
        Column("FAILED", lambda one: str(one.failed), "right"),
        Column("KEPT", lambda one: str(one.cached), "right"),
        Column("TOKENS IN", lambda one: f"{one.tokens_in:,}", "right"),
        Column("OUT", lambda one: f"{one.tokens_out:,}", "right"),
        Column("COST", lambda one: money(one.cost, one.currency), "right"),
        Column("UNPRICED", lambda one: str(one.unpriced), "right"),
    )
    output.answer(found, lambda: table(columns, found) if found else ["No model was asked in this time"])


async def sent(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import ledger
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        text = await bench.store.read(ledger.sent, args.id, bench.actor)
    output.answer({"id": args.id, "text": text, "bytes": len(text.encode())}, lambda: [text])


async def take_in(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import costs
    from meshag_tui.workflows.workbench import Workbench

    lines = await asyncio.to_thread(lambda: costs.read(_text(args.file), args.currency))
    async with await Workbench.open(args.settings) as bench:
        if args.preview:
            said = await bench.store.read(costs.preview, args.provider, lines)
        else:
            said = await bench.models.take_in(args.provider, lines)
    totals = ", ".join(f"{total} {name}" for name, total in said.totals.items()) or "nothing"
    word = "would be imported" if args.preview else "imported"
    output.answer(said, lambda: [f"{said.new} lines {word} ({totals}), {said.known} are there already"])


async def reconcile(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import costs
    from meshag_tui.store.database import now_ms
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        now = await bench.store(now_ms)
        found = await bench.store.read(costs.reconcile, args.provider, now - args.window, now)
    columns = (
        Column("MODEL", lambda one: one.model or "not named"),
        Column("LEDGER", lambda one: money(one.ledger, one.currency), "right"),
        Column("INVOICED", lambda one: money(one.invoiced, one.currency), "right"),
        Column("GAP", lambda one: str(one.gap), "right"),
        Column("SHARE", lambda one: "" if one.share is None else percent(one.share), "right"),
        Column("UNPRICED", lambda one: str(one.unpriced), "right"),
    )
    document = [{**one._asdict(), "gap": one.gap, "share": one.share} for one in found]
    output.answer(document, lambda: table(columns, found) if found else ["Neither calls nor invoices in this time"])


async def enter(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.models.enter_cost(args.provider, args.amount, args.currency, description=args.description)
        output.answer(row, lambda: [f"Entered {row.amount} {row.currency} of {row.provider} ({row.id})"])


async def prices(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import prices
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(prices.listing)
    columns = (
        Column("PROVIDER", lambda one: one.provider),
        Column("MODEL", lambda one: one.model),
        Column("FROM", lambda one: day(one.valid_from)),
        Column("INPUT", lambda one: f"{one.input:f}", "right"),
        Column("OUTPUT", lambda one: f"{one.output:f}", "right"),
        Column("CACHED", lambda one: "" if one.cached is None else f"{one.cached:f}", "right"),
        Column("", lambda one: one.currency),
        Column("ID", lambda one: one.id),
        Column("SOURCE", lambda one: one.source or ""),
    )
    nothing = ["No price yet: meshag prices set PROVIDER MODEL --input AMOUNT --output AMOUNT, a million tokens each"]
    output.answer(found, lambda: table(columns, found) if found else nothing)


async def set_price(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    start = day_ms(args.valid_from) if args.valid_from else day_ms(datetime.now(UTC).strftime("%Y-%m-%d"))
    async with await Workbench.open(args.settings) as bench:
        one = await bench.models.put_price(
            args.provider,
            args.model,
            start,
            input=args.input,
            output=args.output,
            cached=args.cached,
            currency=args.currency,
            source=args.source,
        )
        said = f"{one.provider} {one.model} from {day(one.valid_from)}: {one.input:f} in, {one.output:f} out"
        output.answer(one, lambda: [f"{said}, {one.currency} a million tokens ({one.id})"])


async def remove_price(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        await bench.models.remove_price(args.id)
        output.answer({"removed": args.id}, lambda: [f"Removed {args.id}"])


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
