"""The advisor's watched database, and a model beside it."""

from __future__ import annotations

from tests.advisor.conftest import connect, watch

__all__ = ["connect", "watch"]
