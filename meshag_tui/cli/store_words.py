"""The words of the commands about what MeshAG itself remembers: its store, its tables, copies of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from meshag_tui.cli import values


def add(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    """Add the commands. `command` and `group` make one, or a group of them, as in `parser`."""
    store = group(commands, "store", "what MeshAG remembers: state, migrations, backups, its tables")
    command(store, "status", "upkeep:status", "where the store is, its schema version and sizes")
    command(store, "migrate", "upkeep:migrate", "bring the store to this version's schema")
    schema = command(store, "schema", "upkeep:schema", "the store's tables, columns and indexes")
    schema.add_argument("--dump", action="store_true", help="all of them; the same as without")
    schema.add_argument("--diff", action="store_true", help="how they differ from what they should be; 1: they do")
    command(store, "check", "upkeep:check", "whether tables, what points where, and the log are whole; 1: they are not")
    browse = command(store, "browse", "upkeep:browse", "the last rows of a table of the store; nothing is changed")
    browse.add_argument("table", metavar="TABLE", nargs="?", help="none: the tables there are")
    browse.add_argument("--text", default="", metavar="WORDS", help="rows that hold this in a column")
    browse.add_argument("--limit", type=values.count, default=20, metavar="N", help="(20)")
    browse.add_argument("--full", action="store_true", help="each row in full, a column a line")
    backup = command(store, "backup", "upkeep:backup", "copy the store to a file")
    backup.add_argument("file", metavar="FILE")
    restore = command(
        store, "restore", "upkeep:restore", "replace the store by a backup; the present one is kept beside it"
    )
    restore.add_argument("file", metavar="FILE")
    restore.add_argument("--yes", action="store_true", help="do not ask")
    seed = command(store, "seed", "upkeep:seed", "fill an empty store with sample people, projects and runs")
    seed.add_argument("--demo", action="store_true", help="accepted for scripts: the sample is the same")
    reset = command(
        store, "reset", "upkeep:reset", "empty the store, after a backup; monitored databases are not touched"
    )
    reset.add_argument("--yes", action="store_true", help="do not ask for the store's name")
