"""TLS modes against servers that speak TLS only, or none, and certificates that are not right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshag_tui.engines.base import AuthenticationFailed, EngineError, Limits, TlsFailed
from meshag_tui.types import TlsMode
from tests.engines.mysql.conftest import Open
from tests.rig import certificates
from tests.rig.mysql import FLAVOURS, NO_TLS, PASSWORD, Schema

CHECKING = (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
Private = Callable[..., Schema]


async def failure(open_session: Open, url: str, **changes: object) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await open_session(url, limits=Limits(connect_s=3), **changes)
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.fixture(params=FLAVOURS, ids=str.lower)
def tls_only(request: pytest.FixtureRequest, private_my: Private, tmp_path: Path) -> Iterator[tuple[Schema, str]]:
    """A server that takes TCP connections by TLS alone, as 127.0.0.1, and the file of its authority."""
    trusted = certificates.authority(tmp_path, "trusted")
    schema = private_my(
        request.param,
        {"require-secure-transport": "ON"},
        tls=certificates.files(tmp_path, trusted, ["127.0.0.1", "localhost"]),
    )
    yield schema, str(trusted.file)


async def test_a_server_that_speaks_tls_only(tls_only: tuple[Schema, str], open_session: Open, tmp_path: Path) -> None:
    schema, ca = tls_only
    for mode in (TlsMode.PREFER, TlsMode.REQUIRE, *CHECKING):
        session = await open_session(schema.monitor_url, tls=mode, tls_ca=ca)
        assert session.facts.tls is not None and session.facts.tls.startswith("TLSv1."), mode
    assert (await session.collect()).statements is not None
    error = await failure(open_session, schema.monitor_url, tls=TlsMode.DISABLE)
    if schema.flavour == "MySQL" or session.wire.version >= (11, 4, 0):
        assert isinstance(error, TlsFailed) and "without TLS" in str(error)
    else:  # an older MariaDB says no more than to a wrong password
        assert isinstance(error, AuthenticationFailed) and "TLS mode verify-full" in str(error.fix)
    over_socket = await open_session(schema.socket_url, tls=TlsMode.VERIFY_FULL, tls_ca=ca)
    assert over_socket.facts.tls is not None, "a socket has no host name to check, but it can be encrypted"

    stranger = certificates.authority(tmp_path, "stranger")
    for mode in CHECKING:
        error = await failure(open_session, schema.monitor_url, tls=mode, tls_ca=str(stranger.file))
        assert isinstance(error, TlsFailed) and "authority we trust" in str(error)
    error = await failure(open_session, schema.monitor_url, tls=TlsMode.VERIFY_FULL)
    assert isinstance(error, TlsFailed) and "tls_ca" in str(error.fix), "without a CA file the system's are trusted"
    assert "cannot be read" in str(
        await failure(open_session, schema.monitor_url, tls=TlsMode.VERIFY_CA, tls_ca="/nonexistent/ca.crt")
    )
    empty = tmp_path / "empty.crt"
    empty.write_text("no certificate\n", encoding="utf-8")
    assert "holds no certificate" in str(
        await failure(open_session, schema.monitor_url, tls=TlsMode.VERIFY_CA, tls_ca=str(empty))
    )


async def test_certificates_that_are_not_right(private_my: Private, open_session: Open, tmp_path: Path) -> None:
    trusted = certificates.authority(tmp_path, "trusted")
    ca = str(trusted.file)
    other = private_my("MariaDB", tls=certificates.files(tmp_path, trusted, ["db.example.com"]))
    error = await failure(open_session, other.monitor_url, tls=TlsMode.VERIFY_FULL, tls_ca=ca)
    assert isinstance(error, TlsFailed) and "another host than 127.0.0.1" in str(error)
    assert (await open_session(other.monitor_url, tls=TlsMode.VERIFY_CA, tls_ca=ca)).facts.tls is not None
    expired = private_my("MariaDB", tls=certificates.files(tmp_path, trusted, ["127.0.0.1"], expired=True))
    error = await failure(open_session, expired.monitor_url, tls=TlsMode.VERIFY_FULL, tls_ca=ca)
    assert isinstance(error, TlsFailed) and "has expired" in str(error)
    assert (await open_session(expired.monitor_url, tls=TlsMode.REQUIRE)).facts.tls is not None


async def test_a_user_who_must_have_tls(mysql: Schema, open_session: Open) -> None:
    url = mysql.user(f"SELECT ON `{mysql.name}`.*", require="SSL")
    assert (await open_session(url, tls=TlsMode.PREFER)).facts.tls is not None
    error = await failure(open_session, url, tls=TlsMode.DISABLE)
    assert isinstance(error, AuthenticationFailed) and "REQUIRE SSL" in str(error.fix)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)
async def test_no_silent_downgrade(private_my: Private, open_session: Open, tmp_path: Path, flavour: str) -> None:
    schema = private_my(flavour, NO_TLS)
    ca = str(certificates.authority(tmp_path, "any").file)
    for mode in (TlsMode.REQUIRE, *CHECKING):
        error = await failure(open_session, schema.monitor_url, tls=mode, tls_ca=ca)
        assert isinstance(error, TlsFailed) and "offers no TLS" in str(error)
    assert (await open_session(schema.monitor_url, tls=TlsMode.PREFER)).facts.tls is None
