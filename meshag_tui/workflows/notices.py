"""What workflows say while they work: progress of a run, its end, and which data changed.

Screens subscribe and read the store again; the command line may print. A subscriber that fails is logged and does not
disturb the run that spoke.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from meshag_tui.types import ExecutionState

_log = logging.getLogger("meshag.workflows")

Topic = Literal[
    "connections",
    "statistics",
    "suggestions",
    "executions",
    "changes",
    "models",
    "sessions",
    "alerts",
    "threads",
    "agents",
    "people",
]


class Progress(NamedTuple):
    """A run entered a phase. `done` and `total` count what the phase works through, where it can say."""

    execution_id: str
    kind: str
    connection_id: str | None
    phase: str
    done: int | None = None
    total: int | None = None


class Finished(NamedTuple):
    """A run ended. `error` is one line for people."""

    execution_id: str
    kind: str
    connection_id: str | None
    state: ExecutionState
    error: str | None = None


class Changed(NamedTuple):
    """Rows of a topic changed in the store; of one connection, or (None) of several."""

    topic: Topic
    connection_id: str | None = None


Notice = Progress | Finished | Changed
Subscriber = Callable[[Notice], None]


class Notices:
    """Passes each notice to all subscribers, in the event loop's thread."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every notice from now on; the result ends it."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    @contextlib.contextmanager
    def progress_of(self, kind: str, connection_id: str, progress: Callable[[Progress], None] | None) -> Iterator[None]:
        """Call `progress` with that of runs of this kind of this connection; None: nobody asks."""

        def tell(notice: Notice) -> None:
            if (
                progress
                and isinstance(notice, Progress)
                and (notice.kind, notice.connection_id) == (kind, connection_id)
            ):
                progress(notice)

        unsubscribe = self.subscribe(tell)
        try:
            yield
        finally:
            unsubscribe()

    def publish(self, notice: Notice) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(notice)
            except Exception:  # a screen's mistake must not end a sync
                _log.exception("a subscriber failed on %s", type(notice).__name__)
