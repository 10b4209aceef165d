"""MySQL and MariaDB servers of our own: the demo and the tests start theirs here.

In: an `Installation`, found on the machine by `find` or named by its program. Out: a running server in a private
folder, reachable over a Unix socket and a port of 127.0.0.1; gone with the process that started it. Reads no option
file, works as a plain user and as root (the server then runs as nobody), uses little memory, and does not care about
its data: what was written just before a power failure is lost.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

MYSQL, MARIADB = "MySQL", "MariaDB"
ADMIN = "app"

_SOCKET = "mysqld.sock"
_PID_FILE = "server.pid"
_PROGRAMS = {MARIADB: ("mariadbd", "mysqld"), MYSQL: ("mysqld",)}
_FOLDERS = ("/usr/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/homebrew/bin", "/usr/local/bin")

# Option name: value, None for an option without one. A server whose data may be lost with the machine.
_SETTINGS: Mapping[str, str | None] = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": None,
    "max-connections": "80",
    "table-open-cache": "400",
    "table-definition-cache": "800",
    "key-buffer-size": "1M",
    "innodb-buffer-pool-size": "64M",
    "innodb-flush-log-at-trx-commit": "2",  # what was committed survives kill -9
    "innodb-flush-method": "nosync",
    "innodb-doublewrite": "0",
    "performance-schema": "ON",
}
_SETTINGS_OF: Mapping[str, Mapping[str, str | None]] = {
    MYSQL: {"mysqlx": "OFF", "skip-log-bin": None, "secure-file-priv": "NULL", "loose-innodb-redo-log-capacity": "64M"},
    MARIADB: {"loose-innodb-log-file-size": "32M", "aria-pagecache-buffer-size": "8M"},
}
# What MariaDB's own script feeds to --bootstrap, in order; later versions begin the names with mariadb.
_SYSTEM_TABLES = ("system_tables.sql", "performance_tables.sql", "system_tables_data.sql", "sys_schema.sql")


@dataclass(frozen=True, slots=True)
class Installation:
    """Server binaries: `flavour` "MySQL" or "MariaDB", the words of `command` that start it, `version` as "9.7.4".

    `options` are what the program must be told to find its own files.
    """

    flavour: str
    command: tuple[str, ...]
    version: str
    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, *command: str, options: Sequence[str] = ()) -> Installation:
        """What the server program at the end of `command` is; ServerUnavailable if it does not run here."""
        words = [*command, "--no-defaults", "--version"]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, cwd="/")
        except OSError as error:
            raise ServerUnavailable(f"{command[-1]} does not run here: {error.strerror}") from None
        found = re.search(r"Ver (\d+\.\d+\.\d+)", done.stdout)
        if not found:
            raise ServerUnavailable(f"{command[-1]} does not run here: {done.stderr.strip()[-300:]}")
        return cls(MARIADB if "MariaDB" in done.stdout else MYSQL, command, found.group(1), tuple(options))

    @property
    def program(self) -> Path:
        """The server program itself."""
        return Path(self.command[-1])


def find(flavour: str) -> Installation:
    """The server of a flavour that is on this machine; ServerUnavailable, and what to do, if there is none."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_FOLDERS))
    for name in _PROGRAMS[flavour]:
        program = shutil.which(name, path=path)
        if program:
            with contextlib.suppress(ServerUnavailable):
                installed = Installation.of(program)
                if installed.flavour == flavour:
                    return installed
    package = {MARIADB: "mariadb-server", MYSQL: "mysql-server"}[flavour]
    raise ServerUnavailable(f"there is no {flavour} server on this machine: install {package} (it need not run)")


class EmbeddedMysql:
    """One private server. `start` and `stop` may alternate on the same data; `close` ends it for good.

    Attributes: `root` its folder, `socket`, `port`, `password` of the administrator `app`, who may do everything from
    anywhere, `installation`.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        settings: Mapping[str, str | None] | None = None,
        base: Path | None = None,
        template: Path | None = None,
    ) -> None:
        """Prepare (not yet start) a server.

        `settings` are option names and values (None: the option alone) that win over ours; `base` is where the run
        folder goes (default: temporary); `template` is a data folder to copy instead of making a new one.
        """
        self.installation = installation
        self.settings = dict(settings or {})
        self.password = secrets.token_urlsafe(18)
        self.port: int | None = None
        self._base = base
        self._template = template
        self._run: RunDirectory | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # Root's own server, where no other account can reach the program.
        self._account = unprivileged() if os.geteuid() == 0 and everybody_can_run(installation.program) else None

    # ------------------------------------------------------------------ life

    def start(self, timeout_s: float = 90) -> EmbeddedMysql:
        """Create the data folder if there is none, start the server and wait until it takes connections.

        Raises ServerUnavailable with the end of the server's log when it does not come up in time.
        """
        if self.running:
            return self
        if self._run is None:
            self.create()
        for attempt in range(3):
            if attempt or self.port is None:  # a server that comes back is found where it was
                self.port = free_port()
            try:
                self._launch(timeout_s)
            except ServerUnavailable as error:
                if "Address already in use" in str(error) and attempt < 2:  # somebody took the free port first
                    continue
                self.close()
                raise
            return self
        return self

    def stop(self, *, immediate: bool = False, timeout_s: float = 30) -> None:
        """Stop the server, keeping its data; `immediate` kills it, as a crash would."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGKILL if immediate else signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a frozen one ends as well
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the server and delete everything it had; safe to call twice."""
        self.stop(immediate=True)  # nothing of it is kept
        run, self._run = self._run, None
        if run is not None:
            run.remove()

    def freeze(self) -> None:
        """Let the server stand still, as one whose disk hangs: it takes connections and never answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> EmbeddedMysql:
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
        """Process id of the server; ServerUnavailable if it does not run."""
        if self._process is None:
            raise ServerUnavailable("the server is not started")
        return self._process.pid

    @property
    def root(self) -> Path:
        """The run folder; its `data` holds the databases and `log` what the server said."""
        if self._run is None:
            raise ServerUnavailable("the server is not started")
        return self._run.path

    @property
    def socket(self) -> Path:
        """The Unix socket."""
        return self.root / "s" / _SOCKET

    def url(
        self, database: str = "", user: str = ADMIN, password: str | None = None, *, over_socket: bool = False
    ) -> str:
        """A `mysql://` URL of a database here (empty: none), over TCP or over the socket."""
        who = f"{quote(user, safe='')}:{quote(self.password if password is None else password, safe='')}"
        name = quote(database, safe="")
        if over_socket:
            return f"mysql://{who}@/{name}?{urlencode({'host': str(self.socket.parent)})}"
        return f"mysql://{who}@127.0.0.1:{self.port}/{name}"

    # ------------------------------------------------------------------ how

    def create(self) -> None:
        """Make the run folder and the data folder in it; `start` does so when it was not done."""
        base = self._base or temporary_folder(_SOCKET + ".lock")
        sweep(base)
        self._run = RunDirectory(base)
        try:
            for name in (DATA, "s", "tmp"):
                (self.root / name).mkdir(mode=0o700)
            (self.root / "log").touch(mode=0o600)
            for name in ("s", "tmp"):
                self._give_away(self.root / name)
            if self._template is None:
                self._give_away(self.root / DATA)
                self._initialise()
            else:
                shutil.copytree(self._template, self.root / DATA, dirs_exist_ok=True)
                # Two servers with one identity would be taken for one.
                (self.root / DATA / "auto.cnf").unlink(missing_ok=True)
                for path in (self.root / DATA).rglob("*"):
                    self._give_away(path)
                self._give_away(self.root / DATA)
        except BaseException:
            self.close()
            raise

    def _initialise(self) -> None:
        if self.installation.flavour == MYSQL:
            command, said = ["--initialize-insecure"], b""
        else:
            command, said = ["--bootstrap"], self._system_tables()
        done = subprocess.run(
            self._command(*command), input=said, capture_output=True, timeout=180, check=False, **self._as_server()
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
            wrong = " ".join(line for line in said if "ERR" in line)[-400:]
            raise ServerUnavailable(f"{self.installation.flavour} cannot make its data folder: {wrong}")

    def _system_tables(self) -> bytes:
        """SQL by which MariaDB makes its own tables."""
        above = self.installation.program.parent.parent
        for share in (above / "share" / "mysql", above / "share" / "mariadb", above / "share"):
            scripts = [next(share.glob(f"*_{name}"), None) for name in _SYSTEM_TABLES]
            if all(scripts):
                text = [script.read_bytes() for script in scripts if script]
                return b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n" + b"\n".join(text)
        raise ServerUnavailable(f"the scripts that come with MariaDB are not beside {self.installation.program}")

    def _launch(self, timeout_s: float) -> None:
        administrator = self.root / "administrator.sql"  # executed before the first connection is taken
        administrator.touch(mode=0o600)
        administrator.write_text(
            f"CREATE USER IF NOT EXISTS '{ADMIN}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{ADMIN}'@'%' WITH GRANT OPTION;\n",
            encoding="ascii",
        )
        self._give_away(administrator)
        command = self._command(
            f"--port={self.port}",
            f"--socket={self.socket}",
            f"--pid-file={self.root / DATA / _PID_FILE}",
            f"--init-file={administrator}",
        )
        with (self.root / "log").open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                command,
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
                name = f"{self.installation.flavour} {self.installation.version}"
                raise ServerUnavailable(f"{name} did not start: {said[-900:] or 'its log is empty'}")
            time.sleep(0.02)
        administrator.unlink()

    def _ready(self) -> bool:
        """Whether the server greets: its socket is there long before it takes connections."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(0.2)
                probe.connect(str(self.socket))
                return len(probe.recv(5)) == 5
        except OSError:
            return False

    def _command(self, *options: str) -> list[str]:
        settings = {**_SETTINGS, **_SETTINGS_OF[self.installation.flavour], **self.settings}
        words = [f"--{name}" if value is None else f"--{name}={value}" for name, value in settings.items()]
        user = [] if os.geteuid() or self._account else ["--user=root"]
        where = [*self.installation.options, f"--datadir={self.root / DATA}", f"--tmpdir={self.root / 'tmp'}"]
        return [*self.installation.command, "--no-defaults", *where, *user, *words, *options]

    def _as_server(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MYSQL_", "MARIADB_"))}
        environment["LC_ALL"] = "C"
        return {"cwd": "/", "env": environment, **(as_account(self._account) if self._account else {})}

    def _give_away(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)
