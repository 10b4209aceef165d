"""Opens the workbench in a thread while the screens are still being loaded: the two have nothing in common.

What is imported in that thread must be no part of Textual or Rich, which the main thread imports at the same time: two
threads inside one circle of imports see half a module.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshag_tui.settings import Settings
    from meshag_tui.workflows.workbench import Workbench

_LOG = logging.getLogger("meshag.workflows")
LOADED = ("workflows.workbench", "store.history", "store.remembered")
"""What opening the store and reading the first screen's data takes."""


def begin(settings: Settings, then: Callable[[Workbench], None] | None = None) -> Future[Workbench]:
    """Begin to open the store and the vault; the workbench, or its MeshagError, is in the future.

    `then` is done with the workbench before anybody has it, in the same thread; should it fail, that is logged.
    """
    opening: Future[Workbench] = Future()
    threading.Thread(target=_open, args=(settings, opening, then), name="opening", daemon=True).start()
    return opening


def _open(settings: Settings, opening: Future[Workbench], then: Callable[[Workbench], None] | None) -> None:
    try:
        workbench, *_ = [importlib.import_module(f"meshag_tui.{name}") for name in LOADED]
        bench = workbench.Workbench.open_blocking(settings)
        try:
            if then is not None:
                then(bench)
        except Exception:
            _LOG.exception("nothing could be done with the store before the screens")
    except BaseException as error:  # handed to whoever waits, whatever it is
        opening.set_exception(error)
    else:
        opening.set_result(bench)
