"""Commands about what may be spent on models, and about kept answers: `meshag budget …` and `meshag cache …`."""

from __future__ import annotations

import argparse
from typing import Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import ago, percent, size
from meshag_tui.store.amounts import day, day_ms
from meshag_tui.types import UsageError


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import budgets
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(budgets.standings)
    columns = (
        Column("ID", lambda one: one.id),
        Column("PLAN", lambda one: one.plan),
        Column("FOR", lambda one: one.scope),
        Column("STATUS", lambda one: one.status),
        Column("SPENT", lambda one: f"{one.spent:f} {one.currency}", "right"),
        Column("CAP", lambda one: "none" if one.cap is None else f"{one.cap:f} a {one.period}", "right"),
        Column("USED", lambda one: "" if one.share is None else percent(one.share), "right"),
        Column("UNPRICED", lambda one: str(one.unpriced), "right"),
        Column("UNTIL", lambda one: "" if one.end_at is None else day(one.end_at)),
    )
    nothing = [
        "No plan is in force: nothing is held. meshag budget plan NAME --cap AMOUNT, then meshag budget subscribe"
    ]
    output.answer(
        [{**one._asdict(), "share": one.share} for one in found], lambda: table(columns, found) if found else nothing
    )


async def plans(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import budgets
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        _plans(await bench.store.read(budgets.plans), output)


async def plan(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import budgets
    from meshag_tui.workflows.workbench import Workbench

    given = {"currency": args.currency, "period": args.period, "providers": args.allow, "features": args.feature}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if args.local_only:
        changes["local_only"] = True
    cap = None if args.cap in (None, "none") else args.cap
    async with await Workbench.open(args.settings) as bench:
        known = {one.name for one in await bench.store.read(budgets.plans)}
        if args.name not in known:
            if args.retire or args.reinstate:
                raise UsageError(f"There is no plan {args.name!r}: meshag budget plans")
            one = await bench.models.add_plan(args.name, cap, **changes)
        else:
            if args.cap is not None:
                changes["cap"] = cap
            if args.retire or args.reinstate:
                changes["active"] = bool(args.reinstate)
            if not changes:
                raise UsageError("Nothing to change: see meshag budget plan --help")
            one = await bench.models.edit_plan(args.name, **changes)
        limit = "no cap" if one.cap is None else f"{one.cap:f} {one.currency} a {one.period}"
        output.answer(one, lambda: [f"{one.name}: {limit}" + ("" if one.active else ", retired")])


async def forget(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        await bench.models.remove_plan(args.name)
        output.answer({"removed": args.name}, lambda: [f"Removed the plan {args.name}"])


async def seed(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        _plans(await bench.models.seed_plans(), output)


async def subscribe(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    until = None if args.until is None else day_ms(args.until)
    async with await Workbench.open(args.settings) as bench:
        one = await bench.models.subscribe(
            args.plan, project=args.project, user=args.user, end_at=until, replace=args.replace
        )
        output.answer(one, lambda: [f"{one.plan} is in force for {one.scope} ({one.id})"])


async def cancel(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        one = await bench.models.cancel_subscription(args.id)
        output.answer(one, lambda: [f"{one.plan} is no longer in force for {one.scope}"])


async def override(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.figures import moment
    from meshag_tui.store.database import now_ms
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        until = await bench.store(now_ms) + args.span
        one = await bench.models.override(args.id, until, args.reason)
        output.answer(one, lambda: [f"{one.plan} holds nothing up until {moment(until)}"])


async def cache(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import answers
    from meshag_tui.store.database import now_ms
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(answers.page, bench.actor, args.limit)
        only = await bench.models.cache_only()
        now = await bench.store(now_ms)
    columns = (
        Column("CONNECTION", lambda one: one.connection),
        Column("MODEL", lambda one: one.model),
        Column("STATEMENTS", lambda one: str(len(one.statements)), "right"),
        Column("SIZE", lambda one: size(one.size_bytes), "right"),
        Column("HITS", lambda one: str(one.hits), "right"),
        Column("BOUGHT", lambda one: ago(one.created_at, now)),
        Column("UNTIL", lambda one: day(one.expires_at)),
        Column("KEY", lambda one: one.key[:12]),
    )
    document = {"only": only, "answers": found}
    output.answer(document, lambda: table(columns, found) if found else ["No answer is kept"])
    if only:
        output.note("meshag: only kept answers are used (meshag cache only off)")


async def clear_cache(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        about = None if args.name is None else (await bench.store(connections.find, args.name)).id
        gone = await bench.models.clear_cache(about)
        output.answer({"removed": gone}, lambda: [f"Forgot {gone} kept answers"])


async def cache_only(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        await bench.models.set_cache_only(args.state == "on")
        said = "Only kept answers are used" if args.state == "on" else "Models are asked again"
        output.answer({"only": args.state == "on"}, lambda: [said])


def _plans(found: Any, output: Output) -> None:
    columns = (
        Column("NAME", lambda one: one.name),
        Column("CAP", lambda one: "none" if one.cap is None else f"{one.cap:f} {one.currency} a {one.period}", "right"),
        Column("ALLOWS", lambda one: "this machine" if one.local_only else ", ".join(one.providers) or "all"),
        Column("IN FORCE", lambda one: str(one.subscriptions), "right"),
        Column("STATE", lambda one: "given out" if one.active else "retired"),
    )
    nothing = ["No plan yet: meshag budget plan NAME --cap AMOUNT, or meshag budget seed"]
    output.answer(found, lambda: table(columns, found) if found else nothing)
