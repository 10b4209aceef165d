"""Who runs an execution: a name that another process on the same machine can tell dead from alive.

After a `kill -9` the lease must run out before another machine may take over; on the same machine nobody has to wait.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
from pathlib import Path


def this_process() -> str:
    """host:pid:start:place:chance, where place stands for the boot and the pid namespace (empty where unknown)."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}:{_place()}:{secrets.token_hex(3)}"


def is_dead(owner: str) -> bool:
    """True if `owner` was a process of this machine, since its last start, that is no more; False when in doubt."""
    parts = owner.split(":")
    if len(parts) != 5 or not parts[1].isdigit() or not parts[3] or parts[3] != _place():
        return False
    return _started(int(parts[1])) != parts[2]


def _started(pid: int) -> str:
    """When a process began, in ticks since boot: a number used again is not the same process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


@functools.cache
def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:8]}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
