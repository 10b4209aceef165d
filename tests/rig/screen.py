"""What an application under test shows, as lines of text."""

from __future__ import annotations

from typing import Any

from textual.app import App


def lines(app: App[Any]) -> list[str]:
    """The screen, top to bottom, without the blanks at the end of each line."""
    return ["".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips()]


def shown(app: App[Any]) -> str:
    return "\n".join(lines(app))
