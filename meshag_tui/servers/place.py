"""Where and as whom a server of our own runs: a folder, a free port, an account without privileges."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from meshag_tui.types import MeshagError

_LONGEST_SOCKET_PATH = 107
_UNPRIVILEGED = ("nobody", "postgres", "mysql", "daemon")


class ServerUnavailable(MeshagError):
    """There are no server binaries, or they cannot run here; the text says what to do."""


def unprivileged() -> pwd.struct_passwd:
    """The account that root lends to a server; ServerUnavailable if there is none."""
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerUnavailable("root needs an account without privileges to run a server, such as nobody; there is none")


def as_account(account: pwd.struct_passwd) -> dict[str, Any]:
    """Arguments by which subprocess starts a program as `account`; root's alone."""
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def everybody_can_run(program: Path) -> bool:
    """Whether any account may reach and execute `program`: not so in a virtual environment under a 0700 home."""
    real = program.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (real, *real.parents))


def temporary_folder(longest_socket: str) -> Path:
    """The system's temporary folder, or /tmp where that is too long for a socket or closed to the server.

    `longest_socket` is the longest name the server makes in its socket folder.
    """
    folder = Path(tempfile.gettempdir())
    too_long = len(f"{folder}/meshag-run-xxxxxxxx/s/{longest_socket}") > _LONGEST_SOCKET_PATH
    if too_long or (os.geteuid() == 0 and not everybody_can_run(folder)):
        return Path("/tmp")  # noqa: S108
    return folder


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
