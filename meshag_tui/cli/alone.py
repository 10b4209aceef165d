"""What is known of the command line without its parser: what `meshag` alone asks for, and how wrong words end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALONE: Mapping[str, Any] = {
    "command": "tui:open_screens",
    "plain": False,
    "json": False,
    "store": None,
    "read_only": False,
}


class WrongWords(Exception):
    """What was typed cannot be parsed: the reason, without a password, and how the command is used."""

    def __init__(self, reason: str, usage: str) -> None:
        super().__init__(reason)
        self.usage = usage
