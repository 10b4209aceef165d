"""Fixtures of every test: real servers, empty stores, a language model that says what it is told."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from meshag_tui import glyphs

pytest_plugins = [
    "tests.rig.places",
    "tests.rig.postgres",
    "tests.rig.stores",
    "tests.rig.mysql",
    "tests.rig.small_disk",
    "tests.rig.llm",
    "tests.rig.commands",
    "tests.rig.long_run",
]


def pytest_collection_finish() -> None:
    """What was loaded until now stays: to look at it again and again for garbage is a quarter of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.Tested, pytest.Tested]:
    """In CI nothing is skipped: there a skip is a failure that names its reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(params=[False, True], ids=["unicode", "ascii"])
def drawing(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Both sets of characters; True: ASCII."""
    glyphs.use_ascii(request.param)
    yield request.param
    glyphs.use_ascii(None)
