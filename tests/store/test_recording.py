"""A record of a store: what was seen is in it, and nothing that opens anything."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import activity, alerts, channels, connections, copies, models, providers, recording, sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import Span
from meshag_tui.store.vault import Vault
from meshag_tui.types import MeshagError, Secret, Target


def test_a_record_holds_history_and_no_secret(store: Store, tmp_path: Path) -> None:
    vault = Vault.open(Settings(home=tmp_path, store_url=""), {})
    target = Target.from_url("postgresql://watcher:canary1@db/shop?proxy=socks5://me:canary2@127.0.0.1:1080")
    shop = store.run(connections.add, "shop", target, vault).id
    store.run(channels.add, "oncall", Secret("https://hook.example/canary3"), vault)
    store.run(providers.add, "cloud", "openai", "https://llm.example/v1", ["m"], "text", Secret("canary4-key"), vault)
    store.run(activity.record, "ada", "note", "canary5")
    store.run(alerts.put, shop, "critical", "Replication lag: 70 s", subject="lag")
    assert store.run(recording.recorded) is None
    store.run(sampled.add, shop, Span(1_000, 61_000, 12, {"cpu": 12.0}, ()))
    tokens = store.run(lambda: [row.secret for row in models.Connection.select()])
    tokens += store.run(lambda: [row.secret for row in (*models.Channel.select(), *models.Provider.select())])
    file = tmp_path / "record.db"
    gone = recording.record(store, file, copies.backup, copies.restore)
    assert gone["provider"] == 1 and gone["channel"] == 1 and gone["activity"] >= 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = file.read_bytes()
    assert all(token and token.encode() not in data for token in tokens)
    assert b"canary" not in data and b"hook.example" not in data and b"127.0.0.1:1080" not in data
    copy = Store.open(f"sqlite:///{file}")
    try:
        assert copy.run(recording.recorded) == (1_000, 61_000)
        (info,) = copy.run(connections.listing)
        assert (info.id, info.has_password, info.proxy) == (shop, False, None)
        assert [each.message for each in copy.run(alerts.listing)] == ["Replication lag: 70 s"]
    finally:
        copy.close()
    with pytest.raises(MeshagError, match="exists"):
        recording.record(store, file, copies.backup, copies.restore)
