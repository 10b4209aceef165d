"""The look of a pane or a view, in a `.tcss` file beside its module.

It is read and parsed with the first of its kind: the first screen does not wait for the looks of all others.
"""

from __future__ import annotations

from pathlib import Path


def look_of(module: str) -> str:
    """The style sheet beside a module, given its `__file__`, for a widget's `DEFAULT_CSS` with `SCOPED_CSS = False`."""
    return Path(module).with_suffix(".tcss").read_text(encoding="utf-8")
