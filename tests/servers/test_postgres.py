"""Our own servers start anywhere, restart on their data, and never outlive their owner."""

from __future__ import annotations

import codecs
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres, wheel_bindir
from meshag_tui.servers.rundir import OWNER_FILE, PREFIX, RunDirectory, sweep


def wait_until(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def serving(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def test_serves_over_socket_and_tcp_and_leaves_nothing() -> None:
    server = EmbeddedPostgres(tcp=True, settings={"work_mem": "3MB"})
    with server:
        root = server.root
        with psycopg.connect(server.dsn()) as over_socket, psycopg.connect(server.dsn(tcp=True)) as over_tcp:
            assert over_socket.execute("SHOW work_mem").fetchone() == ("3MB",)
            assert over_tcp.execute("SHOW shared_preload_libraries").fetchone() == ("pg_stat_statements",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn(tcp=True, password="wrong"))
    assert not root.exists()
    assert not server.running


def test_keeps_data_over_stop_crash_and_start() -> None:
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        server.stop()
        assert not serving(server.dsn())
        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
            connection.execute("CHECKPOINT")
        server.stop(immediate=True)  # leaves a postmaster.pid that says "ready" behind
        server.start()
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_survives_the_thread_that_started_it() -> None:
    server = EmbeddedPostgres()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    with server:
        time.sleep(0.3)
        assert serving(server.dsn())


def test_two_servers_have_their_own_identity() -> None:
    with EmbeddedPostgres() as one, EmbeddedPostgres() as other:
        identities = set()
        for server in (one, other):
            with psycopg.connect(server.dsn()) as connection:
                identities.add(connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone())
    assert len(identities) == 2


OWNER_SCRIPT = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from meshag_tui.servers.postgres import EmbeddedPostgres
    server = EmbeddedPostgres(base=Path(sys.argv[1])).start()
    print(server.root, server.pid, flush=True)
    if sys.argv[2] == "stay":
        time.sleep(60)
""")


def owner_process(base: Path, what: str) -> tuple[subprocess.Popen[str], Path, int]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER_SCRIPT, str(base), what], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    root, pid = owner.stdout.readline().split()
    return owner, Path(root), int(pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, None])
def test_goes_with_its_owner(end: signal.Signals | None, short_tmp: Path) -> None:
    owner, root, _ = owner_process(short_tmp, "stay" if end else "leave")
    if end:
        assert serving(f"postgresql://app@/postgres?host={root / 's'}")
        owner.send_signal(end)
    owner.wait(20)
    assert wait_until(lambda: not root.exists())
    assert not serving(f"postgresql://app@/postgres?host={root / 's'}")


def guard_of(root: Path) -> int:
    found = subprocess.run(["pgrep", "-f", f"meshag-guard {root}"], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


def test_next_start_removes_what_a_killed_owner_and_guard_left(short_tmp: Path) -> None:
    owner, root, pid = owner_process(short_tmp, "stay")
    os.kill(guard_of(root), signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert serving(f"postgresql://app@/postgres?host={root / 's'}"), "nobody was left to end it"
    with EmbeddedPostgres(base=short_tmp) as server:
        assert not root.exists()
        assert serving(server.dsn())
    assert wait_until(lambda: not Path(f"/proc/{pid}/cwd").exists())


def test_sweep_leaves_the_living_and_the_newborn_alone(short_tmp: Path) -> None:
    newborn = short_tmp / f"{PREFIX}newborn"
    newborn.mkdir()
    run = RunDirectory(short_tmp)
    try:
        assert sweep(short_tmp) == []
        record = json.loads((run.path / OWNER_FILE).read_text())
        (run.path / OWNER_FILE).write_text(json.dumps(record | {"started": "1"}))  # the pid was given to another
        assert sweep(short_tmp) == [run.path]
    finally:
        run.remove()


def copied_wheel(to: Path) -> Path:
    """The wheel's files in another folder, as if installed there; returns the folder of its programs."""
    package = wheel_bindir().parent.parent
    for part in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(part, to / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return to / wheel_bindir().relative_to(package.parent)


def test_needs_no_open_home(short_tmp: Path) -> None:
    """Binaries under a 0700 folder: root copies them for the server's account, and nobody's permissions change."""
    home = short_tmp / "home"
    home.mkdir(mode=0o700)
    with EmbeddedPostgres(copied_wheel(home)) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        assert server.root.stat().st_uid == os.geteuid()
        assert (server.root / "data").stat().st_mode & 0o777 == 0o700
    assert home.stat().st_mode & 0o777 == 0o700


def a_plain_user_can(serve: Callable[[Path, int], bool], place: Path) -> bool:
    """Whether an account without privileges (root becomes one for this) serves in `place`, called with its uid."""
    place.mkdir()
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(place, account.pw_uid, account.pw_gid)
    codecs.lookup("ascii")
    pid = os.fork()  # a plain account may not be able to read this Python's home: become it with everything loaded
    if pid == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            status = 0 if serve(place, account.pw_uid) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and list(place.iterdir()) == []


def test_a_plain_user_can_start_it(short_tmp: Path) -> None:
    bindir = copied_wheel(short_tmp)

    def serve(place: Path, uid: int) -> bool:
        with EmbeddedPostgres(bindir, base=place) as server:
            return serving(server.dsn()) and (server.root / "data").stat().st_uid == uid

    assert a_plain_user_can(serve, short_tmp / "theirs")


def test_says_why_it_did_not_start(short_tmp: Path) -> None:
    server = EmbeddedPostgres(base=short_tmp, settings={"shared_buffers": "nonsense"})
    with pytest.raises(ServerUnavailable, match="shared_buffers"):
        server.start()
    assert list(short_tmp.iterdir()) == []
    with pytest.raises(ServerUnavailable, match="no PostgreSQL binaries in"):
        EmbeddedPostgres(short_tmp)
