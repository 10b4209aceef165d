"""Opens the workbench in a thread while the screens are still being loaded: the two have nothing in common.

What is imported in that thread must be no part of Textual or Rich, which the main thread imports at the same time: two
threads inside one circle of imports see half a module.
"""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshag_tui.settings import Settings
    from meshag_tui.workflows.workbench import Workbench

LOADED = ("workflows.workbench", "store.history", "store.remembered")
"""What opening the store and reading the first screen's data takes."""


def begin(settings: Settings) -> Future[Workbench]:
    """Begin to open the store and the vault; the workbench, or its MeshagError, is in the future."""
    opening: Future[Workbench] = Future()
    threading.Thread(target=_open, args=(settings, opening), name="opening", daemon=True).start()
    return opening


def _open(settings: Settings, opening: Future[Workbench]) -> None:
    try:
        workbench, *_ = [importlib.import_module(f"meshag_tui.{name}") for name in LOADED]
        bench = workbench.Workbench.open_blocking(settings)
    except BaseException as error:  # handed to whoever waits, whatever it is
        opening.set_exception(error)
    else:
        opening.set_result(bench)
