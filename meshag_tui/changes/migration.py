"""The statements of a basket as two files that `psql` or `mysql` runs: one to do them, one to put them back.

Names in a comment were written by others: they are put in one line, so that a comment ends where its line does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from meshag_tui.engines.base import RenderedChange
from meshag_tui.engines.words import Words
from meshag_tui.text import one_line


class Step(NamedTuple):
    """One change: what it is for, and what was written for it from the catalogue."""

    title: str
    rendered: RenderedChange


@dataclass(frozen=True, slots=True)
class Migration:
    """The two texts, UTF-8, and what cannot be put back, by its title."""

    up: str
    down: str
    not_undone: tuple[str, ...]


def migration(steps: Sequence[Step], words: Words, made_for: str, up_name: str, down_name: str) -> Migration:
    """Both files for `steps`, in their order. `made_for` names the server that the statements were written for."""
    up = _head(f"What MeshAG suggests for {made_for}", words, up_name)
    down = _head(f"What puts back {up_name} ({made_for})", words, down_name)
    lost = []
    for number, step in enumerate(steps, 1):
        up += [f"-- {number}. {_said(step.title)}", f"{step.rendered.sql};", ""]
    for number, step in reversed(list(enumerate(steps, 1))):
        down.append(f"-- {number}. {_said(step.title)}")
        if step.rendered.undo_sql is None:
            lost.append(step.title)
            down += ["-- nothing to put back: it renews what is there", ""]
        else:
            down += [f"{step.rendered.undo_sql};", ""]
    return Migration("\n".join(up), "\n".join(down), tuple(lost))


def _head(what: str, words: Words, name: str) -> list[str]:
    return [f"-- {_said(what)}", f"-- {words.script_run.format(file=_said(name))}", *words.script_head, ""]


def _said(text: str) -> str:
    """In one line, and no comment that a server would run."""
    return one_line(text, newline=" ").replace("*/", "* /").replace("/*", "/ *")
