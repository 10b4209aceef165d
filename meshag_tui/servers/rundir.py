"""A private folder for a server of our own that never outlives the process that made it.

In: a name. Out: a `RunDirectory` under the system's temporary folder. Three things take it away again: `remove()`;
a guard process (a shell that waits on a pipe) when the owner ends in any other way, `kill -9` included; and, should
the guard have been killed as well, `sweep()` at the next start.

The guard is a pipe and not PR_SET_PDEATHSIG because that signal is sent when the starting *thread* ends, exists on
Linux only and leaves the folder behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "meshag-run-"
OWNER_FILE = "owner.json"
DATA = "data"

# PostgreSQL ends at once on the first, MySQL and MariaDB ignore it and end on the second.
_END = (signal.SIGINT, signal.SIGTERM)

# Started with the folder as $1. End of file on standard input means that the owner is gone.
_GUARD = f"""
trap '' HUP INT TERM
read -r word
[ "$word" = released ] && exit 0
file=$(ls "$1/{DATA}/"*.pid 2>/dev/null | head -n 1)
pid=$([ -z "$file" ] || head -n 1 "$file")
if [ -n "$pid" ]; then
    kill -INT "$pid" 2>/dev/null
    kill -TERM "$pid" 2>/dev/null
    tries=0
    while [ -e "$file" ] && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null
fi
tries=0
while [ -e "$1" ] && [ "$tries" -lt 20 ]; do rm -rf -- "$1" 2>/dev/null; tries=$((tries + 1)); sleep 0.1; done
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Which process a folder belongs to; the start time and the name space tell a reused pid apart."""

    pid: int
    started: str
    namespace: str

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The owner record of a running process (fields the system does not show are empty)."""
        return cls(pid, _start_time(pid), _pid_namespace())

    def alive(self) -> bool:
        """Whether that very process still runs; a process we cannot see counts as running."""
        if self.namespace != _pid_namespace():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return self.started == _start_time(self.pid)


class RunDirectory:
    """A fresh folder with a guard. `path` may be entered but not listed by others (mode 0711)."""

    def __init__(self, base: Path | None = None) -> None:
        """Make the folder under `base` (default: the temporary folder) and start its guard."""
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        self.path.chmod(0o711)
        owner = Owner.of(os.getpid())
        record = {"pid": owner.pid, "started": owner.started, "namespace": owner.namespace}
        (self.path / OWNER_FILE).write_text(json.dumps(record), encoding="ascii")
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "meshag-guard", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def remove(self) -> None:
        """Delete the folder and let the guard go; safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._guard.stdin and not self._guard.stdin.closed:
            word = b"" if self.path.exists() else b"released\n"  # what we could not delete, the guard tries again
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(word)
                self._guard.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
            try:
                self._guard.wait(15)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                self._guard.wait()


def sweep(base: Path | None = None) -> list[Path]:
    """Remove folders whose owner is dead, ending a server that still runs in one; returns what was removed."""
    removed = []
    for path in sorted(Path(base or tempfile.gettempdir()).glob(f"{PREFIX}*")):
        try:
            if path.stat().st_uid != os.geteuid() or _in_use(path):
                continue
        except OSError:  # another process is sweeping too
            continue
        _end_server(path / DATA)
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            removed.append(path)
    return removed


def _in_use(path: Path) -> bool:
    try:
        return Owner(**json.loads((path / OWNER_FILE).read_text(encoding="ascii"))).alive()
    except (FileNotFoundError, ValueError, TypeError):
        return time.time() - path.stat().st_mtime < 60  # perhaps being made just now


def _end_server(data: Path) -> None:
    """Stop the server that still runs in `data`; a pid file whose process works elsewhere is only a stale file."""
    try:
        pid_file = next(data.glob("*.pid"))
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        if Path(f"/proc/{pid}/cwd").resolve(strict=True) != data.resolve():
            return
        for word in _END:
            os.kill(pid, word)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if not pid_file.exists():  # the last thing a server takes away
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError, StopIteration):
        return


def _start_time(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
