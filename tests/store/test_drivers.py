"""Importing Peewee without its drivers, beside a thread that imports something else."""

from __future__ import annotations

import sys

import pytest

from meshag_tui.store import drivers


def test_the_finders_another_thread_goes_through_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list from which something is taken while it is gone through skips the entry that follows."""
    gone_through, before = sys.meta_path, list(sys.meta_path)
    seen: list[bool] = []

    def imported(name: str) -> None:
        seen.append(gone_through == before and sys.meta_path[1:] == before)

    monkeypatch.setattr(drivers.importlib, "import_module", imported)
    drivers.import_peewee()
    assert seen == [True]
    assert gone_through == before == sys.meta_path
