"""Takes passwords out of this process's entry in the process list (Linux; elsewhere nothing happens).

`ps` reads the memory where the kernel put the arguments, so that is where they are overwritten. Between the start of
the process and this call they could be seen: --password-stdin has no such moment.
"""

from __future__ import annotations

import re

_USERINFO = re.compile(rb"(://[^\s:/@\0]*:)([^\0]*)(@[^@\0]*)")
_OPTION = re.compile(rb"([?&]password=)([^&\0]*)()")
_PROXY = re.compile(rb"([?&]proxy=[a-z0-9]+%3A%2F%2F(?:(?!%3A)[^&\0])*%3A)((?:(?!%40)[^&\0])*)(%40)", re.IGNORECASE)


def hide_passwords() -> bool:
    """Overwrite the passwords of URLs among the arguments with asterisks. True if anything was overwritten."""
    try:
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, counted after the name
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            given = memory.read(end - start)
            hidden = _PROXY.sub(_stars, _OPTION.sub(_stars, _USERINFO.sub(_stars, given)))
            if hidden == given or len(hidden) != len(given):
                return False
            memory.seek(start)
            memory.write(hidden)
            return True
    except (OSError, ValueError, IndexError):
        return False  # another system, or one that forbids it


def _stars(found: re.Match[bytes]) -> bytes:
    return found[1] + b"*" * len(found[2]) + found[3]
