"""Whether the locale has more than ASCII to draw with."""

from __future__ import annotations

import pytest

from meshag_tui import glyphs


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, False), ({"LANG": "C"}, True), ({"LANG": "C.UTF-8"}, False), ({"LANG": "de_DE.utf8"}, False),
     ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True), ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
     ({"PYTHONIOENCODING": "ascii"}, True), ({"LC_CTYPE": "C.UTF-8"}, False)],
)  # fmt: skip
def test_the_locale_decides(environment: dict[str, str], wanted: bool) -> None:
    assert glyphs.wants_ascii(environment) is wanted
