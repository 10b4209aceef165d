"""Our own MySQL and MariaDB start anywhere and never outlive their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from meshag_tui.servers.mysqld import MARIADB, EmbeddedMysql, Installation
from meshag_tui.servers.place import ServerUnavailable
from tests.rig.mysql import installation
from tests.servers.test_postgres import a_plain_user_can, guard_of, wait_until

OWNER_SCRIPT = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from meshag_tui.servers.mysqld import EmbeddedMysql, find
    server = EmbeddedMysql(find("MariaDB"), base=Path(sys.argv[1])).start()
    print(server.root, server.pid, flush=True)
    time.sleep(60)
""")


@pytest.fixture
def installed() -> Installation:
    """MariaDB's programs."""
    try:
        return installation(MARIADB)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))


def test_goes_with_its_owner_or_at_the_next_start(installed: Installation, short_tmp: Path) -> None:
    for guard_is_killed in (False, True):
        command = [sys.executable, "-c", OWNER_SCRIPT, str(short_tmp)]
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert owner.stdout
        root, pid = owner.stdout.readline().split()
        if guard_is_killed:
            os.kill(guard_of(Path(root)), signal.SIGKILL)
        owner.kill()
        owner.wait()
        if guard_is_killed:
            assert Path(f"/proc/{pid}/cwd").exists(), "nobody was left to end it"
            with EmbeddedMysql(installed, base=short_tmp) as server:
                assert not Path(root).exists()
                assert server.running
        assert wait_until(lambda at=root: not Path(at).exists(), 20)  # type: ignore[misc]
        assert wait_until(lambda at=pid: not Path(f"/proc/{at}/cwd").exists(), 20)  # type: ignore[misc]


def test_a_plain_user_can_start_it(installed: Installation, short_tmp: Path) -> None:
    def serve(place: Path, uid: int) -> bool:
        with EmbeddedMysql(installed, base=place) as server:
            return server.running and (server.root / "data").stat().st_uid == uid

    assert a_plain_user_can(serve, short_tmp / "theirs")
