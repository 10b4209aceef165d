"""Passwords at rest: sealed for one server, with a key that is never in the store."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import stat
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from meshag_tui.settings import Settings
from meshag_tui.store import connections, database, models, vault
from meshag_tui.store.database import Store
from meshag_tui.store.vault import NotForThisConnection, OtherKey, Vault, VaultError
from meshag_tui.types import DbType, Secret, Target, TlsMode

CANARY = "canary-7Q#p@ss'\\wörd%"
TARGET = Target(
    db_type=DbType.POSTGRES,
    host="db.example",
    port=5432,
    database="shop",
    user="watcher",
    password=Secret(CANARY),
    tls=TlsMode.VERIFY_FULL,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(home=home, store_url="")


def test_round_trip_makes_a_private_key_file(settings: Settings) -> None:
    first = Vault.open(settings, {})
    assert first.key_id is None
    token, key = first.seal(Secret(CANARY), "con_1", TARGET)
    assert stat.S_IMODE(settings.key_file.stat().st_mode) == 0o600
    assert first.seal(Secret(CANARY), "con_1", TARGET)[0] != token
    again = Vault.open(settings, {})
    assert again.reveal(token, "con_1", TARGET, sealed_with=key).reveal() == CANARY
    assert again.key_id == key
    assert len(key) == 8
    assert list(settings.home.iterdir()) == [settings.key_file]


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "evil.example"},
        {"port": 5433},
        {"user": "postgres"},
        {"tls": TlsMode.DISABLE},
        {"tls_ca": "/tmp/evil.pem"},
        {"proxy": "socks5://evil.example:1080"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_secret_is_for_one_server(settings: Settings, changed: dict[str, object]) -> None:
    sealed = Vault.open(settings, {})
    token, _ = sealed.seal(Secret(CANARY), "con_1", TARGET)
    with pytest.raises(NotForThisConnection) as error:
        sealed.reveal(token, "con_1", replace(TARGET, **changed))  # type: ignore[arg-type]
    assert CANARY not in "".join(traceback.format_exception(error.value))
    assert sealed.reveal(token, "con_1", replace(TARGET, database="other")).reveal() == CANARY


def test_other_keys_and_damage_are_named(settings: Settings) -> None:
    token, key = Vault.open(settings, {}).seal(Secret(CANARY), "con_1", TARGET)
    other = Vault.open(settings, {vault.VARIABLE: vault.new_key()})
    with pytest.raises(OtherKey, match=key):
        other.reveal(token, "con_1", TARGET, sealed_with=key)
    settings.key_file.unlink()
    with pytest.raises(OtherKey, match="MESHAG_KEY"):
        Vault.open(settings, {}).reveal(token, "con_1", TARGET, sealed_with=key)


def test_each_secret_has_a_nonce_of_its_own_and_shows_any_change(settings: Settings) -> None:
    ours = Vault.open(settings, {})
    tokens = [ours.seal(Secret(CANARY), "con_1", TARGET)[0] for _ in range(200)]
    sealed = [base64.urlsafe_b64decode(token.rpartition(".")[2]) for token in tokens]
    assert len({whole[:12] for whole in sealed}) == 200  # 96 bits
    assert {len(whole) for whole in sealed} == {12 + len(CANARY.encode()) + 16}  # GCM's tag, and no padding
    form, key, text = tokens[0].split(".")
    first, later = (bytes([*sealed[0][:at], sealed[0][at] ^ 1, *sealed[0][at + 1 :]]) for at in (0, 20))
    flipped = first, later, sealed[0][:-1], b""
    damaged = [".".join((form, key, base64.urlsafe_b64encode(whole).decode())) for whole in flipped]
    for token in (*damaged, f"{form}.{key}.{text[:-3]}!!!", f"{form}.{key}"):
        with pytest.raises(NotForThisConnection, match="damaged"):
            ours.reveal(token, "con_1", TARGET)


def test_a_secret_is_for_one_row_and_one_use(store: Store, settings: Settings) -> None:
    """Copied to another connection to the same server, or into the proxy's place, it does not open."""
    keys = Vault.open(settings, {})
    proxied = replace(TARGET, proxy="socks5://me:hop@proxy.example:1080")
    one, two = (store.run(connections.add, name, proxied, keys) for name in ("one", "two"))
    rows = {row["id"]: row for row in store.run(lambda: list(models.Connection.select().dicts()))}

    def put(**columns: str) -> None:
        models.Connection.update(**columns).where(models.Connection.id == two.id).execute()

    for columns in ({"secret": rows[one.id]["secret"]}, {"proxy_secret": rows[two.id]["secret"]}):
        store.run(lambda columns=columns: put(**columns))
        with pytest.raises(NotForThisConnection):
            store.run(connections.target, two.id, keys)
        store.run(lambda: put(secret=rows[two.id]["secret"], proxy_secret=rows[two.id]["proxy_secret"]))
    assert store.run(connections.target, two.id, keys) == proxied


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_others_may_read_is_refused(settings: Settings, mode: int) -> None:
    Vault.open(settings, {}).seal(Secret("x"), "con_1", TARGET)
    settings.key_file.chmod(mode)
    with pytest.raises(VaultError, match="chmod 600"):
        Vault.open(settings, {})


def test_a_key_others_may_replace_or_redirect_is_refused(settings: Settings, tmp_path: Path) -> None:
    Vault.open(settings, {}).seal(Secret("x"), "con_1", TARGET)
    settings.home.chmod(0o770)
    with pytest.raises(VaultError, match="chmod 700"):
        Vault.open(settings, {})
    settings.home.chmod(0o700)
    settings.key_file.rename(tmp_path / "elsewhere")
    settings.key_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultError, match="cannot be read"):
        Vault.open(settings, {})


@pytest.mark.parametrize("text", ["short", "AAAA", "ä" * 44, "!" * 44])
def test_what_is_not_a_key_is_refused_without_being_repeated(settings: Settings, text: str) -> None:
    with pytest.raises(VaultError, match="MESHAG_KEY") as error:
        Vault.open(settings, {vault.VARIABLE: text})
    assert text not in str(error.value)


def test_key_from_the_environment_needs_no_file(settings: Settings) -> None:
    environment = {vault.VARIABLE: vault.new_key()}
    token, _ = Vault.open(settings, environment).seal(Secret(CANARY), "con_1", TARGET)
    assert not settings.key_file.exists()
    assert Vault.open(settings, environment).reveal(token, "con_1", TARGET).reveal() == CANARY


def test_rotate_seals_everything_anew(store: Store, settings: Settings) -> None:
    keys = Vault.open(settings, {})
    proxied = replace(TARGET, proxy=f"socks5://me:{'p%40ss'}@proxy.example:1080")
    for name in ("one", "two"):
        store.run(connections.add, name, proxied, keys)
    before = store.run(lambda: list(models.Connection.select().dicts()))
    old_key = settings.key_file.read_text()
    waiting = Vault.open(settings, {})  # another process, which knows the old key only

    rotated = vault.rotate(keys, store)

    assert (rotated.secrets, rotated.unreadable) == (4, 0)
    after = store.run(lambda: list(models.Connection.select().dicts()))
    assert {row["secret_key_id"] for row in after} == {rotated.key_id} != {before[0]["secret_key_id"]}
    assert not {row["secret"] for row in after} & {row["secret"] for row in before}
    assert settings.key_file.read_text().split() != old_key.split()
    assert len(settings.key_file.read_text().split()) == 1
    for opener in (keys, waiting, Vault.open(settings, {})):
        assert store.run(connections.target, after[0]["id"], opener) == proxied
    with pytest.raises(OtherKey):
        Vault.open(settings, {vault.VARIABLE: old_key}).reveal(after[0]["secret"], after[0]["id"], TARGET)


def test_secrets_of_earlier_stores_are_read_and_sealed_as_the_others_by_a_rotation(
    store: Store, settings: Settings
) -> None:
    keys = Vault.open(settings, {})
    proxied = replace(TARGET, proxy="socks5://me:hop@proxy.example:1080")
    ids = [store.run(connections.add, name, proxied, keys).id for name in ("one", "two", "moved")]
    place = {"host": "db.example", "port": 5432, "user": "watcher", "tls": "verify-full", "tls_ca": None}
    place["proxy"] = "socks5://me@proxy.example:1080"
    fernet = Fernet(settings.key_file.read_bytes().split()[0])

    def token(secret: str, **changed: object) -> str:
        return fernet.encrypt(json.dumps({"secret": secret, "for": place | changed}).encode()).decode()

    def age() -> None:
        models.Connection.update(secret=token(CANARY), proxy_secret=token("hop")).execute()
        models.Connection.update(secret=token(CANARY, host="other")).where(models.Connection.id == ids[2]).execute()

    store.run(age)
    assert store.run(connections.target, ids[0], keys) == proxied
    with pytest.raises(NotForThisConnection):
        store.run(connections.target, ids[2], keys)

    rotated = vault.rotate(keys, store)

    assert (rotated.secrets, rotated.unreadable) == (5, 1)
    rows = {row["id"]: row for row in store.run(lambda: list(models.Connection.select().dicts()))}
    for one in ids[:2]:
        assert rows[one]["secret"].startswith(f"gcm1.{rotated.key_id}.")
        assert rows[one]["proxy_secret"].startswith(f"gcm1.{rotated.key_id}.")
        assert store.run(connections.target, one, Vault.open(settings, {})) == proxied
    assert rows[ids[2]]["secret"].startswith("gAAAA")


def test_rotate_does_not_make_good_a_row_that_was_edited(store: Store, settings: Settings) -> None:
    keys = Vault.open(settings, {})
    added = store.run(connections.add, "one", TARGET, keys)
    store.run(lambda: models.Connection.update(host="evil.example").execute())
    assert tuple(vault.rotate(keys, store))[1:] == (0, 1)
    with pytest.raises(VaultError):
        store.run(connections.target, added.id, keys)


def test_rotate_killed_before_commit_leaves_all_readable(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Vault.open(settings, {})
    added = store.run(connections.add, "one", TARGET, keys)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vault, "_seal_anew", killed)
    with pytest.raises(KeyboardInterrupt):
        vault.rotate(keys, store)
    monkeypatch.undo()
    later = Vault.open(settings, {})
    assert len(settings.key_file.read_text().split()) == 2
    assert store.run(connections.target, added.id, later) == TARGET
    assert vault.rotate(later, store).secrets == 1
    assert len(settings.key_file.read_text().split()) == 1


def test_rotate_with_keys_of_the_environment(store: Store, settings: Settings) -> None:
    old, new = vault.new_key(), vault.new_key()
    added = store.run(connections.add, "one", TARGET, Vault.open(settings, {vault.VARIABLE: old}))
    with pytest.raises(VaultError, match="NEW,OLD"):
        vault.rotate(Vault.open(settings, {vault.VARIABLE: old}), store)
    vault.rotate(Vault.open(settings, {vault.VARIABLE: f"{new},{old}"}), store)
    assert store.run(connections.target, added.id, Vault.open(settings, {vault.VARIABLE: new})) == TARGET


def test_the_canary_is_nowhere(tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the files of the store and home, nor in what is printed, logged or raised."""
    caplog.set_level(logging.DEBUG)
    keys = Vault.open(settings, {})
    store = Store.open(f"sqlite:///{settings.home / 'store.db'}")
    info = store.run(connections.add, "shop", replace(TARGET, proxy=f"socks5://me:{CANARY[:10]}@p.example:1"), keys)
    target = store.run(connections.target, info.id, keys)
    assert target.password is not None and target.password.reveal() == CANARY
    store.run(lambda: models.Connection.update(host="evil.example").execute())
    with pytest.raises(NotForThisConnection) as error:
        store.run(connections.target, info.id, keys)
    with pytest.raises(TypeError):
        pickle.dumps(target)
    said = "".join(
        (
            repr(info),
            repr(target),
            f"{target.password}",
            repr(keys),
            "".join(traceback.format_exception(error.value)),
            caplog.text,
        )
    )
    backup = store.backup()
    store.close()
    needles = [form for text in (CANARY, CANARY[:10]) for form in (text, text.encode().hex())]
    for needle in needles:
        assert needle not in said
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            content = (Path(folder) / name).read_bytes()
            assert not any(needle.encode() in content for needle in needles), name
    assert backup.exists()
    assert database.kind() == "sqlite"
