"""Relation files as long as those of a large table, without its data: holes that take no room on the disk.

The planner asks how long a file is and, of a B-tree, how deep it is; it reads nothing else. So a file is stretched by
a hole, and a B-tree is given one page a level down to an empty leaf, which a look-up of its ends finds empty. The
server must not hold the first page of a changed file in memory: it is stopped, or the index is new.
"""

from __future__ import annotations

import math
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

PAGE = 8192
SEGMENT = 131_072
"""Pages in one file; a longer relation goes on in .1, .2, …"""
_SPECIAL = PAGE - 16
_META = 24
_MAGIC = 0x053162
_LEAF, _ROOT = 1, 2
_ALT_TID = 0x2000  # of a tuple that points to a page below


def stretch(path: Path, pages: int, own: Callable[[Path], None]) -> None:
    """Make the relation at `path` this many pages long; shorter ones are never cut.

    Args:
        own: gives a new file to the account of the server.

    Raises:
        OSError: the file system does not take such a length.
    """
    for number in range(max(1, math.ceil(pages / SEGMENT))):
        part = path if number == 0 else path.with_name(f"{path.name}.{number}")
        if not part.exists():
            part.touch(mode=0o600)
            own(part)
        wanted = min(SEGMENT, pages - number * SEGMENT) * PAGE
        if part.stat().st_size < wanted:
            os.truncate(part, wanted)


def shrink(path: Path) -> None:
    """Make the relation look empty until it is stretched again; only its first file counts for that."""
    os.truncate(path, 0)


def depth(pages: int, entry_bytes: float) -> int:
    """Levels of a B-tree above its leaves, from its length and the size of an entry."""
    fan_out = max(4.0, _SPECIAL * 0.7 / (max(16.0, entry_bytes) + 4))
    levels, wide = 0, float(pages - 1)
    while wide > 1:
        wide = math.ceil(wide / fan_out)
        levels += 1
    return levels


def shares_repeats(path: Path) -> bool:
    """Whether the B-tree at `path` keeps equal keys once, as the server noted when it was made."""
    with path.open("rb") as file:
        meta = file.read(PAGE)
    return _is_meta(meta) and bool(meta[_META + 40])


def deepen(path: Path, levels: int) -> None:
    """Give the empty B-tree at `path` so many levels above its leaf."""
    with path.open("r+b") as file:
        meta = bytearray(file.read(PAGE))
        if not _is_meta(meta) or sys.byteorder != "little":
            return
        struct.pack_into("=IIII", meta, _META + 8, 1, levels, 1, levels)  # root and its level, both twice
        file.seek(0)
        file.write(bytes(meta))
        for number in range(levels + 1):
            file.write(_page(levels - number, below=number + 2, top=number == 0))


def _is_meta(page: bytes | bytearray) -> bool:
    return len(page) == PAGE and struct.unpack_from("=I", page, _META)[0] == _MAGIC


def _page(level: int, below: int, top: bool) -> bytes:
    """A page of a B-tree, alone on its level: a leaf without entries, or one way down."""
    page = bytearray(PAGE)
    lower, upper = 24, _SPECIAL
    if level:
        upper -= 8
        struct.pack_into("=HHHH", page, upper, below >> 16, below & 0xFFFF, 0, _ALT_TID | 8)
        struct.pack_into("=I", page, lower, upper | 1 << 15 | 8 << 17)
        lower += 4
    struct.pack_into("=HHHHI", page, 12, lower, upper, _SPECIAL, PAGE | 4, 0)
    flags = (_ROOT if top else 0) | (0 if level else _LEAF)
    struct.pack_into("=IIIHH", page, _SPECIAL, 0, 0, level, flags, 0)
    return bytes(page)
