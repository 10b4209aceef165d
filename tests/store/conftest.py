"""An open, migrated store on SQLite and on PostgreSQL, and a connection in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import connections
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Target


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, on either database in turn; `store.run(fn, …)` runs a function of the room."""
    store = Store.open(store_url)
    yield store
    store.close()


@pytest.fixture
def connection(store: Store, tmp_path: Path) -> str:
    """The id of a connection named shop."""
    vault = Vault.open(Settings(home=tmp_path, store_url=""), {})
    return store.run(connections.add, "shop", Target.from_url("postgresql://watcher@db.example/shop"), vault).id
