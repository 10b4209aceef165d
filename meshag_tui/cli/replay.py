"""`meshag record` and `meshag replay`: a store to send away, and the screens on it at a moment that has passed."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from meshag_tui.cli.output import Output
from meshag_tui.cli.tui import refuse_unfit_terminal
from meshag_tui.figures import moment, moment_from
from meshag_tui.types import MeshagError, UsageError

if TYPE_CHECKING:
    from meshag_tui.screens.player import Player
    from meshag_tui.settings import Settings

_BEFORE_END_MS = 3_600_000
"""Where a replay begins unless it is said: an hour before what was recorded ends."""


def record(args: argparse.Namespace, output: Output) -> None:
    """Copy the store without what a colleague must not have."""
    from meshag_tui.store import copies, recording
    from meshag_tui.store.database import Store
    from meshag_tui.workflows import rights

    to = Path(args.file).expanduser().absolute()
    store = Store.open(args.settings.store_url)
    try:
        rights.ask(store, args.settings, "read")
        gone = recording.record(store, to, copies.backup, copies.restore)
    finally:
        store.close()
    length = to.stat().st_size
    output.answer(
        {"file": str(to), "bytes": length, "left_out": gone},
        lambda: [
            f"Recorded {length:,} bytes to {to}, without passwords, keys, addresses of webhooks and talks with models",
            f"meshag replay {to}",
        ],
    )


def replay(args: argparse.Namespace, output: Output) -> int:
    """Open the screens on a copy of the file, which stays as it is."""
    source = Path(args.file).expanduser().absolute()
    if not source.is_file():
        raise UsageError(f"There is no file {source}")
    if output.as_json:
        raise UsageError("A replay is for people: meshag sessions NAME --at TIME --store FILE --json is for scripts")
    refuse_unfit_terminal(plain=args.settings.ui.plain)
    with tempfile.TemporaryDirectory(prefix="meshag-replay-") as folder:
        settings, player = prepare(args.settings, source, Path(folder), args.start, args.speed)
        return int(importlib.import_module("meshag_tui.replay_app").run(settings, None, player))


def prepare(
    settings: Settings, source: Path, folder: Path, start: str | None = None, speed: float = 1
) -> tuple[Settings, Player]:
    """Copy the file into a folder and say how to open it, and the clock it is looked at by.

    Raises:
        MeshagError: it is no store, or nothing was recorded in it.
        UsageError: `start` is no moment.
    """
    from meshag_tui.screens.player import Player
    from meshag_tui.store import copies, recording
    from meshag_tui.store.database import Store

    url = f"sqlite:///{folder / 'replay.db'}"
    copies.restore(url, source)
    store = Store.open(url, backup=False)
    try:
        span = store.run(recording.recorded)
        store.run(recording.close_off)
    finally:
        store.close()
    if span is None:
        raise MeshagError(f"Nothing was recorded in {source}: neither syncs nor samples of sessions")
    first, last = span
    at = max(first, last - _BEFORE_END_MS)
    if start is not None:
        given = moment_from(start, last)
        if given is None:
            raise UsageError("--from is a time as 03:12, or with its day as '2026-09-21 03:12'")
        if not first <= given <= last:
            raise UsageError(f"That was not recorded: {moment(first)} to {moment(last)} was")
        at = given
    player = Player(first, last, speed)
    player.go_to(at)
    return settings._replace(store_url=url, read_only=True), player
