"""The mark that every statement of ours carries, so that whoever finds one on a server knows whose it is."""

from __future__ import annotations

import re

MARKER = "/* meshag */"

_FIRST_WORD = re.compile(rb"\s*(?:--[^\n]*\n\s*)*[(\s]*[A-Za-z]+")


def marked(text: bytes) -> bytes:
    """The statement with our marker after its first word: comments before the first word are not always kept."""
    mark = MARKER.encode()
    if mark in text[:200]:
        return text
    found = _FIRST_WORD.match(text)
    return text if found is None else text[: found.end()] + b" " + mark + text[found.end() :]
