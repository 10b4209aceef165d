"""The application for a screen reader: the same screens and keys, told in lines (`widgets.plain`)."""

from __future__ import annotations

from typing import Any

from meshag_tui.app import MeshagApp
from meshag_tui.settings import Settings
from meshag_tui.text import use_plain
from meshag_tui.widgets.plain import CSS, PlainApp


def run(settings: Settings) -> int:
    """Tell the screens and return the exit code."""
    use_plain()
    return PlainMeshagApp(settings).run_guarded()


class PlainMeshagApp(PlainApp, MeshagApp):
    """Held still from the start: nothing is told but what a key led to, until `p` lets it go on."""

    CSS = MeshagApp.CSS + CSS

    def __init__(self, settings: Settings, *given: Any, **more: Any) -> None:
        super().__init__(settings, *given, **more)
        self.held = True
