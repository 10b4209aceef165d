"""Questions on the terminal. Where nobody can answer, the command is refused with the option that answers it."""

from __future__ import annotations

import sys

from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError, UsageError


def confirm(question: str, output: Output, option: str = "--yes") -> None:
    """Ask for a yes.

    Raises:
        UsageError: nobody is there to ask.
        MeshagError: the answer is not yes.
    """
    if _answer(f"{question} [y/N] ", output, option).strip().lower() not in ("y", "yes"):
        raise MeshagError("Nothing was done")


def confirm_name(question: str, name: str, output: Output, option: str = "--yes") -> None:
    """Ask for a name to be typed exactly, before something is lost. Raises as `confirm` does."""
    if _answer(f"{question} Type {name} to go on: ", output, option).strip() != name:
        raise MeshagError("That is not the name: nothing was done")


def answerable() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


def _answer(question: str, output: Output, option: str) -> str:
    if not answerable():
        raise UsageError(f"There is no terminal to ask on: add {option}")
    output.ask(question)
    return sys.stdin.readline()
