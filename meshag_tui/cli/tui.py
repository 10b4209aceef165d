"""`meshag` alone: the screens."""

from __future__ import annotations

import gc
import importlib
import os
from typing import TYPE_CHECKING

from meshag_tui.cli.output import Output
from meshag_tui.screens import first
from meshag_tui.types import UsageError
from meshag_tui.workflows.opening import begin

if TYPE_CHECKING:
    import argparse


WEB_DRIVER = "textual.drivers.web_driver:WebDriver"


def open_screens(args: argparse.Namespace, output: Output) -> int:
    """Open the screens on a terminal that can show them; its end is the command's exit code."""
    refuse_unfit_terminal(plain=args.settings.ui.plain)
    if output.as_json:
        raise UsageError("--json needs a command: see meshag --help")
    if not args.settings.ui.plain:
        gc.disable()  # what is made until the first data is shown stays; the screens collect from then on
    opening = begin(args.settings, first.ask)
    app = importlib.import_module("meshag_tui.app")
    return int(app.run(args.settings, opening) or 0)


def refuse_unfit_terminal(plain: bool = False) -> None:
    """Raise UsageError where there is no terminal, or (but for `plain` lines) one that cannot draw screens."""
    from meshag_tui.widgets.terminal import why_not_interactive

    if os.environ.get("TEXTUAL_DRIVER") == WEB_DRIVER:  # a page of `meshag serve`: a browser is at the other end
        return
    if reason := why_not_interactive({"TERM": "any"} if plain else None):
        raise UsageError(reason)
    # Textual waits this many ms, 100 by default, for what may follow an escape; read when it is imported.
    os.environ.setdefault("ESCDELAY", "40")
