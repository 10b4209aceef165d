"""Folders for one test: a short one for sockets, and a home so that no test sees the user's files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# What the user's shell may hold and a test must not see.
STRAY = ("MESHAG_", "OPENAI_", "NO_COLOR", "XDG_", "PG")


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """An empty folder with a short path (socket paths end at 107 bytes) that other accounts may enter."""
    path = Path(tempfile.mkdtemp(prefix="mt-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clean_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MESHAG_HOME in an empty folder (returned), MESHAG_STORE a file in it, and no key of the user's in sight."""
    for name in os.environ:
        if name.startswith(STRAY):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MESHAG_HOME", str(home / "meshag"))
    monkeypatch.setenv("MESHAG_STORE", str(home / "meshag" / "store.db"))
    return home / "meshag"
