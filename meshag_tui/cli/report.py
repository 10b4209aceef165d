"""`meshag report`: a window of a connection as Markdown, HTML or JSON, to read or to send."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.advice import statement_fields
from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.workflows.report import Report

_FORMS = {".md": "md", ".html": "html", ".htm": "html"}


async def report(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.figures import moment_from
    from meshag_tui.store import connections, database
    from meshag_tui.workflows import report as room
    from meshag_tui.workflows.workbench import Workbench

    form = args.format or (_form_of(args.out) if args.out else "md")
    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        end = None
        if args.end is not None:
            end = moment_from(args.end, await bench.store(database.now_ms))
            if end is None:
                raise UsageError("--end is a time as 03:12, or with its day as '2026-09-21 03:12'")
        slow_ms = bench.settings.advice.slow_ms
        found = await bench.store.read(room.read, info.id, args.window, slow_ms, args.against, end)
    if args.out is None:
        output.answer(describe(found), lambda: [page(found, form)])
        return
    path, length = write(args.out, page(found, form))
    output.answer({"file": str(path), "bytes": length}, lambda: [f"Wrote {length:,} bytes to {path}"])


def describe(found: Report) -> dict[str, Any]:
    """A report as JSON: the figures of the store, not rounded."""
    from meshag_tui.cli import compare
    from meshag_tui.cli.health import describe as of_health

    overview = found.overview._asdict()
    overview.pop("load")
    load = found.overview.load
    return {
        "connection": found.info.name,
        "window": found.window,
        "against": found.against,
        "written_at": found.written_at,
        "overview": overview,
        "load": [
            {"at": at, "ms_per_s": ms, "calls_per_s": calls}
            for at, ms, calls in zip(load.times, load.ms_per_s, load.calls_per_s, strict=True)
        ],
        "active_sessions": found.waits,
        "health": of_health(found.info.name, found.health),
        "statements": [
            {
                **{name: getattr(row, name) for name in ("calls", "total_time_ms", "mean_time_ms", "rows", "share")},
                "id": row.uid,
                "text": row.text,
            }
            for row in found.statements
        ],
        "statements_total": found.statements_total,
        "changed": [compare.describe(row) for row in found.compared.rows],
        "happened": [each._asdict() for each in found.happened],
        "alerts": [each._asdict() for each in found.alerts],
        "advice": [
            {
                "id": each.id,
                "rule": each.rule,
                "priority": each.priority,
                "title": each.title,
                **statement_fields(each.sql),
            }
            for each in found.advice
        ],
        "applied": [{"id": each.change.id, **statement_fields(each.change.sql)} for each in found.applied],
        "tables": [
            {
                "schema": row.stats.schema,
                "table": row.stats.name,
                "size_bytes": row.stats.size_bytes,
                "index_bytes": row.stats.index_bytes,
            }
            for row in found.tables
        ],
    }


def page(found: Report, form: str) -> str:
    """A report as "md" or "html"."""
    from meshag_tui.cli import report_pages

    made = list(report_pages.parts(found))
    if form == "html":
        return report_pages.as_html(f"{found.info.name}: MeshAG", made)
    return report_pages.as_markdown(made)


def check_path(given: str) -> str | None:
    """What is wrong with a file name, None if nothing is."""
    path = Path(given.strip()).expanduser()
    if path.suffix.lower() not in _FORMS:
        return f"end it in {', '.join(_FORMS)}"
    if not path.parent.is_dir():
        return "there is no such folder"
    return "it exists already: take another name" if path.exists() else None


def write(given: str, text: str) -> tuple[Path, int]:
    """Write a new file that only its owner reads, for texts of statements are in it; its path and size in bytes.

    Raises:
        MeshagError: it exists by now, or cannot be written.
    """
    path, data = Path(given.strip()).expanduser(), text.encode("utf-8", "backslashreplace")
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise MeshagError(f"{path} cannot be written: {error.strerror}") from None
    return path, len(data)


def _form_of(given: str) -> str:
    form = _FORMS.get(Path(given).suffix.lower())
    if form is None:
        raise UsageError(f"Say --format md or html, or end the file in {', '.join(_FORMS)}")
    return form
