"""The advisor's watched database, and a model beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.advisor.conftest import connect, watch
from tests.rig.llm import FakeLlm

__all__ = ["connect", "watch"]


@pytest.fixture
def second_llm() -> Iterator[FakeLlm]:
    """Another model, at another address."""
    fake = FakeLlm()
    yield fake
    fake.close()
