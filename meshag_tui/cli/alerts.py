"""`meshag alerts` and `meshag webhooks`: what somebody should know, and where it is sent."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import ago, moment
from meshag_tui.types import Secret, UsageError

if TYPE_CHECKING:
    from meshag_tui.store.channels import ChannelInfo

_ALERTS = (
    Column("SINCE", lambda one: moment(one.began_at)),
    Column("UNTIL", lambda one: "open" if one.is_open else moment(one.ended_at)),
    Column("", lambda one: one.severity),
    Column("CONNECTION", lambda one: one.connection_name or ""),
    Column("RULE", lambda one: one.rule),
    Column("ID", lambda one: one.id),
    Column("NOTED BY", lambda one: one.acknowledged_by or ""),
    Column("WHAT", lambda one: one.message),
)
_WEBHOOKS = (
    Column("NAME", lambda one: one.name),
    Column("WHERE", lambda one: one.place),
    Column("OF", lambda one: one.of),
    Column("RULES", lambda one: ", ".join(one.rules) or "all"),
    Column("QUIET", lambda one: one.quiet or "never"),
    Column("STATE", lambda one: "on" if one.enabled else "off"),
    Column("CHANGED", lambda one: ago(one.updated_at)),
)


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import alerts, connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        if args.note:
            if args.name is None:
                raise UsageError("Which alert? meshag alerts alr_… --note")
            noted = await bench.alerting.note(args.name)
            output.answer(noted, lambda: [f"Noted: {noted.message}"])
            return
        info = None if args.name is None else await bench.store(connections.find, args.name)
        found = await bench.store.read(
            alerts.listing, None if info is None else info.id, open_only=args.open, limit=args.limit
        )
    nothing = "Nothing is alerted of. Alerts are raised while meshag or meshag collect runs"
    output.answer([each._asdict() for each in found], lambda: table(_ALERTS, found) if found else [nothing])


async def webhooks(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import channels
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(channels.listing)
    nothing = "Alerts are sent nowhere: meshag webhooks add NAME"
    output.answer([each._asdict() for each in found], lambda: table(_WEBHOOKS, found) if found else [nothing])


async def add_webhook(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    url, key = _read_address()
    async with await Workbench.open(args.settings) as bench:
        info = await bench.alerting.add_webhook(
            args.name,
            url,
            key=key,
            connection=args.connection,
            project=args.project,
            rules=args.rule or (),
            quiet=_hours(args.quiet) or "",
        )
    _say(info, "Added", output)
    if not info.encrypted:
        output.note(f"meshag: {info.place} is not encrypted: names and figures can be read on their way")


async def edit_webhook(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    changes: dict[str, Any] = {"rules": args.rule, "quiet": _hours(args.quiet)}
    if args.on or args.off:
        changes["enabled"] = bool(args.on)
    if all(value is None for value in changes.values()):
        raise UsageError("Nothing to change: see meshag webhooks edit --help")
    async with await Workbench.open(args.settings) as bench:
        info = await bench.alerting.edit_webhook(args.name, **changes)
    _say(info, "Saved", output)


async def test_webhook(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info, status = await bench.alerting.test_webhook(args.name)
    output.answer({"webhook": info.name, "status": status}, lambda: [f"{info.place} took it ({status})"])


async def remove_webhook(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.alerting.remove_webhook(args.name)
    output.answer({"removed": info.name, "id": info.id}, lambda: [f"Removed {info.name}"])


def _say(info: ChannelInfo, verb: str, output: Output) -> None:
    rules = ", ".join(info.rules) or "all alerts"
    quiet = f", not at {info.quiet}" if info.quiet else ""
    state = "" if info.enabled else " (off)"
    output.answer(info._asdict(), lambda: [f"{verb} {info.name}{state}: {rules} to {info.place}{quiet}"])


def _hours(text: str | None) -> str | None:
    return "" if text == "none" else text


def _read_address() -> tuple[Secret, Secret | None]:
    lines = sys.stdin.read(20_000).splitlines() if sys.stdin is not None and not sys.stdin.isatty() else []
    given = [line.strip() for line in lines if line.strip()]
    if not given:
        raise UsageError("The address is read from standard input: meshag webhooks add NAME < address.txt")
    return Secret(given[0]), Secret(given[1]) if len(given) > 1 else None
