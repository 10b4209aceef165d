"""The log file: `meshag.log` in MESHAG_HOME, mode 0600, rotated, with passwords masked as a last resort.

Nothing is ever logged to the terminal: a line on stderr would tear the screens. Tracebacks go here and nowhere else,
and they carry no local variables, which is where passwords live.
"""

from __future__ import annotations

import logging
import os
import threading
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from meshag_tui.settings import Settings
from meshag_tui.text import mask_secrets, sanitise
from meshag_tui.types import UsageError

MAX_BYTES = 5 * 2**20
KEPT_FILES = 3
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_NOISY = ("asyncio", "psycopg", "psycopg.pool", "peewee", "httpx2", "httpcore2", "openai", "markdown_it")


class _Masked(logging.Formatter):
    """One record as text: no password in it, no control character, tracebacks without locals."""

    def format(self, record: logging.LogRecord) -> str:
        return sanitise(mask_secrets(super().format(record)))


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner may read, and that notices when another process rotated it."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is not None and self._moved(self.stream):
                self.stream.close()
                self.stream = self._open()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def _moved(self, stream: TextIOWrapper) -> bool:
        try:
            return os.stat(self.baseFilename).st_ino != os.fstat(stream.fileno()).st_ino
        except OSError:
            return True

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not end the program, nor write on its screen: the record is lost."""


def set_up(settings: Settings) -> None:
    """Send the log of this process to its file, at the level of the settings (MESHAG_LOG, `log_level`).

    Raises:
        UsageError: an unknown level, or a file that cannot be written.
    """
    if settings.log_level not in _LEVELS:
        raise UsageError(f"The log level must be one of {', '.join(_LEVELS)}, not {settings.log_level}")
    root = logging.getLogger()
    for handler in [known for known in root.handlers if isinstance(known, _PrivateFile)]:
        root.removeHandler(handler)
        handler.close()
    try:
        file = _PrivateFile(settings.log_file, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The log {settings.log_file} cannot be written: {error.strerror}") from None
    file.setFormatter(_Masked("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root.addHandler(file)
    root.setLevel(settings.log_level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    threading.excepthook = _thread_failed


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else "a thread"
    log_failure(logging.getLogger("meshag"), f"{name} ended", failed.exc_value, failed.exc_traceback)


def log_failure(
    logger: logging.Logger, what: str, error: BaseException | None, trace: TracebackType | None = None
) -> None:
    """Write an unexpected error with its traceback, without locals."""
    if error is None:
        logger.error(what)
    else:
        logger.error(what, exc_info=(type(error), error, trace or error.__traceback__))


def where(settings: Settings | None) -> Path | None:
    """The log file of a process that got as far as its settings."""
    return None if settings is None else settings.log_file
