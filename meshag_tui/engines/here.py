"""What can be known of a server's machine when it is this one, which no server tells: the room on its disks.

In: a target, a folder the server named. Out: whether that is this machine, and bytes.
"""

from __future__ import annotations

import os

from meshag_tui.types import Target, is_loopback


def is_local(target: Target) -> bool:
    """Whether the server runs on this machine, so that its folders and cores are ours to look at."""
    return target.proxy is None and is_loopback(target.host)


def free_bytes(folder: str) -> int | None:
    """Bytes an ordinary user may still write where the folder is; None where it cannot be looked at."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def megabytes(size: int) -> str:
    """Bytes as a gate shows them, so that value and limit are in one unit."""
    return f"{size / 1024 / 1024:.0f} MB"
