"""Writing a list to a file: CSV for a spreadsheet, JSON for a program, Markdown for a report.

The rows are those of the command line's contract, so a file says the same as `meshag … --json` and as the store. Names
and texts were written by others: they are sanitised, and a spreadsheet takes none of them for a formula.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.output import plain
from meshag_tui.figures import moment
from meshag_tui.text import one_line, sanitise
from meshag_tui.types import MeshagError
from meshag_tui.widgets.form import Field, FormDialog

if TYPE_CHECKING:
    from meshag_tui.screens.pane import Pane

MOST_ROWS = 10_000
_FORMULA = tuple("=+-@＝＋－＠\t\r")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|])")


@dataclass(frozen=True)
class Report:
    """What is written: a title, facts about it ("connection", "window"), and rows that all have the same keys."""

    title: str
    facts: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]


def as_csv(report: Report, header: bool = True) -> str:
    """The rows under a header, or without one where they go on. A text that a spreadsheet would compute begins with an
    apostrophe."""
    out = io.StringIO()
    columns = list(report.rows[0]) if report.rows else ["nothing"]
    writer = csv.writer(out, lineterminator="\r\n")
    if header:
        writer.writerow(columns)
    for row in report.rows:
        writer.writerow([_csv_cell(row[column]) for column in columns])
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    known = plain(value)
    if known is None or isinstance(known, (bool, int, float)):
        return "" if known is None else known
    text = sanitise(known if isinstance(known, str) else json.dumps(known))
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def as_json(report: Report) -> str:
    """One document in ASCII: title, facts and rows, as the command line has them."""
    document = {"title": report.title, **report.facts, "rows": plain(report.rows)}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def as_markdown(report: Report) -> str:
    """A heading, the facts, and a table; nothing in a name is taken for markup."""
    lines = [f"# {markdown(report.title)}", ""]
    lines += [f"- {markdown(name)}: {markdown(value)}" for name, value in report.facts.items()]
    lines.append("")
    if not report.rows:
        return "\n".join([*lines, "Nothing.", ""])
    columns = list(report.rows[0])
    lines += [f"| {' | '.join(map(markdown, columns))} |", f"|{' --- |' * len(columns)}"]
    for row in report.rows:
        lines.append(f"| {' | '.join(markdown(_said(row[column])) for column in columns)} |")
    return "\n".join([*lines, ""])


def _said(value: Any) -> str:
    known = plain(value)
    return "" if known is None else known if isinstance(known, str) else json.dumps(known)


def markdown(text: str) -> str:
    """A text of others as the text of a cell: nothing in it is taken for markup."""
    return _MARKDOWN.sub(r"\\\1", one_line(text, newline=" "))


FORMATS: Mapping[str, Callable[[Report], str]] = {".csv": as_csv, ".json": as_json, ".md": as_markdown}


def check_path(given: str) -> str | None:
    """What is wrong with a file name, None if nothing is."""
    path = Path(given.strip()).expanduser()
    if path.suffix.lower() not in FORMATS:
        return f"end it in {', '.join(FORMATS)}"
    if not path.parent.is_dir():
        return "there is no such folder"
    return "it exists already: take another name" if path.exists() else None


def write(given: str, report: Report) -> tuple[Path, int]:
    """Write a new file that only its owner reads, for texts of statements are in it; its path and size in bytes.

    Raises:
        MeshagError: it exists by now, or cannot be written.
    """
    return create(given, FORMATS[Path(given.strip()).suffix.lower()](report))


def create(given: str, text: str) -> tuple[Path, int]:
    """The same for a text that is ready."""
    path = Path(given.strip()).expanduser()
    data = text.encode("utf-8", "backslashreplace")
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise MeshagError(f"{path} cannot be written: {error.strerror}") from None
    return path, len(data)


def ask(pane: Pane, name: str, read: Callable[[], Awaitable[Report]]) -> None:
    """Ask for a file name and write what `read` gives; `name` ("queries") goes into the proposed file name."""
    info = pane.connection
    subject = re.sub(r"[^\w.-]+", "-", info.name if info is not None else "meshag")
    at = time.strftime("%Y%m%d-%H%M%S", time.localtime(pane.shell.now_ms() / 1000))
    named = f"meshag-{subject}-{name}-{at}.csv"
    proposed = f"./{named}" if info is None else info.proposed(named)
    file = Field("file", "File", proposed, hint=".csv, .json or .md", check=check_path, required=True)

    def answered(values: dict[str, str] | None) -> None:
        if values is not None:
            pane.shell.do(_write(pane, values["file"], read))

    pane.shell.push_screen(FormDialog(f"Export {name}: .csv, .json or .md", [file], verb="Write"), answered)


async def _write(pane: Pane, given: str, read: Callable[[], Awaitable[Report]]) -> None:
    report = await read()
    path, size = await asyncio.to_thread(write, given, report)
    pane.shell.say(f"Wrote {len(report.rows):,} rows, {size:,} bytes, to {path}")


def facts(pane: Pane, **more: str) -> dict[str, str]:
    """What every report says of itself."""
    info = pane.connection
    known = (
        {} if info is None else {"connection": info.name, "server": f"{info.engine or ''} {info.version or ''}".strip()}
    )
    return {**known, "written": moment(pane.shell.now_ms()), **more}
