"""`meshag user …`, `meshag access …` and `meshag project …`: people, their access keys, and projects."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.asking import confirm_name
from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import ago, moment, number_of
from meshag_tui.types import UsageError

if TYPE_CHECKING:
    from meshag_tui.store.access_keys import KeyInfo, Made
    from meshag_tui.store.people import UserInfo
    from meshag_tui.store.projects import ProjectInfo

_USERS = (
    Column("NAME", lambda one: one.name),
    Column("E-MAIL", lambda one: one.email),
    Column("ROLE", lambda one: one.role),
    Column("ACCOUNT", lambda one: one.account or ""),
    Column("KEYS", lambda one: str(one.keys), "right"),
    Column("ID", lambda one: one.id),
)
_KEYS = (
    Column("KEY", lambda one: one.prefix),
    Column("NAME", lambda one: one.name),
    Column("OF", lambda one: one.user),
    Column("MAY", lambda one: ", ".join(one.permissions)),
    Column("STATE", lambda one: one.state),
    Column("ENDS", lambda one: "never" if one.expires_at is None else moment(one.expires_at)),
    Column("A MINUTE", lambda one: "" if one.per_minute is None else str(one.per_minute), "right"),
    Column("USED", lambda one: "never" if one.last_used_at is None else ago(one.last_used_at)),
)
_PROJECTS = (
    Column("NAME", lambda one: one.name),
    Column("CONNECTIONS", lambda one: str(one.connections), "right"),
    Column("SETTINGS", lambda one: _said(one)),
    Column("ID", lambda one: one.id),
)


# --- people -----------------------------------------------------------------------------------------------------------


async def add(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        who = await bench.community.add_user(args.email, args.name, args.role, args.account)
        shared = bench.store.kind == "postgresql"
    _say_user(who, "Added", output)
    if not shared:
        output.note("meshag: this store is a file: whoever opens it may do everything, whatever their role")


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.community.users()
    output.answer(found, lambda: table(_USERS, found))


async def edit(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    changes = {name: getattr(args, name) for name in ("email", "name", "role", "account")}
    if all(value is None for value in changes.values()):
        raise UsageError("Nothing to change: see meshag user set --help")
    async with await Workbench.open(args.settings) as bench:
        who = await bench.community.edit_user(args.user, **changes)
    _say_user(who, "Saved", output)


async def remove(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import people
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        who = await bench.store.read(people.find, args.user)
        gone = await bench.store.read(people.contents, who.id)
        keys, plans = number_of(gone["keys"], "access key"), number_of(gone["subscriptions"], "subscription")
        if not args.yes:
            confirm_name(f"Remove {who.name} with {keys} and {plans}?", who.email, output)
        await bench.community.remove_user(who.id)
    output.answer({"removed": who.id, "with": gone}, lambda: [f"Removed {who.name} with {keys} and {plans}"])


def _say_user(who: UserInfo, verb: str, output: Output) -> None:
    output.answer(who, lambda: [f"{verb} {who.name} ({who.email}), {who.role}, account {who.account}"])


# --- access keys ------------------------------------------------------------------------------------------------------


async def add_key(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    may = tuple(word.strip() for word in args.may.split(",") if word.strip())
    days = None if args.expires is None else args.expires / 86_400_000
    async with await Workbench.open(args.settings) as bench:
        made = await bench.community.add_key(args.name, may, user=args.user, days=days, per_minute=args.rate)
    _say_made(made, output)


async def rotate_key(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        made = await bench.community.rotate_key(args.key, args.overlap / 3_600_000)
    _say_made(made, output)


async def keys(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import access_keys
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(access_keys.listing)
    nothing = ["No access key yet: meshag access add NAME --may read,collect"]
    output.answer(found, lambda: table(_KEYS, found) if found else nothing)


async def revoke_key(args: argparse.Namespace, output: Output) -> None:
    await _allow(args, output, active=False)


async def allow_key(args: argparse.Namespace, output: Output) -> None:
    await _allow(args, output, active=True)


async def _allow(args: argparse.Namespace, output: Output, *, active: bool) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info: KeyInfo = await bench.community.allow_key(args.key, active)
    output.answer(info, lambda: [f"{info.prefix} {info.name} {'works again' if active else 'is revoked'}"])


def _say_made(made: Made, output: Output) -> None:
    info, secret = made.info, made.secret.reveal()
    ends = "does not end" if info.expires_at is None else f"ends {moment(info.expires_at)}"
    output.answer(
        {**info._asdict(), "secret": secret},
        lambda: [secret, f"{info.name}: {', '.join(info.permissions)}; {ends}"],
    )
    output.note("meshag: this is shown now and never again: put it where MESHAG_ACCESS_KEY is set from")


# --- projects ---------------------------------------------------------------------------------------------------------


async def add_project(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.community.add_project(args.name, **_settings(args))
    output.answer(info, lambda: [f"Added {info.name}: {_said(info)}"])


async def projects(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import projects as stored
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store.read(stored.listing)
    output.answer(found, lambda: table(_PROJECTS, found) if found else ["No project yet: a first connection makes one"])


async def project(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import activity, connections, database
    from meshag_tui.store import projects as stored
    from meshag_tui.workflows.workbench import Workbench

    wanted = {word.strip() for word in args.include.split(",") if word.strip()}
    if unknown := wanted - {"connections", "activities", "agents", "costs"}:
        raise UsageError(f"--include takes connections, agents, costs and activities, not {sorted(unknown)[0]!r}")
    async with await Workbench.open(args.settings) as bench:
        info = await bench.store.read(stored.find, args.name)
        document: dict[str, Any] = {**info._asdict()}
        costs: tuple[stored.Spent, ...] = ()
        if "costs" in wanted:
            costs = await bench.store.read(lambda: stored.spent(info.id, database.now_ms()))
            document["costs"] = [cost._asdict() for cost in costs]
        if "agents" in wanted:
            document["agents"] = [row._asdict() for row in await bench.agents.page(project=info.id)]
        if "connections" in wanted:
            known = await bench.store.read(connections.listing)
            document["connections"] = [one.name for one in known if one.project_id == info.id]
        if "activities" in wanted:
            document["activities"] = await bench.store.read(activity.recent, 20, project=info.name)
    lines = [f"{info.name}: {_said(info)}"]
    lines += [f"{c.total:f} {c.currency} in all, {c.month:f} this month, {c.forecast:f} at this pace" for c in costs]
    lines += [f"connection {name}" for name in document["connections"]] if "connections" in wanted else []
    lines += [f"agent {row['name']}, {row['status']}" for row in document.get("agents", ())]
    lines += [f"{moment(entry.at)} {entry.actor}: {entry.message}" for entry in document.get("activities", ())]
    output.answer(document, lambda: lines)


async def edit_project(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.workflows.workbench import Workbench

    changes = _settings(args)
    if not changes and args.new_name is None:
        raise UsageError("Nothing to change: see meshag project set --help")
    async with await Workbench.open(args.settings) as bench:
        info = await bench.community.edit_project(args.name, name=args.new_name, **changes)
    output.answer(info, lambda: [f"Saved {info.name}: {_said(info)}"])


async def remove_project(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import projects as stored
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store.read(stored.find, args.name)
        gone = await bench.store.read(stored.contents, info.id)
        said = ", ".join(f"{count:,} {kind}" for kind, count in gone.items() if count) or "nothing else"
        if not args.yes:
            confirm_name(f"Forget {info.name} with {said}? Databases are not touched.", info.name, output)
        await bench.community.remove_project(info.id)
    output.answer({"removed": info.id, "with": gone}, lambda: [f"Forgot {info.name} with {said}"])


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What was said of a project's settings: on is as usual, and not kept."""
    given: dict[str, Any] = {}
    if args.cloud is not None:
        given["no_cloud"] = True if args.cloud == "off" else None
    for way in ("toast", "bell", "osc9", "webhook"):
        value = getattr(args, way) or args.notify
        if value is not None:
            given[way] = None if value == "on" else False
    if args.path is not None:
        given["path"] = None if args.path == "none" else _folder(args.path)
    for name in ("colour", "theme", "quiet", "rate"):
        value = getattr(args, name)
        if value is not None:
            given[name] = None if value == "none" else value
    if isinstance(given.get("rate"), str):
        if not given["rate"].isdecimal():
            raise UsageError(f"--rate is a number of alerts an hour, or none, not {given['rate']!r}")
        given["rate"] = int(given["rate"])
    return given


def _folder(path: str) -> str:
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"--path: there is no folder {folder}")
    return str(folder)


def _said(info: ProjectInfo) -> str:
    words = {"no_cloud": "nothing leaves this machine"}
    if "rate" in info.settings:
        words["rate"] = f"at most {info.settings['rate']} alerts an hour"
    parts = [
        words.get(name, f"no {name}" if value is False else f"{name} {value}") for name, value in info.settings.items()
    ]
    return ", ".join(parts) or "as usual"
