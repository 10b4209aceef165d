"""Prefixed ids on the command line: the wrong kind is named instead of not found."""

from __future__ import annotations

from meshag_tui.types import UsageError

_KINDS = {
    "con": "a connection",
    "qry": "a query",
    "sug": "a suggestion",
    "chg": "a change",
    "reh": "a rehearsal",
    "exec": "an execution",
    "alr": "an alert",
    "chn": "a webhook",
    "prj": "a project",
    "usr": "a user",
    "thrd": "a thread",
    "agnt": "an agent",
    "key": "an access key",
}


def expect(given: str, prefix: str, command: str, *others: str) -> str:
    """`given` if it is an id with one of these prefixes.

    Raises:
        UsageError: it is another kind of id, or none; the text says which and what the command takes.
    """
    wanted = (prefix, *others)
    found, mark, _ = given.partition("_")
    takes = " or ".join(f"{_KINDS[each]} ({each}_…)" for each in wanted)
    if mark and found in wanted:
        return given
    if mark and found in _KINDS:
        raise UsageError(f"meshag {command} takes {takes}; {given} is {_KINDS[found]}")
    raise UsageError(f"meshag {command} takes {takes}, not {given!r}")
