"""Runs one command and turns its end into an exit code: 0 done, 1 failed with one line, 2 wrong usage, 77 an access key
that is refused.

Expected errors (MeshagError) are one line on stderr; anything else is one line that names the log, where its traceback
is. With --json a failure is a document too: {"error": {"code", "message", "fix"}}.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.alone import ALONE, WrongWords

if TYPE_CHECKING:
    import argparse

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def run(arguments: list[str]) -> int:
    """Parse and run `arguments` (without the program's name); the exit code."""
    try:
        try:
            _check_streams()
            args = _parse(arguments)
        except SystemExit as end:  # --help, --version: argparse has printed; or there is nowhere to print
            _flush()
            return end.code if isinstance(end.code, int) else FAILED
        except WrongWords as wrong:
            code = _wrong_words(wrong, "--json" in arguments)
            _flush()
            return code
        code = _run(args, arguments)
        _flush()
        return code
    except BrokenPipeError:  # the reader, `head` perhaps, has enough
        _discard_output()
        return FAILED
    except OSError as error:  # stdout on a full disk
        _discard_output()
        _say(f"The output cannot be written: {error.strerror}")
        return FAILED


def _parse(arguments: list[str]) -> argparse.Namespace | SimpleNamespace:
    if not arguments:
        return SimpleNamespace(**ALONE)
    from meshag_tui.cli import parser

    return parser.build(arguments).parse_args(parser.spelled_out(arguments))


def _wrong_words(wrong: WrongWords, as_json: bool) -> int:
    if as_json:
        from meshag_tui.cli.output import Output

        Output(True).document({"error": {"code": "usage", "message": str(wrong), "fix": None}})
    with contextlib.suppress(OSError):  # nobody is left to tell
        if sys.stderr is not None:
            sys.stderr.write(f"{wrong.usage}{wrong}\n")
            sys.stderr.flush()
    return WRONG_USAGE


def _run(args: argparse.Namespace | SimpleNamespace, arguments: list[str]) -> int:
    import logging

    from meshag_tui import logs, upgrading
    from meshag_tui.cli.output import Output
    from meshag_tui.settings import load
    from meshag_tui.types import MeshagError, UsageError

    output = Output(args.json)
    settings = None
    try:
        _protect_process(arguments)
        args.settings = settings = load(store=args.store, read_only=args.read_only, plain=args.plain)
        logs.set_up(settings)
        module, name = args.command.split(":")
        if args.command != ALONE["command"]:  # the screens say it themselves
            upgrading.listen(lambda step: output.note(f"meshag: {step}"))
        function: Callable[..., Any] = getattr(importlib.import_module(f"meshag_tui.cli.{module}"), name)
        answer = function(args, output)
        code = _run_async(answer) if hasattr(answer, "__await__") else answer
        return DONE if code is None else int(code)
    except UsageError as error:
        _report(output, "usage", str(error))
        return int(getattr(error, "exit_code", WRONG_USAGE))
    except MeshagError as error:
        code, fix = str(getattr(error, "code", None) or "failed"), getattr(error, "fix", None)
        if code == "internal" and settings is not None:  # a workflow failed unexpectedly and has logged it
            fix = f"see {settings.log_file}"
        logging.getLogger("meshag").warning("%s failed: %s", args.command, error)
        _report(output, code, str(error), fix)
        return int(getattr(error, "exit_code", FAILED))
    except _Stopped as stop:
        return 128 + stop.signal
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except Exception as error:  # the last net: a bug must end in one line, its traceback in the log
        if isinstance(error, OSError) and sys.stdout is not None and _stdout_failed(error):
            raise
        return _unexpected(output, settings, error)


class _Stopped(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        self.signal = number


def _run_async(answer: Coroutine[Any, Any, int | None] | Awaitable[int | None]) -> int | None:
    """Run a command's coroutine; SIGTERM and SIGHUP cancel it, so that what it holds is handed back."""
    import asyncio

    stopped: list[int] = []

    async def guarded() -> int | None:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            stopped.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        return await answer

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise _Stopped(stopped[0] if stopped else signal.SIGINT) from None


def _report(output: Any, code: str, message: str, fix: str | None = None) -> None:
    from meshag_tui.text import mask_secrets, one_line

    message = one_line(mask_secrets(message))
    if output.as_json:
        output.document({"error": {"code": code, "message": message, "fix": fix}})
    _say(f"{message} → {one_line(fix, newline=' ')}" if fix else message)


def _unexpected(output: Any, settings: Any, error: Exception) -> int:
    import logging

    from meshag_tui import logs

    place = logs.where(settings)
    if place is not None:
        logs.log_failure(logging.getLogger("meshag"), "The command failed unexpectedly", error)
    where = f"; the details are in {place}" if place is not None else ""
    _report(output, "internal", f"Unexpected error ({type(error).__name__}){where}")
    return FAILED


def _say(text: str) -> None:
    if sys.stderr is None:
        return
    from meshag_tui.text import one_line

    try:
        sys.stderr.write(f"meshag: {one_line(text)}\n")
        sys.stderr.flush()
    except OSError:
        return  # nobody is left to tell


def _check_streams() -> None:
    """A stream that cannot say a character writes its escape; a closed stdout is refused."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        _say("Standard output is closed: there is nowhere to print")
        raise SystemExit(WRONG_USAGE)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _stdout_failed(error: OSError) -> bool:
    try:
        sys.stdout.flush()
    except OSError as now:
        return now.errno == error.errno
    return False


def _discard_output() -> None:
    """Let the interpreter's last flush go nowhere instead of failing again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _protect_process(arguments: list[str]) -> None:
    """Files for their owner only, no core dump with passwords in it, and no password left in the process list."""
    import resource

    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if any("://" in argument for argument in arguments):
        from meshag_tui.cli.process_title import hide_passwords

        hide_passwords()
