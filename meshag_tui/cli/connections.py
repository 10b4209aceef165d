"""Commands about the monitored databases: `meshag connections add | list | test | edit | remove | setup-sql`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Column, Output, table
from meshag_tui.figures import ago, duration
from meshag_tui.types import Finding, MeshagError, Secret, Target, UsageError

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.connecting import Tested

PASSWORD_VARIABLE = "MESHAG_PASSWORD"  # noqa: S105 (the variable's name)


async def add(args: argparse.Namespace, output: Output) -> None:
    """Test, then save."""
    from meshag_tui.workflows.workbench import Workbench

    target = _with_password(Target.from_url(args.url), args, output)
    async with await Workbench.open(args.settings) as bench:
        report = None if args.no_test else await bench.connections.test(target)
        same = await bench.connections.watching(target, None if report is None else report.facts)
        twice = [info.name for info in same if info.username == target.user]
        if twice and not args.again:
            raise MeshagError(
                f"{target.label} is monitored already as {', '.join(twice)}: meshag connections edit {twice[0]} "
                f"--name {args.name} renames it, --again adds it all the same"
            )
        info = await bench.connections.add(
            args.name,
            target,
            project=args.project,
            interval_s=args.interval,
            read_only=args.protect,
            slow_ms=args.slow,
            slow_by_longest=args.slow_by == "call",
            other_databases=bool(args.other_databases),
            facts=None if report is None else report.facts,
        )
        document = describe(info) | {"test": _tested(report)}
        output.answer(document, lambda: [f"Added {info.name} ({info.id}): {info.label}", *_report_lines(report)])
        _notes(report, output)


async def listing(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.workflows.turns import servers
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        known = await bench.store(connections.listing)
        now = await bench.store(_now)
    there, most = servers(known), args.settings.collect.sessions
    sharing = Counter(there.values())
    columns = (
        Column("NAME", lambda info: info.name),
        Column("ENGINE", lambda info: f"{info.engine or info.db_type.label} {info.version or ''}".strip()),
        Column("ADDRESS", lambda info: info.label),
        Column("STATUS", lambda info: info.status),
        Column("SYNCED", lambda info: ago(info.last_sync_at, now)),
        Column("NEXT", lambda info: "paused" if info.status == "INACTIVE" else ago(info.next_sync_at, now)),
        Column("OPEN", lambda info: str(info.open_suggestions), "right"),
        Column("ID", lambda info: info.id),
        Column("LAST ERROR", lambda info: info.last_error or ""),
    )
    nothing = ["No connection yet: meshag connections add NAME postgresql://user@host:5432/database (or mysql://…)"]
    documents = [
        describe(info) | {"own_sessions": {"most": most, "connections": sharing[there[info.id]]}} for info in known
    ]
    output.answer(documents, lambda: table(columns, known) if known else nothing)


async def test(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        report = await bench.connections.test_saved(info.id)
        output.answer({"connection": info.name, **(_tested(report) or {})}, lambda: _report_lines(report))


async def edit(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        changes = _edits(args, output)
        if not changes and not (args.pause or args.resume):
            raise UsageError("Nothing to change: see meshag connections edit --help")
        report = None
        if not args.no_test and {"target", "password"} & changes.keys():
            report = await bench.connections.test(await _edited_target(bench, info, changes))
        if changes:
            info = await bench.connections.edit(info.id, **changes)
        if args.pause:
            await bench.connections.pause(info.id)
        elif args.resume:
            await bench.connections.resume(info.id)
        info = await bench.store(connections.get, info.id)
        document = describe(info) | {"test": _tested(report)}
        output.answer(document, lambda: [f"Saved {info.name}: {info.label}, {info.status}", *_report_lines(report)])


async def remove(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.asking import confirm
    from meshag_tui.store import connections
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        contents = await bench.store(connections.contents, info.id)
        what = ", ".join(f"{rows} {kind}" for kind, rows in contents.items() if rows) or "nothing collected"
        if not args.yes:
            confirm(f"Forget {info.name} ({info.label}) with {what}?", output)
        gone = await bench.connections.remove(info.id)
        output.answer(
            {"removed": info.name, "id": info.id, "rows": gone}, lambda: [f"Removed {info.name}: {what} went with it"]
        )


def setup_sql(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.engines import engine_for

    target = Target.from_url(args.url)
    script = engine_for(target.db_type).setup_sql(target.user, target.database)
    output.answer({"sql": script}, lambda: [script])


def describe(info: ConnectionInfo) -> dict[str, Any]:
    """A connection as JSON: times in epoch ms UTC."""
    return {
        "id": info.id,
        "name": info.name,
        "project": info.project_name,
        "db_type": info.db_type,
        "engine": info.engine,
        "version": info.version,
        "host": info.host,
        "port": info.port,
        "database": info.database,
        "user": info.username,
        "has_password": info.has_password,
        "tls": info.tls,
        "proxy": info.proxy,
        "status": info.status,
        "read_only": info.read_only,
        "undo_worse": info.undo_worse,
        "no_cloud": info.no_cloud,
        "stage": info.stage,
        "interval_s": info.interval_s,
        "slow_ms": info.slow_ms,
        "slow_by": "call" if info.slow_by_longest else "mean",
        "other_databases": info.other_databases,
        "last_sync_at": info.last_sync_at,
        "next_sync_at": info.next_sync_at,
        "last_error": info.last_error,
        "warnings": info.warnings,
        "open_suggestions": info.open_suggestions,
    }


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Findings for people: a word for how bad, what, and the fix indented below."""
    lines = []
    for finding in findings:
        said = finding.title + (f": {finding.detail}" if finding.detail else "")
        lines.append(f"{finding.severity:<9} " + said.replace("\n", "\n          "))
        if finding.fix and finding.severity != "ok":
            lines += [f"          {line}" for line in finding.fix.splitlines()]
    return lines


def _tested(report: Tested | None) -> dict[str, Any] | None:
    if report is None:
        return None
    facts = report.facts
    return {
        "address": report.label,
        "engine": facts.engine,
        "version": facts.version,
        "latency_ms": facts.latency_ms,
        "tls": facts.tls,
        "superuser": facts.superuser,
        "in_recovery": facts.in_recovery,
        "duration_ms": report.duration_ms,
        "same_as": report.same_as,
        "findings": report.findings,
    }


def _report_lines(report: Tested | None) -> list[str]:
    if report is None:
        return []
    facts = report.facts
    server = f"{facts.engine} {facts.version}, answered in {duration(facts.latency_ms)}, {facts.tls or 'no TLS'}"
    return [server, *finding_lines(report.findings)]


def _notes(report: Tested | None, output: Output) -> None:
    if report is not None and report.same_as:
        output.note(f"meshag: this database is monitored already as {', '.join(report.same_as)}")


def _edits(args: argparse.Namespace, output: Output) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if args.url is not None:
        changes["target"] = _with_password(Target.from_url(args.url), args, output)
    elif (password := _password(args)) is not None:
        changes["password"] = password
    if args.protect and args.writable:
        raise UsageError("--protect and --writable exclude each other")
    if args.protect or args.writable:
        changes["read_only"] = bool(args.protect)
    if args.undo_worse is not None:
        changes["undo_worse"] = args.undo_worse
    if args.slow_by is not None:
        changes["slow_by_longest"] = args.slow_by == "call"
    if args.other_databases is not None:
        changes["other_databases"] = args.other_databases
    if args.stage is not None:
        changes["stage"] = None if args.stage == "none" else args.stage
    if args.no_cloud is not None:
        changes["no_cloud"] = args.no_cloud
    given = {"name": args.new_name, "interval_s": args.interval, "slow_ms": args.slow, "project": args.project}
    return changes | {key: value for key, value in given.items() if value is not None}


async def _edited_target(bench: Any, info: ConnectionInfo, changes: Mapping[str, Any]) -> Target:
    """What is to be tested: the new address with the new password, or with the old one where that still fits."""
    from meshag_tui.store import connections

    target: Target | None = changes.get("target")
    if target is not None and target.password is not None:
        return target
    old: Target = await bench.store(connections.target, info.id, bench.vault)
    password: Secret | None = changes.get("password", old.password)
    if target is not None and (target.host, target.port) != (old.host, old.port) and old.password is not None:
        raise MeshagError("The stored password is for another server: give the new one with --password-stdin")
    return replace(target or old, password=password)


def _with_password(target: Target, args: argparse.Namespace, output: Output) -> Target:
    given = _password(args)
    if given is not None:
        return replace(target, password=given)
    if target.password is not None:
        output.note(
            "meshag: the password was on the command line, where others may have seen it: "
            f"prefer --password-stdin or {PASSWORD_VARIABLE}"
        )
    return target


def _password(args: argparse.Namespace) -> Secret | None:
    if args.password_stdin:
        text = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
        if not text:
            raise UsageError("--password-stdin: standard input holds no password")
        return Secret(text)
    text = os.environ.get(PASSWORD_VARIABLE, "")
    return Secret(text) if text else None


def _now() -> int:
    from meshag_tui.store.database import now_ms

    return now_ms()
