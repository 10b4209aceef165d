"""What wins: flags over the environment over config.toml; what is mistyped is named, what holds a password is
private.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from meshag_tui.settings import load
from meshag_tui.types import Target, UsageError


def written(home: Path, text: str) -> dict[str, str]:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.toml").write_text(text)
    return {"MESHAG_HOME": str(home)}


def test_flags_beat_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    environment = written(tmp_path, 'store = "/file.db"\nlog_level = "warning"\n[collect]\ninterval_s = 7\n')
    settings = load(environment=environment)
    assert (settings.store_url, settings.log_level) == ("sqlite:////file.db", "WARNING")
    assert (settings.collect.interval_s, settings.collect.lock_timeout_ms) == (7, 500)
    environment |= {"MESHAG_STORE": "/environment.db", "MESHAG_LOG": "debug"}
    settings = load(environment=environment)
    assert (settings.store_url, settings.log_level) == ("sqlite:////environment.db", "DEBUG")
    assert load(store="/flag.db", environment=environment).store_url == "sqlite:////flag.db"
    plain = [load(environment=environment | {"MESHAG_PLAIN": value}).ui.plain for value in ("1", "0", "")]
    assert [*plain, load(environment=environment, plain=True).ui.plain] == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[collect]\nintervall_s = 7", "unknown key 'intervall_s' in [collect]"),
        ("stor = 'x'", "unknown key 'stor'"),
        ("[collect]\ninterval_s = 'often'", "interval_s in [collect] must be a int"),
        ("[collect]\ninterval_s = true", "interval_s in [collect] must be a int"),
        ("collect = 7", "[collect] must be a table"),
        ("[advice]\nwhat_if = 'magic'", "what_if in [advice] must be one of auto, hypopg, sandbox, off"),
        ("[collect]\nstatements_from = 'statements'", "must be a schema and a name"),
        ("[collect", "cannot be read"),
    ],
)
def test_what_is_mistyped_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        load(environment=written(tmp_path, text))
    assert said in str(error.value)


def test_what_holds_a_password_is_private(tmp_path: Path) -> None:
    for store, private in (
        ("postgresql://u:c4nary@h/d", True),
        ("postgresql://h/d?user=u&password=c4nary", True),
        ("postgresql://u@h/d", False),
        ("/var/lib/a@b:c.db", False),
    ):
        environment = written(tmp_path, f'store = "{store}"')
        config = tmp_path / "config.toml"
        config.chmod(0o644)
        if private:
            with pytest.raises(UsageError, match=f"others may read it: chmod 600 {config}") as error:
                load(environment=environment)
            assert "c4nary" not in str(error.value)
            config.chmod(0o600)
        assert load(environment=environment).store_url.endswith(store)


@pytest.mark.parametrize(
    ("url", "host", "database", "password"),
    [
        ("postgresql://u:p%40%23%25%27%5C%2F%3A@h/d", "h", "d", "p@#%'\\/:"),
        ("postgresql://u:p@ss@h/d", "h", "d", "p@ss"),
        ("postgresql://u:a+b@h/d", "h", "d", "a+b"),
        ("postgresql://u@h/d?password=a+b%2Bc%26d", "h", "d", "a+b+c&d"),
        ("postgresql://u:100%@h/d", "h", "d", "100%"),
        ("postgresql://u@[2001:db8::1]:5433/d", "2001:db8::1", "d", None),
        ("postgresql://u@h/postgres'%20OR%201%3D1--", "h", "postgres' OR 1=1--", None),
        ("postgresql://u@h/100%25", "h", "100%", None),
        ("postgresql://u@h/a%2Fb%3Fc", "h", "a/b?c", None),
        ("postgresql://u@/d?host=%2Ftmp%2Fsockets&port=5433", "/tmp/sockets", "d", None),
        ("postgresql://h/d?user=u&password=", "h", "d", ""),
    ],
)
def test_a_url_is_read_as_libpq_reads_it(url: str, host: str, database: str, password: str | None) -> None:
    target = Target.from_url(url)
    assert (target.user, target.host, target.database) == ("u", host, database)
    assert (None if target.password is None else target.password.reveal()) == password
    assert password is None or not password or password not in repr(target)


def test_a_service_says_what_the_url_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "services"
    file.write_text(
        "# ours\n[shop]\nhost=/tmp/sockets\nport=5433\ndbname=shop\nuser=watcher\npassword=p%#c4nary\n"
        "connect_timeout=3\n[cert]\nhost=h\nuser=u\nsslcert=/x\n[far]\nhost=db.example\nuser=u\nsslmode=allow\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path / "none"))
    target = Target.from_url("service=shop")
    assert (target.host, target.port, target.database, target.user) == ("/tmp/sockets", 5433, "shop", "watcher")
    assert target.password is not None and target.password.reveal() == "p%#c4nary"
    other = Target.from_url("postgresql://me@db.example/?service=shop&sslmode=require")
    assert (other.host, other.port, other.user, other.database, other.tls) == (
        *("db.example", 5433, "me", "shop"),
        "require",
    )
    for url, said in (
        ("service=stock", "There is no service stock: looked in"),
        ("service=cert", "says sslcert, which MeshAG cannot follow"),
        ("service=far", "sslmode must be one of"),
        ("mysql://u@h/d?service=shop", "Services are PostgreSQL's"),
    ):
        with pytest.raises(UsageError, match=said):
            Target.from_url(url)
    file.write_text("host=h\n")
    with pytest.raises(UsageError, match="cannot be read"):
        Target.from_url("service=shop")


def test_a_printed_target_holds_no_password_of_its_proxy() -> None:
    assert "canary" not in repr(Target.from_url("postgresql://u@h/d?proxy=socks5://me:canary@p:1"))
