"""Twenty moments in the life of a change, each named, at which something is made to happen to it: a process, or a
server, dies. Imported by the tests and by the processes they start.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from meshag_tui.changes import record, verification
from meshag_tui.engines.mysql.ddl import MysqlDdlSession
from meshag_tui.engines.postgres.ddl import PostgresDdlSession
from meshag_tui.store import executions, outcomes, suggestions

SESSIONS = (PostgresDdlSession, MysqlDdlSession)
_WHERE: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("planned", (record,), "planned"),  # the yes is written down
    ("begin", (executions,), "begin"),  # somebody looks after it
    ("gated", (record,), "gated"),
    ("begun", (record,), "begun"),
    ("attempt", (record,), "attempt"),
    ("run", SESSIONS, "run"),  # the statement on the server
    ("verifying", (record,), "verifying"),
    ("verify", SESSIONS, "verify"),  # the catalogue is asked
    ("done", (record,), "done"),
    ("status", (suggestions,), "set_status"),  # inside the transaction that says it is done
)
POINTS = tuple(f"{when} {name}" for name, _, _ in _WHERE for when in ("before", "after"))
"""Twenty: before and after each step."""
assert len(POINTS) == 20


LOOKING = (
    ("look", (verification,), "look"),
    ("found", (outcomes,), "save"),
    ("checkpoint", (executions,), "commit_step"),
)
"""What a look at a change does before it may be undone."""


def at(point: str, happen: Callable[[], None]) -> Callable[[], None]:
    """Let something happen once, at a point of whatever change comes there first; the result takes that back."""
    when, _, name = point.partition(" ")
    _, owners, attribute = next(each for each in (*_WHERE, *LOOKING) if each[0] == name)
    happened: list[bool] = []
    originals = [(owner, getattr(owner, attribute)) for owner in owners]

    def once() -> None:
        if not happened:
            happened.append(True)
            happen()

    for owner, original in originals:
        setattr(owner, attribute, _wrapped(original, when, once))

    def back() -> None:
        for owner, original in originals:
            setattr(owner, attribute, original)

    return back


def _wrapped(original: Callable[..., Any], when: str, once: Callable[[], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            if when == "before":
                once()
            result = await original(*args, **kwargs)
            if when == "after":
                once()
            return result

        return awaited

    @functools.wraps(original)
    def called(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            once()
        result = original(*args, **kwargs)
        if when == "after":
            once()
        return result

    return called
