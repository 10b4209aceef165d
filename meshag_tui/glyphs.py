"""The characters we draw with: Unicode's, ASCII's where the locale has no other or the user wants them, or words alone.

Which set is in use is decided once a process. Every sign on a screen or a line comes from here, so that none is drawn
that a terminal cannot show.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple


class Glyphs(NamedTuple):
    """The characters we draw with; each has the same meaning in both sets."""

    ellipsis: str
    newline: str
    none: str
    micro: str
    separator: str
    cursor: str
    mark: str
    ascending: str
    descending: str
    ok: str
    bad: str
    unknown: str
    warning: str
    critical: str
    bar: str  # from a thin slice to a full cell
    spark: str  # from the lowest to the highest
    track: str
    gap: str
    branch: str
    last_branch: str
    trunk: str
    folded: str
    unfolded: str
    arrow: str


UNICODE = Glyphs(
    ellipsis="…",
    newline="↵",
    none="–",
    micro="µs",
    separator=" · ",
    cursor="▸",
    mark="●",
    ascending="▲",
    descending="▼",
    ok="✓",
    bad="✗",
    unknown="?",
    warning="▲",
    critical="◆",
    bar="▏▎▍▌▋▊▉█",
    spark="▁▂▃▄▅▆▇█",
    track=" ",
    gap="·",
    branch="├─",
    last_branch="└─",
    trunk="│ ",
    folded="▸",
    unfolded="▾",
    arrow="→",
)
ASCII = Glyphs(
    ellipsis="~",
    newline="|",
    none="-",
    micro="us",
    separator=" | ",
    cursor=">",
    mark="*",
    ascending="^",
    descending="v",
    ok="+",
    bad="x",
    unknown="?",
    warning="!",
    critical="X",
    bar="#",
    spark="_.-=+*%#",
    track=".",
    gap=" ",
    branch="|-",
    last_branch="`-",
    trunk="| ",
    folded="+",
    unfolded="-",
    arrow="->",
)

PLAIN = ASCII._replace(
    **dict.fromkeys(("cursor", "ok", "bad", "unknown", "warning", "critical", "gap"), " "),
    **dict.fromkeys(("branch", "last_branch", "trunk"), "  "),
    ellipsis="...",
    newline=" ",
    separator=", ",
    arrow=" to ",
    bar="",
    spark="",
)
"""For a screen reader: a word stands beside every sign anyway, so the signs are left out, and drawings are words."""


def wants_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the locale names a character set other than UTF-8.

    An environment that says nothing (a container) is taken for UTF-8: the terminal emulator in front of it is.
    """
    if environment.get("PYTHONIOENCODING", "").lower().startswith(("ascii", "us-ascii", "latin")):
        return True
    if environment.get("LANG") in ("C", "POSIX") and environment.get("LC_CTYPE") == "C.UTF-8":
        return True  # Python itself put LC_CTYPE there (PEP 538)
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if value := environment.get(name):
            return "utf" not in value.lower()
    return False


class _Drawing:
    """Which glyphs are in use, decided once a process: what the user wants beats the locale."""

    glyphs: Glyphs | None = None


def glyphs() -> Glyphs:
    """The set in use: Unicode, or ASCII where the locale or the user asks for it."""
    if _Drawing.glyphs is None:
        _Drawing.glyphs = ASCII if wants_ascii(os.environ) else UNICODE
    return _Drawing.glyphs


def use_ascii(wanted: bool | None) -> None:
    """Draw with ASCII (True), with Unicode (False), or as the locale says (None)."""
    _Drawing.glyphs = None if wanted is None else ASCII if wanted else UNICODE


def use_plain() -> None:
    """Say everything in words, for a screen reader."""
    _Drawing.glyphs = PLAIN
