"""TLS modes against a server that speaks TLS only, one that speaks none, and certificates that are not right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshag_tui.engines.base import EngineError, Limits, TlsFailed
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres
from meshag_tui.types import TlsMode
from tests.engines.postgres.conftest import Open
from tests.rig.certificates import authority, install, only_tls
from tests.rig.postgres import BLANK, MONITOR_PASSWORD, Database, bindir, prepare

CHECKING = (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)


@pytest.fixture(scope="module")
def tls_only() -> Iterator[Database]:
    """A PostgreSQL 15 of this module that takes TCP connections by TLS alone; the embedded 18 is built without TLS."""
    try:
        server = EmbeddedPostgres(bindir(15), tcp=True)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    with server:
        database = Database(server, BLANK, 15, prepare(server))
        only_tls(database)
        yield database


async def failure(open_session: Open, database: Database, **changes: object) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await open_session(database.monitor_url, limits=Limits(connect_s=3), **changes)
    assert MONITOR_PASSWORD not in str(caught.value)
    return caught.value


async def test_every_mode_that_encrypts_gets_in(tls_only: Database, open_session: Open, tmp_path: Path) -> None:
    trusted = authority(tmp_path, "trusted")
    install(tls_only, trusted, ["127.0.0.1", "localhost"])
    for mode in (TlsMode.PREFER, TlsMode.REQUIRE, *CHECKING):
        session = await open_session(tls_only.monitor_url, tls=mode, tls_ca=str(trusted.file))
        assert session.facts.tls is not None, mode
        assert session.facts.tls.startswith("TLSv1."), mode
        assert (await session.collect()).statements is not None
    error = await failure(open_session, tls_only, tls=TlsMode.DISABLE)
    assert isinstance(error, TlsFailed)
    assert "without TLS" in str(error)


async def test_a_wrong_authority_is_refused(tls_only: Database, open_session: Open, tmp_path: Path) -> None:
    install(tls_only, authority(tmp_path, "trusted"), ["127.0.0.1"])
    stranger = authority(tmp_path, "stranger")
    for mode in CHECKING:
        error = await failure(open_session, tls_only, tls=mode, tls_ca=str(stranger.file))
        assert isinstance(error, TlsFailed)
        assert "not signed by a certificate authority we trust" in str(error)
    assert (await open_session(tls_only.monitor_url, tls=TlsMode.REQUIRE)).facts.tls is not None


async def test_a_certificate_for_another_host(tls_only: Database, open_session: Open, tmp_path: Path) -> None:
    trusted = authority(tmp_path, "trusted")
    install(tls_only, trusted, ["db.example.com"])
    error = await failure(open_session, tls_only, tls=TlsMode.VERIFY_FULL, tls_ca=str(trusted.file))
    assert isinstance(error, TlsFailed)
    assert "another host than 127.0.0.1" in str(error)
    await open_session(tls_only.monitor_url, tls=TlsMode.VERIFY_CA, tls_ca=str(trusted.file))


async def test_expired_and_self_signed(tls_only: Database, open_session: Open, tmp_path: Path) -> None:
    trusted = authority(tmp_path, "trusted")
    install(tls_only, trusted, ["127.0.0.1"], expired=True)
    assert "has expired" in str(await failure(open_session, tls_only, tls=TlsMode.VERIFY_CA, tls_ca=str(trusted.file)))
    install(tls_only, None, ["127.0.0.1"])
    error = await failure(open_session, tls_only, tls=TlsMode.VERIFY_FULL, tls_ca=str(trusted.file))
    assert "self-signed" in str(error)


async def test_without_a_ca_file_the_systems_are_trusted(
    tls_only: Database, open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    install(tls_only, authority(tmp_path, "private"), ["127.0.0.1"])
    error = await failure(open_session, tls_only, tls=TlsMode.VERIFY_FULL)
    assert isinstance(error, TlsFailed)
    assert "tls_ca" in str(error.fix)
    missing = await failure(open_session, tls_only, tls=TlsMode.VERIFY_FULL, tls_ca="/nonexistent/ca.crt")
    assert "/nonexistent/ca.crt cannot be read" in str(missing)


async def test_no_silent_downgrade(pg18: Database, open_session: Open, tmp_path: Path) -> None:
    ca = str(authority(tmp_path, "any").file)
    for mode in (TlsMode.REQUIRE, *CHECKING):
        error = await failure(open_session, pg18, tls=mode, tls_ca=ca)
        assert isinstance(error, TlsFailed)
        assert "offers no TLS" in str(error)
    assert (await open_session(pg18.monitor_url, tls=TlsMode.PREFER)).facts.tls is None
