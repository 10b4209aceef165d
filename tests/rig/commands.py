"""The `meshag` command, started without loading it each time: a process that has everything loaded forks for each one.

What runs is a process of its own, with its own streams, environment, signals, exit and interpreter shutdown; only the
half second of imports is shared. A test of the start itself (arguments in the process list, what is imported, the
encoding of the streams) starts the real thing instead.

    def test_it(commands):
        ended = commands.run(["sync", "shop"], environment, "typed in\n", timeout_s=60)
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
STREAMS = 3


class Commands:
    """The process that forks. It ends with its owner: its end of the socket closes."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mc-")
        place = Path(self._folder.name) / "s"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(place))
        self._listening.listen()
        self._place = str(place)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._listening.fileno())],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            pass_fds=[self._listening.fileno()],
        )

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self._process.terminate()
        self._process.communicate()
        self._folder.cleanup()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str, timeout_s: float
    ) -> tuple[int, str, str]:
        """Run one command to its end: its exit code (negative for a signal), what it wrote to stdout and stderr."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self._place)
                connection.settimeout(timeout_s)
                wanted = json.dumps([list(arguments), dict(environment), os.getcwd()]).encode()
                socket.send_fds(connection, [b"s"], [given.fileno(), out.fileno(), err.fileno()])
                connection.sendall(wanted + b"\n")
                with connection.makefile("rb") as answers:
                    pid = int(answers.readline())
                    try:
                        code = int(answers.readline())
                    except TimeoutError:
                        os.kill(pid, signal.SIGKILL)
                        raise
            return code, _text(out), _text(err)


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """The process that the session's commands are forked from."""
    with Commands() as commands:
        yield commands


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(listening: socket.socket) -> None:
    """Fork for every connection. Returns only in the process that is to become a command."""
    import meshag_tui

    for module in pkgutil.walk_packages(meshag_tui.__path__, "meshag_tui."):
        if module.name.split(".")[1] in ("cli", "store", "workflows", "engines", "advisor", "agents", "changes"):
            importlib.import_module(module.name)
    # Else each command looks at all of it for garbage as it ends, and copies the memory by that: 0.15 s each.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            if _become_a_command(connection):
                return
        connection.close()


def _become_a_command(connection: socket.socket) -> bool:
    """Fork once more: true in the command, while the other waits for its end, tells it and is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, STREAMS)
    with connection.makefile("rb") as asked:
        arguments, environment, folder = json.loads(asked.readline())
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        connection.sendall(b"%d\n" % pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(b"%d\n" % code)
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["meshag", *arguments]
    return True


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    from meshag_tui.__main__ import main

    sys.exit(main())
