"""Identifiers people see: a prefix that names the kind, and text that sorts by the time it was made."""

from __future__ import annotations

import threading
import time

from meshag_tui.types import UsageError

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_RANDOM_BITS = 35
_lock = threading.Lock()
_last = 0


def new(prefix: str) -> str:
    """A new identifier such as `con_1m8x2rs9k04t7wqz`: nine characters of time (ms), seven of chance.

    Identifiers of one process always ascend; those of several processes sort by their clocks.
    """
    import secrets

    global _last
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        value = _last = max(value, _last + 1)
    return f"{prefix}_{''.join(_DIGITS[value >> shift & 31] for shift in range(75, -1, -5))}"


def query_uid(query_id: int) -> str:
    """The name of a query: 42 is `qry_0000000042`."""
    return f"qry_{query_id:010d}"


def query_id(uid: str) -> int:
    """The number in a query's name; the bare number is taken too. UsageError if it is neither."""
    digits = uid.removeprefix("qry_")
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"{uid!r} is not the name of a query: write it as in qry_0000000042")
    return int(digits)
