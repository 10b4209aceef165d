"""Bring a MySQL server, and a later MariaDB than the machine's own, into the test environment.

Debian has MySQL in its unstable suite only, and each suite one MariaDB. apt resolves, verifies and downloads the server
and its libraries from the mirror that this machine's own sources name, with a private state and an empty list of
installed packages; the packages are unpacked under `<environment>/servers/mysql` (`mariadb`), and the server runs
through the unpacked loader with the unpacked libraries. Nothing is installed, and no account of root's is needed.
`installation()` is what was brought, or what the machine has of that kind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from meshag_tui.servers.mysqld import MARIADB, MYSQL, Installation, find
from meshag_tui.servers.place import ServerUnavailable
from tests.rig.places import FETCHED

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# What the package wants for its scripts, which are not run here; said to be there already, it is not downloaded.
_NOT_NEEDED = ("perl", "perl-base", "adduser", "debconf", "passwd", "psmisc", "init-system-helpers")
_INSTALLED = (
    "Package: {}\nStatus: install ok installed\nArchitecture: {}\nMulti-Arch: allowed\nVersion: 99\n"
    "Maintainer: nobody\nDescription: none\n\n"
)
# Of the packages' files, what a server that reads and writes tables has no use for.
_LEFT_OUT = ("./usr/share/doc*", "./usr/share/man*", "./usr/share/locale*", "./usr/bin/*", "./usr/share/icu*")


class Skipped(Exception):
    """Why a server cannot be had here."""


@dataclass(frozen=True)
class Source:
    """A server to bring: what it is, its least version, and where Debian has it."""

    flavour: str
    least: tuple[int, ...]
    suite: str
    package: str
    program: str
    share: str

    @property
    def title(self) -> str:
        return f"{self.flavour} {'.'.join(map(str, self.least))} or later"

    @property
    def place(self) -> Path:
        return FETCHED / self.share


ANY_MYSQL = Source(MYSQL, (8, 0), "sid", "mysql-server-core", "mysqld", "mysql")
LATER_MARIADB = Source(MARIADB, (11, 4), "trixie", "mariadb-server-core", "mariadbd", "mariadb")


def installation(source: Source) -> Installation:
    """The server to test with, of MySQL the one that TEST_MYSQLD names; ServerUnavailable if there is none."""
    named = os.environ.get("TEST_MYSQLD")
    if named and source is ANY_MYSQL:
        return Installation.of(named)
    if (source.place / "version").exists():
        return _unpacked(source, source.place)
    with contextlib.suppress(ServerUnavailable):
        found = find(source.flavour)
        if tuple(map(int, found.version.split("."))) >= source.least:
            return found
    raise ServerUnavailable(f"{source.title} is not on this machine (tests/run says why)")


def fetch(source: Source) -> None:
    """Put a server in its place, unless it is there or the machine has one; Skipped says why that cannot be done."""
    try:
        installation(source)
        return
    except ServerUnavailable:
        pass
    if shutil.which("apt-get") is None or not KEYRING.exists():
        raise Skipped(f"without Debian's apt there is no package to take it from: install {source.title}")
    FETCHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FETCHED) as folder:
        apt, root = Path(folder, "apt"), Path(folder, "root")
        _unpack(_download(source, apt), root)
        try:
            version = _unpacked(source, root).version
        except ServerUnavailable as error:
            raise Skipped(str(error)) from None
        (root / "version").write_text(version)
        shutil.rmtree(source.place, ignore_errors=True)
        root.chmod(0o755)
        root.rename(source.place)


def _download(source: Source, apt: Path) -> list[Path]:
    """The packages, checked by apt against the archive's signature."""
    for part in ("etc/parts", "etc/trusted", "lists/partial", "archives/partial", "log"):
        (apt / part).mkdir(parents=True)
    architecture = _said("dpkg", "--print-architecture")
    (apt / "status").write_text("".join(_INSTALLED.format(name, architecture) for name in _NOT_NEEDED))
    (apt / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {source.suite} main\n")
    settings = {
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt,
        "Dir::Cache::archives": apt / "archives",
        "Dir::Log": apt / "log",
        "Dir::Etc::sourcelist": apt / "etc/sources.list",
        "Dir::Etc::sourceparts": apt / "etc/parts",
        "Dir::Etc::preferencesparts": apt / "etc/parts",
        "Dir::Etc::trustedparts": apt / "etc/trusted",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    for words in (("update",), ("--yes", "--download-only", "install", source.package)):
        done = subprocess.run(
            ["apt-get", "--quiet=2", *options, *words], capture_output=True, text=True, timeout=900, check=False
        )
        if done.returncode:
            raise Skipped(f"apt-get {words[0]} failed: {' '.join(done.stderr.split())[-300:]}")
    return sorted((apt / "archives").glob("*.deb"))


def _mirror() -> str:
    """The Debian mirror of this machine's apt sources."""
    listed = _said("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main")
    for address in listed.split():
        if address.rstrip("/").endswith("/debian"):
            return address
    raise Skipped("no Debian mirror in this machine's apt sources")


def _unpack(packages: list[Path], root: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):  # where some packages ship /lib and some /usr/lib, both are one
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    unpack = [
        "tar",
        "-x",
        "-C",
        str(root),
        "--keep-directory-symlink",
        "--no-same-owner",
        *(f"--exclude={n}" for n in _LEFT_OUT),
    ]
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as read:
            done = subprocess.run(unpack, stdin=read.stdout, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode or read.returncode:
            raise Skipped(f"{package.name} cannot be unpacked: {done.stderr.strip()[-200:]}")


def _unpacked(source: Source, root: Path) -> Installation:
    """The server under `root`."""
    loader = next((root / "usr").glob("lib*/ld-linux-*"), None) or next(root.glob("usr/lib/*/ld-linux-*"), None)
    if loader is None:
        raise ServerUnavailable(f"there is no loader in {root}")
    usr = root / "usr"
    libraries = [str(path) for path in (*usr.glob("lib/*-linux-gnu*"), usr / "lib/mysql/private")]
    share = usr / "share" / source.share
    options = (
        f"--basedir={usr}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={usr / 'lib/mysql/plugin'}",
    )
    words = (str(loader), "--library-path", os.pathsep.join(libraries), str(usr / "sbin" / source.program))
    return Installation.of(*words, options=options)


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
