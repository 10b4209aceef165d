"""Fixtures of every test: real servers, empty stores, a language model that says what it is told."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

pytest_plugins = [
    "tests.rig.places",
    "tests.rig.postgres",
    "tests.rig.mysql",
    "tests.rig.small_disk",
    "tests.rig.llm",
    "tests.rig.commands",
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped: there a skip is a failure that names its reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
