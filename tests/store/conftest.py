"""An open, migrated store on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshag_tui.store.database import Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, on either database in turn; `store.run(fn, …)` runs a function of the room."""
    store = Store.open(store_url)
    yield store
    store.close()
