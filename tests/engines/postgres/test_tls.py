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
from tests.rig.certificates import authority, install, only_tls, revoke
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


STRANGER = "not signed by a certificate authority we trust"
WRONG = {  # what is wrong with the certificate: what verify-ca and verify-full say; None: they let it in
    "another host": (None, "another host than 127.0.0.1"),
    "unknown authority": (STRANGER, STRANGER),
    "self-signed": ("self-signed", "self-signed"),
    "expired": ("has expired", "has expired"),
    "revoked": ("was revoked", "was revoked"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_certificate_that_is_not_right(
    tls_only: Database, open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    trusted, stranger = authority(tmp_path, "trusted"), authority(tmp_path, "stranger")
    signer = {"self-signed": None, "unknown authority": stranger}.get(wrong, trusted)
    host = "db.example.com" if wrong == "another host" else "127.0.0.1"
    made = install(tls_only, signer, [host], expired=wrong == "expired")
    if wrong == "revoked":
        await open_session(tls_only.monitor_url, tls=TlsMode.VERIFY_FULL, tls_ca=str(trusted.file))
        (tmp_path / ".postgresql").mkdir()
        revoke(trusted, [made], tmp_path / ".postgresql" / "root.crl")
    for mode, said in zip(CHECKING, WRONG[wrong], strict=True):
        if said is None:
            await open_session(tls_only.monitor_url, tls=mode, tls_ca=str(trusted.file))
            continue
        error = await failure(open_session, tls_only, tls=mode, tls_ca=str(trusted.file))
        assert isinstance(error, TlsFailed)
        assert said in str(error), mode
    for mode in (TlsMode.PREFER, TlsMode.REQUIRE):  # they encrypt, and ask nobody who answers
        assert (await open_session(tls_only.monitor_url, tls=mode)).facts.tls is not None


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
