"""An application that is safe to run in somebody's terminal.

`GuardedApp` is what the TUI's App is made from. It leaves the terminal as it found it however it ends, shows no
control character and no markup of others, prints no local variables when it fails and ends non-zero then, writes only
the cells that changed, animates nothing, and copies through the terminal (OSC 52).
"""

from __future__ import annotations

import asyncio
import codecs
import functools
import logging
import os
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.segment import Segment
from rich.text import Text
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.binding import Binding, BindingType
from textual.constants import ESCAPE_DELAY
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter, Monochrome, NoColor
from textual.message import Message

from meshag_tui.figures import size
from meshag_tui.text import mask_secrets, sanitise
from meshag_tui.widgets.frame import Frame, Piece
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.screens import MainScreen
from meshag_tui.widgets.terminal import TerminalGuard, clipboard_sequence, erases_in_colour
from meshag_tui.widgets.themes import NAMES, THEMES, choose_theme

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.driver import Driver
    from textual.notifications import SeverityLevel
    from textual.screen import Screen

_LOG = logging.getLogger(__name__)

_BACKLOG = 4
"""Writes waiting for a slow terminal from which frames are left out; what is painted next holds their changes too."""

_SHOWING_S = 0.1
_SHOWINGS = 10


def _forgiving_decoder(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    return functools.partial(codecs.getincrementaldecoder(encoding), errors="replace")


# Textual 8.2 decodes the keyboard strictly: one byte that is not UTF-8 (a Latin-1 terminal's é) would end the program.
vars(linux_driver)["getincrementaldecoder"] = _forgiving_decoder

_REPLIES = (
    r"\x1b\[(?!1;[2-8]R)\d+;\d+R"  # where the cursor is; the exceptions are f3 with shift and the like
    r"|\x1b\[[?>=][\d;]*[cn]|\x1b\[\d*n"  # what the terminal is, and how it does
    r"|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)"  # colours, titles, versions: OSC, DCS, APC, PM, SOS
)
"""What a terminal answers to questions we did not ask (the program before us did, or somebody wrote it to us)."""


_BEGUN = r"\x1b(?:\[[?>=]?[\d;]*|[\]P_^X][^\x07\x1b]*\x1b?)?\Z"
"""What may be the beginning of such a reply, or of a key, whose rest comes with the next reading."""


class QuietParser(XTermParser):
    """Textual 8.2 takes escape sequences it does not know apart, and does what their letters are bound to."""

    _held = ""
    _held_until = 0.0

    def feed(self, data: str) -> Iterable[Message]:
        if not data:  # the end of all input
            return super().feed(data)
        data, self._held = self._held + data, ""
        if "\x1b" in data:
            data = re.sub(_REPLIES, "", data)
            if begun := re.search(_BEGUN, data):
                data, self._held = data[: begun.start()], begun[0]
                self._held_until = time.monotonic() + ESCAPE_DELAY
        return super().feed(data) if data else ()

    def tick(self) -> Iterable[Message]:
        if self._held and time.monotonic() >= self._held_until:
            held, self._held = self._held, ""
            if len(held) <= 2:  # esc, or alt with [, ], P, _, ^ or X; all longer ones are no key of any terminal
                yield from super().feed(held)
                self._timeout_time = 0.0  # it has waited already
        yield from super().tick()


vars(linux_driver)["XTermParser"] = QuietParser


class GuardedDriver(LinuxDriver):
    """Textual's driver, with a terminal that may stop reading, and without reports of mere mouse movement."""

    silent = False

    def write(self, data: str) -> None:
        # The writer thread ends when the terminal is gone; its queue would then fill and hold the event loop.
        if not self.silent and self._writer_thread is not None and self._writer_thread.is_alive():
            super().write(data)

    def pass_on(self, data: str) -> None:
        """Write what is for the terminal itself and shows nothing: the clipboard."""
        self.write(data)

    @property
    def backlog(self) -> int:
        """Writes that the terminal has not taken yet."""
        return 0 if self._writer_thread is None else self._writer_thread._queue.qsize()

    def start_application_mode(self) -> None:
        app = cast("GuardedApp", self._app)
        app.frame.forget()
        app.guard.drawing = True
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        super().stop_application_mode()
        cast("GuardedApp", self._app).guard.drawing = False

    def _get_terminal_size(self) -> tuple[int, int]:
        # Textual asks COLUMNS and LINES first; exported, they would freeze the size at what it once was.
        try:
            size = os.get_terminal_size(self.fileno)
        except OSError:
            return super()._get_terminal_size()
        return (size.columns, size.lines) if size.columns and size.lines else super()._get_terminal_size()

    def _enable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1002h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1002l\x1b[?1006l")


_INTERRUPT_AGAIN_S = 3.0


class GuardedApp(App[None]):
    """Base of the TUI. `theme_wanted` is a name of `themes.NAMES` or "auto".

    Run it with `run_guarded`, which returns the exit code. Subclasses may override `say` to show messages elsewhere.
    """

    ENABLE_COMMAND_PALETTE = False  # Textual's own costs 55 to 100 KB to open: see widgets.chooser
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "redraw", "Redraw", show=False, id="redraw"),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, id="suspend"),
    ]

    def __init__(self, theme_wanted: str = "auto") -> None:
        self.frame = Frame(erases_in_colour(os.environ.get("TERM", "")))
        self.guard = TerminalGuard(leave=self._leave, hung_up=self._hung_up)
        super().__init__()
        self.animation_level = "none"
        for theme in THEMES:
            self.register_theme(theme)
        self._begin_in(choose_theme(theme_wanted, os.environ))
        self._repaint_due = False
        self._interrupted_at = -_INTERRUPT_AGAIN_S

    def _begin_in(self, theme: str) -> None:
        """Take a theme before there is anything to style: to set it would parse all styles once more."""
        self.set_reactive(App.theme, theme)
        dark = self.current_theme.dark
        self.set_class(dark, "-dark-mode", update=False)
        self.set_class(not dark, "-light-mode", update=False)
        self._refresh_truecolor_filter(self.ansi_theme)
        self.stylesheet.set_variables(self.get_css_variables())

    # --- running and ending -----------------------------------------------------------------------------------------

    def run_guarded(self, mouse: bool = False) -> int:
        """Run until the user or a signal ends it.

        Returns:
            The exit code: 0, 1 after an error (already printed), 128 + n after signal n.
        """
        try:
            self.run(mouse=mouse)
        except KeyboardInterrupt:
            return 130
        return self.guard.code or self.return_code or 0

    async def run_async(self, *, headless: bool = False, **options: Any) -> Any:
        if headless:
            return await super().run_async(headless=True, **options)
        with self.guard:
            return await super().run_async(headless=False, **options)

    def get_default_screen(self) -> Screen[Any]:
        # With the classes of its size from the start, it is not styled a second time when it gets that size.
        sizes = ((self.size.width, self.HORIZONTAL_BREAKPOINTS), (self.size.height, self.VERTICAL_BREAKPOINTS))
        classes = [max(known for known in named if known[0] <= cells)[1] for cells, named in sizes if named]
        return MainScreen(id="_default", classes=" ".join(classes))

    def get_driver_class(self) -> type[Driver]:
        wanted = super().get_driver_class()
        return GuardedDriver if wanted is LinuxDriver else wanted

    def _leave(self, code: int) -> None:
        self.exit(return_code=code)

    def _hung_up(self) -> None:
        if isinstance(self._driver, GuardedDriver):
            self._driver.silent = True

    def _handle_exception(self, error: Exception) -> None:
        """Textual's own report prints every local variable, passwords among them, and lets escape sequences through."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        report = crash_report(error)
        _LOG.error("the application failed\n%s", report)
        self._exit_renderables.append(Text(report))
        self._close_messages_no_wait()

    # --- painting ---------------------------------------------------------------------------------------------------

    def _display(self, screen: Screen[Any], renderable: object) -> None:
        driver = self._driver
        pieces = pieces_of(renderable) if isinstance(renderable, CompositorUpdate) else None
        if pieces is None or not isinstance(driver, GuardedDriver) or self._batch_count or not self._running:
            if renderable is not None and isinstance(driver, GuardedDriver) and not self._batch_count:
                self.frame.forget()
            super()._display(screen, cast("RenderableType | None", renderable))
            return
        try:
            if self._closed:
                return
            if driver.backlog > _BACKLOG:
                self._repaint_later()
                return
            system = None if self.no_color else self.console._color_system
            changes = self.frame.paint(pieces, (self.size.width, self.size.height), system)
            x, y = self.screen.outer_size.clamp_offset(self.cursor_position)
            if changes:
                self._begin_update()
                driver.write(f"{changes}\x1b[{y + 1};{x + 1}H")
                self._end_update()
                driver.flush()
        finally:
            self.post_display_hook()

    async def taken(self) -> None:
        """Wait until the terminal has taken what was painted, and a moment for it to show that; a second at most.

        What is begun then, and holds Python's lock or a processor, delays neither the thread that writes nor the
        terminal. Without a terminal there is nothing to wait for.
        """
        driver = self._driver
        if isinstance(driver, GuardedDriver):
            for _ in range(_SHOWINGS):
                await asyncio.sleep(_SHOWING_S)
                if not driver.backlog:
                    break

    def _repaint_later(self) -> None:
        if not self._repaint_due:
            self._repaint_due = True
            self.set_timer(0.1, self._repaint)

    def _repaint(self) -> None:
        self._repaint_due = False
        self.screen.refresh()

    def get_line_filters(self) -> Sequence[LineFilter]:
        # Textual's answer to NO_COLOR is grey truecolor; the frame leaves all colours out instead.
        return [entry for entry in super().get_line_filters() if not isinstance(entry, (Monochrome, NoColor))]

    def on_driver_signal_resume(self) -> None:
        """Somebody let us go on (fg): nothing of what we painted is there any more."""
        self.action_redraw()

    def action_redraw(self) -> None:
        """Paint everything anew, after something else wrote on the terminal."""
        self.frame.forget()
        self.screen.refresh()

    def action_help_quit(self) -> None:
        """Ctrl+C says what a second one does: it leaves at once, and what is being applied goes on at its server."""
        now = time.monotonic()
        if now - self._interrupted_at <= _INTERRUPT_AGAIN_S:
            self.exit(return_code=128 + signal.SIGINT)
            return
        self._interrupted_at = now
        self.say("ctrl+c again leaves")

    def action_next_theme(self) -> None:
        """Go to the next of `themes.NAMES`."""
        known = NAMES.index(self.theme) if self.theme in NAMES else -1
        self.theme = NAMES[(known + 1) % len(NAMES)]
        self.say(f"Theme: {self.theme}")

    # --- words ------------------------------------------------------------------------------------------------------

    def say(self, message: str, severity: SeverityLevel = "information") -> None:
        """Tell the user something in passing."""
        self.notify(message, severity=severity)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """As in Textual, but the text is never read as markup, whatever `markup` says."""
        super().notify(
            sanitise(message, 2000),
            title=sanitise(title, 200),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def copy(self, text: str, what: str) -> bool:
        """Put `text` on the user's clipboard through the terminal, and say so; `what` names it ("query text")."""
        sequence = clipboard_sequence(text, os.environ)
        length = size(len(text.encode("utf-8", "replace")))
        if sequence is None:
            self.say(
                f"Not copied: the {what} is {length}, and terminals take about 55 kB. Export it instead (e)", "warning"
            )
            return False
        self._clipboard = text
        self.ring(sequence)
        self.say(f"Copied the {what} ({length})")
        return True

    def ring(self, sequence: str) -> None:
        """Write what is for the terminal, or the browser, itself: a bell, a message of the desktop, the clipboard."""
        if isinstance(self._driver, GuardedDriver):
            self._driver.pass_on(sequence)
        elif self._driver is not None and self._driver.is_web:
            self._driver.write(sequence)

    def on_page_copied(self, event: Page.Copied) -> None:
        self.copy(event.text, "text")

    def copy_to_clipboard(self, text: str) -> None:
        self.copy(text, "selection")


def crash_report(error: BaseException) -> str:
    """What failed and where, without any variable's value, safe to print."""
    lines = "".join(traceback.format_exception(error))
    return mask_secrets(sanitise(f"meshag stopped because of an error.\n\n{lines}", 20_000))


def pieces_of(update: CompositorUpdate) -> list[Piece] | None:
    """The strips of one of Textual's updates with their places; None for a kind we do not know."""
    if isinstance(update, LayoutUpdate):
        x, top = update.region.x, update.region.y
        return [
            (top + n, x, [segment for strip in cast("Iterable[Iterable[Segment]]", line) for segment in strip])
            for n, line in enumerate(update.strips)
        ]
    if isinstance(update, ChopsUpdate):
        return list(_chop_pieces(update))
    return None


def _chop_pieces(update: ChopsUpdate) -> Iterable[Piece]:
    for y, x1, x2 in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x < x2 and end > x1:
                yield y, x, list(strip)
