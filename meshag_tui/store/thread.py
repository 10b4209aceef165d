"""One thread that runs what it is handed, in order: the store's connection belongs to it.

A daemon, unlike those of concurrent.futures: when the user hangs up, the process must not wait for a slow store. What
was not committed by then is rolled back by the database.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class StoreThread:
    """Starts with its first job; `stop` ends it when the jobs before are done."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._thread is not None and not self._stopped

    def submit(self, fn: Callable[..., T], *args: Any) -> Future[T]:
        """Queue `fn(*args)`; its result or exception arrives in the future, which may be cancelled until it begins."""
        future: Future[T] = Future()
        with self._lock:
            if self._stopped:
                raise RuntimeError("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put((future, fn, args))
        return future

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, fn, args = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = fn(*args)
            except BaseException as error:  # handed to whoever asked, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)
            del job, future, fn, args  # a waiting thread must not keep a finished job's rows alive
