"""The application for a screen reader: the same screens and keys, told in lines (`widgets.plain`)."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from meshag_tui.app import MeshagApp
from meshag_tui.glyphs import use_plain
from meshag_tui.settings import Settings
from meshag_tui.widgets.plain import CSS, PlainApp

if TYPE_CHECKING:
    from meshag_tui.workflows.workbench import Workbench


def run(settings: Settings, opening: Future[Workbench] | None = None) -> int:
    """Tell the screens and return the exit code."""
    use_plain()
    return PlainMeshagApp(settings, opening=opening).run_guarded()


class PlainMeshagApp(PlainApp, MeshagApp):
    """Held still from the start: nothing is told but what a key led to, until `p` lets it go on."""

    CSS = MeshagApp.CSS + CSS

    def __init__(self, settings: Settings, *given: Any, **more: Any) -> None:
        super().__init__(settings, *given, **more)
        self.held = True
