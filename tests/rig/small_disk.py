"""A disk of a few megabytes for tests that fill one: a tmpfs in place of a folder. Only root may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisks:
    """Mounts small disks, and takes them away after the test."""

    def __init__(self) -> None:
        self._mounted: list[Path] = []

    def replace(self, folder: Path, room_mb: int) -> None:
        """Put a disk in the place of a folder, with what is in it, of the same owner, and `room_mb` MB to spare."""
        aside = folder.with_name(f"{folder.name}.aside")
        folder.rename(aside)
        folder.mkdir(mode=0o700)
        used = sum(path.lstat().st_blocks * 512 for path in aside.rglob("*")) // 1_000_000 + 1
        options = f"size={used + room_mb}m,mode=700"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            folder.rmdir()
            aside.rename(folder)
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        self._mounted.append(folder)
        owner = aside.stat()
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        os.chown(folder, owner.st_uid, owner.st_gid)
        shutil.rmtree(aside)

    def close(self) -> None:
        """Unmount them, though files on them may still be open."""
        for folder in self._mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.fixture
def small_disks() -> Iterator[SmallDisks]:
    """See `SmallDisks`. Ask for it before the server that is to stand on one, so that the server ends first."""
    disks = SmallDisks()
    yield disks
    disks.close()
