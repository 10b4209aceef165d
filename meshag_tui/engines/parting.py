"""Several statements in one text, as a change shows them: parted by a semicolon and the end of its line."""

from __future__ import annotations

from collections.abc import Iterable


def parted(words: Iterable[str]) -> tuple[str, ...]:
    """The statements of a text that was cut into tokens: a semicolon in a name or a constant parts nothing."""
    found, ended = [""], False
    for word in words:
        if ended and word.startswith("\n"):
            found[-1] = found[-1].removesuffix(";")
            found.append(word.lstrip("\n"))
        else:
            found[-1] += word
        ended = word == ";"
    return tuple(found)
