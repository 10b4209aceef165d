"""`meshag migration`: the statements of suggestions, and what puts them back, as files that psql or mysql runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.naming import expect
from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    from meshag_tui.changes.migration import Migration


def files_of(name: str) -> tuple[Path, Path]:
    """NAME.up.sql and NAME.down.sql."""
    path = Path(name).expanduser()
    return path.with_name(f"{path.name}.up.sql"), path.with_name(f"{path.name}.down.sql")


def write(up: Path, down: Path, made: Migration) -> None:
    """Write two new files that only their owner reads. MeshagError: one exists, or cannot be written."""
    for path, text in ((up, made.up), (down, made.down)):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise MeshagError(f"{path} cannot be written: {error.strerror}") from None


async def migration(args: argparse.Namespace, output: Output) -> None:
    """Nothing is run: the names are checked against the catalogue, and the texts written."""
    from meshag_tui.workflows.workbench import Workbench

    for each in args.ids:
        expect(each, "sug", "migration")
    up, down = files_of(args.out or "migration")
    async with await Workbench.open(args.settings) as bench:
        made = await bench.hands.migration(args.ids, up.name, down.name)
    for title in made.not_undone:
        output.note(f"meshag: nothing puts this back, it renews what is there: {title}")
    document: dict[str, Any] = {"up": made.up, "down": made.down, "files": [], "not_undone": made.not_undone}
    if args.out is None:
        output.answer(document, lambda: [made.up, made.down])
        return
    write(up, down, made)
    output.answer({**document, "files": [str(up), str(down)]}, lambda: [f"Wrote {up} and {down}"])
