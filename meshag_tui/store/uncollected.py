"""Work without passes of the garbage collector, where very much is made and none of it is garbage."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_holders = 0
_paused = False


@contextmanager
def uncollected() -> Iterator[None]:
    """While anybody is in here, no pass begins: over the rows of a large sync each takes a tenth of a second, in which
    every thread of the process stands still, the screen's too.
    """
    global _holders, _paused
    with _lock:
        if _holders == 0 and gc.isenabled():
            gc.disable()
            _paused = True
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0 and _paused:
                _paused = False
                gc.enable()
