"""Where tests put their files: in memory for the whole run; for one test a short folder for sockets, or a home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 6 << 30
"""What two workers with a server of every version may take at most, and as much again."""
RUN = "meshag-tests-"
FETCHED = Path(sys.prefix) / "servers"
"""Servers that tests/run brings."""
# What the user's shell may hold and a test must not see.
STRAY = ("MESHAG_", "OPENAI_", "NO_COLOR", "XDG_", "PG")


def pytest_configure(config: pytest.Config) -> None:
    """Let every temporary file of this run live in memory, where there is room and no other place was chosen.

    The tests make and drop hundreds of databases of hundreds of files each: half of their time, on a disk.
    """
    if hasattr(config, "workerinput") or "TMPDIR" in os.environ or not _programs_run_in(MEMORY):
        return  # a worker has it from the process that started it
    for left in MEMORY.glob(f"{RUN}*"):  # by a run that was killed
        if left.stat().st_uid == os.geteuid() and not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    if min(shutil.disk_usage(MEMORY).free, _available_bytes()) < ENOUGH_BYTES:
        return
    folder = tempfile.mkdtemp(prefix=f"{RUN}{os.getpid()}-", dir=MEMORY)
    Path(folder).chmod(0o711)  # as root, servers run under another account
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def _programs_run_in(folder: Path) -> bool:
    if not os.access(folder, os.W_OK):
        return False
    with tempfile.TemporaryDirectory(dir=folder) as name:
        program = shutil.copy("/bin/true", name)
        try:
            return subprocess.run([program], check=False).returncode == 0
        except OSError:  # mounted noexec
            return False


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


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
