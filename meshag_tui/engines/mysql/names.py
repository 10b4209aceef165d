"""Names of indexes that somebody gave: free, and such as the server keeps as they are."""

from __future__ import annotations

from collections.abc import Collection

from meshag_tui.engines.base import Refused

MAX_NAME = 64
"""Characters, not bytes, in a name."""
_RESERVED = ("primary", "gen_clust_index")


def checked_name(name: str, taken: Collection[str]) -> str:
    """The name, if it can be used; `taken` are in lower case. Raises Refused."""
    if not name.strip() or "\0" in name or name != name.rstrip() or any(ord(sign) > 0xFFFF for sign in name):
        raise Refused("The index needs a name, without signs beyond U+FFFF and without a blank at its end")
    if len(name) > MAX_NAME:
        raise Refused(f"The name is longer than {MAX_NAME} characters")
    if name.lower() in _RESERVED:
        raise Refused(f"The name {name} is the server's own")
    if name.lower() in taken:
        raise Refused(f"The name {name} is taken")
    return name
