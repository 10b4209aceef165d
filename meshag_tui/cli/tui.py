"""`meshag` alone: the screens."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from meshag_tui.cli.output import Output
from meshag_tui.types import UsageError


def open_screens(args: argparse.Namespace, output: Output) -> int:
    """Open the screens on a terminal that can show them; its end is the command's exit code."""
    refuse_unfit_terminal()
    if output.as_json:
        raise UsageError("--json needs a command: see meshag --help")
    app = importlib.import_module("meshag_tui.app")
    return int(app.run(args.settings) or 0)


def refuse_unfit_terminal() -> None:
    """Raise UsageError where there is no terminal, or one that cannot place a cursor."""
    for stream, name in ((sys.stdin, "standard input"), (sys.stdout, "standard output")):
        if stream is None or not stream.isatty():
            raise UsageError(f"The screens need a terminal, and {name} is none: see meshag --help for commands")
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise UsageError("The screens need a terminal that can move its cursor (TERM): see meshag --help for commands")
