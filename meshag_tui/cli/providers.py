"""Commands about providers of models: `meshag providers …`. A key is read from standard input alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import ago, duration, moment
from meshag_tui.types import Secret, UsageError

if TYPE_CHECKING:
    from meshag_tui.agents.desk import Told
    from meshag_tui.store.scores import Sheet
    from meshag_tui.workflows.models import Compared, Listed


async def add(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    key = _key(args)
    async with await Workbench.open(args.settings) as bench:
        info = await bench.models.add_provider(
            args.name, args.kind, args.model, base_url=args.url, shape=args.supports, key=key
        )
        output.answer(info, lambda: [f"Added {info.name} ({info.id}): {', '.join(info.models)} at {info.base_url}"])


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store.database import now_ms
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.models.providers()
        now = await bench.store(now_ms)
    columns = (
        Column("NAME", lambda one: one.name),
        Column("KIND", lambda one: one.kind),
        Column("MODELS", lambda one: ", ".join(one.models)),
        Column("WHERE", lambda one: "this machine" if one.local else one.base_url),
        Column("SUPPORTS", lambda one: one.shape),
        Column("KEY", lambda one: one.key or "none"),
        Column("STATE", lambda one: one.why_not or "ready"),
        Column("LAST ASKED", lambda one: ago(one.health.last_at, now) if one.health.last_at else "never"),
        Column("LAST ERROR", lambda one: one.health.last_error or ""),
    )
    output.answer([describe(one) for one in found], lambda: table(columns, found))


def kinds(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.agents.presets import PRESETS

    columns = (
        Column("KIND", lambda one: one.kind),
        Column("SUPPORTS", lambda one: one.shape),
        Column("ADDRESS", lambda one: one.base_url or "given by --url"),
        Column("DOCUMENTED AT", lambda one: one.says),
    )
    output.answer(PRESETS, lambda: table(columns, PRESETS))


async def edit(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    given = {"name": args.new_name, "models": args.model, "base_url": args.url, "shape": args.supports}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if (key := _key(args)) is not None:
        changes["key"] = key
    elif args.no_key:
        changes["key"] = None
    if args.on or args.off:
        changes["enabled"] = bool(args.on)
    if not changes:
        raise UsageError("Nothing to change: see meshag providers edit --help")
    async with await Workbench.open(args.settings) as bench:
        info = await bench.models.edit_provider(args.name, **changes)
        output.answer(info, lambda: [f"Saved {info.name}: {', '.join(info.models)} at {info.base_url}"])


async def remove(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.asking import confirm
    from meshag_tui.store import providers
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(providers.find, args.name)
        if not args.yes:
            confirm(f"Forget {info.name} ({info.base_url}) and its key?", output)
        await bench.models.remove_provider(args.name)
        output.answer(
            {"removed": info.name, "id": info.id}, lambda: [f"Removed {info.name}; the ledger keeps its calls"]
        )


async def order(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = [info.name for info in await bench.models.order(args.names)]
        output.answer(found, lambda: [f"Tried in this order, after config: {', '.join(found)}"])


async def test(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        told = await bench.models.test(args.name)
        output.answer(_told(told), lambda: [_told_line(told)])


async def score(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        row = await bench.models.score(args.name, lambda said: output.note(f"meshag: {said}"))

    def lines() -> list[str]:
        head = f"{row.model} of {row.provider}: {row.passed} of {row.cases} planted cases"
        each = [
            f"  {'well' if one['passed'] else 'not '}  {one['name']}  {one['why']}" for one in row.document["cases"]
        ]
        return [head, *(line.rstrip() for line in each)]

    output.answer(row, lines)


async def scores(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import scores
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(scores.page)
    if args.cases:
        _sheet(scores.sheet(found), output)
        return
    since = scores.since(found)
    columns = (
        Column("WHEN", lambda row: moment(row.created_at)),
        Column("PROVIDER", lambda row: row.provider),
        Column("MODEL", lambda row: row.model),
        Column("SCORE", lambda row: f"{row.passed} of {row.cases}", "right"),
        Column("CHANGE", lambda row: since[row.id].said if row.id in since else ""),
        Column("RELEASE", lambda row: row.release),
        Column("PROMPT", lambda row: row.prompt_version),
        Column("NOT WELL", lambda row: ", ".join(one["name"] for one in row.document["cases"] if not one["passed"])),
    )
    documents = [
        {
            **row._asdict(),
            "better": since[row.id].better,
            "worse": since[row.id].worse,
            "before": since[row.id].before.id,
        }
        if row.id in since
        else row._asdict()
        for row in found
    ]
    output.answer(documents, lambda: table(columns, found) if found else ["No model was scored yet"])


def _sheet(sheet: Sheet, output: Output) -> None:
    """Cases below each other, models and releases beside each other."""

    def word(at: int) -> Callable[[Any], str]:
        return lambda case: {True: "well", False: "not", None: ""}[case[1][at]]

    columns = [Column("CASE", lambda case: case[0])]
    columns += [
        Column(f"{row.model} ({row.provider}) {row.release}", word(number)) for number, row in enumerate(sheet.tries)
    ]
    cases = list(sheet.cases.items())
    output.answer(
        {"tries": sheet.tries, "cases": sheet.cases},
        lambda: table(columns, cases) if cases else ["No model was scored yet"],
    )


async def compare(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.asking import confirm
    from meshag_tui.store.ids import query_id
    from meshag_tui.workflows import model_advice
    from meshag_tui.workflows.workbench import Workbench

    number = query_id(args.query)
    async with await Workbench.open(args.settings) as bench:
        messages, errand = await bench.advice.compare_preview(number)
        text = "\n\n".join(message["content"] for message in messages)
        if args.preview:
            output.answer({"text": text, "bytes": len(text.encode())}, lambda: [text])
            return
        wanted = [(await bench.desk.endpoints(name))[0] for name in args.names]
        about = errand.connection_id or ""
        agreed = args.consent
        if not agreed and not await bench.store(model_advice.has_consent, about, wanted):
            output.line(text)
            where = " and ".join(one.label for one in wanted)
            confirm(f"Send such texts of this connection to {where}?", output, "--consent")
            agreed = True
        found = await bench.advice.compare_models(args.names, number, agreed=agreed)
        output.answer(found, lambda: [line for one in found for line in _compared(one)])


def describe(one: Listed) -> dict[str, Any]:
    """A provider as JSON."""
    return {
        "id": one.info.id if one.info is not None else None,
        "name": one.name,
        "kind": one.kind,
        "base_url": one.base_url,
        "models": one.models,
        "supports": one.shape,
        "key": one.key or None,
        "local": one.local,
        "usable": one.usable,
        "why_not": one.why_not or None,
        "failures": one.health.failures,
        "rests_until": one.health.rests_until,
        "last_at": one.health.last_at,
        "last_error": one.health.last_error,
    }


def money(cost: Any, currency: str | None) -> str:
    """A cost for people: "0.001234 USD", "unpriced", "0"."""
    if cost is None:
        return "unpriced"
    return f"{cost} {currency}" if currency else f"{cost:f}".rstrip("0").rstrip(".") or "0"


def _told(told: Told) -> dict[str, Any]:
    usage = told.answer.usage
    return {
        "provider": told.endpoint.name,
        "model": usage.model,
        "supports": told.answer.shape,
        "duration_ms": round(usage.duration_ms, 1),
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "cost": None if told.cost is None else str(told.cost),
        "currency": told.currency,
        "usage": told.usage_id,
    }


def _told_line(told: Told) -> str:
    usage = told.answer.usage
    tokens = "tokens not said" if usage.tokens_in is None else f"{usage.tokens_in} + {usage.tokens_out} tokens"
    return (
        f"{told.endpoint.name}: {usage.model} answered in {duration(usage.duration_ms)} as {told.answer.shape}, "
        f"{tokens}, {money(told.cost, told.currency)}"
    )


def _compared(one: Compared) -> list[str]:
    if one.error is not None:
        return [f"--- {one.name} ({one.model}): no answer", one.error, ""]
    tokens = "tokens not said" if one.tokens_in is None else f"{one.tokens_in} + {one.tokens_out} tokens"
    head = f"{duration(one.duration_ms)}, {tokens}, {money(one.cost, one.currency)}"
    return [f"--- {one.name} ({one.model}): {head}", one.text or "", ""]


def _key(args: argparse.Namespace) -> Secret | None:
    if not args.key_stdin:
        return None
    text = sys.stdin.readline().strip() if sys.stdin is not None else ""
    if not text:
        raise UsageError("--key-stdin: standard input holds no key")
    return Secret(text)
