"""Screens whose painting may fail: the application decides what becomes of it, and their messages go on.

Textual paints in a timer of the screen; an error there would end the screen's own message loop, and with it the
application, whichever widget it came from.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, TypeVar

from textual.reactive import Reactive
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

Result = TypeVar("Result")


class MainScreen(Screen[None]):
    """The screen behind all dialogs; under one it stands still, and is painted whole when that is gone.

    Textual would send the whole terminal anew, dialog and all, for each second by which an age below it grows.
    """

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)  # who has it and who had it are painted alone

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._paints = asyncio.Event()
        self._paints.set()

    @property
    def held_back(self) -> bool:
        return not self._paints.is_set()

    def hold_back(self) -> None:
        """Paint nothing until `let_go`. A batch of Textual's would hold back the layout too, and sizes with it."""
        self._paints.clear()

    def let_go(self) -> None:
        """Paint what was held back; else nothing."""
        if self.held_back:
            self._paints.set()
            self.refresh()

    async def paints(self) -> None:
        """Wait until nothing is held back."""
        await self._paints.wait()

    def _compositor_refresh(self) -> None:
        if self.held_back or self.app.screen is not self:
            return
        try:
            super()._compositor_refresh()
        except Exception as error:
            self.app._handle_exception(error)


class Dialog(ModalScreen[Result]):
    """Base of the dialogs."""

    AUTO_FOCUS = "*"  # whatever the application says of its main screen
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def _compositor_refresh(self) -> None:
        try:
            super()._compositor_refresh()
        except Exception as error:
            self.app._handle_exception(error)


def failed_in(error: BaseException) -> Widget | None:
    """The innermost widget an error came through; None if it came through none."""
    found: Widget | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        held = frame.f_locals.get("self")
        if isinstance(held, Widget) and not isinstance(held, MainScreen):
            found = held
    return found
