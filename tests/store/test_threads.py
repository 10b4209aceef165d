"""Threads are kept with their evidence, edited with a note, hidden and taken back, on either store."""

from __future__ import annotations

from decimal import Decimal

import pytest

from meshag_tui.store import connections, ledger, prices, threads
from meshag_tui.store.database import Store
from meshag_tui.types import UsageError

CALL = ledger.Call("own", "m1", "thread", False, "ada", "h" * 64, most_in=1000, most_out=500)


def draft(connection_id: str, name: str, subject: str = "qry_0000000042") -> threads.ThreadRow:
    return threads.ThreadRow(
        *("", connection_id, "shop", None, None, "ada", "query", subject, name, "", None, 0, 0, 0, None)
    )


def test_a_thread_holds_what_was_said_and_what_it_cost(store: Store, connection: str) -> None:
    shop = connection
    first = store.run(threads.add, draft(shop, "  Why so\n slow? "), {"text": "mean 1.2 s", "queries": [42], "at": 5})
    store.run(prices.put, "own", "m1", 0, "2", "8")
    usage = store.run(ledger.reserve, CALL)
    store.run(ledger.settle, usage, "success", tokens_in=1000, tokens_out=500, duration_ms=850.0)
    store.run(threads.say, first, "user", "Why?")
    store.run(threads.say, first, "assistant", "It reads\0 all.", model="m1", usage=usage, details={"dropped": ["no"]})
    found = store.run(threads.get, first)
    assert (found.row.name, found.row.messages, found.evidence["queries"]) == ("Why so slow?", 2, [42])
    asked, said = found.messages
    assert (asked.role, asked.cost, said.content) == ("user", None, "It reads\ufffd all.")
    assert (said.cost, said.duration_ms, said.details) == (Decimal("0.006"), 850.0, {"dropped": ["no"]})

    changed = store.run(threads.edit, first, name="Orders", model="own/m2")
    assert (changed.name, changed.model) == ("Orders", "own/m2")
    note = store.run(threads.get, first).messages[-1]
    assert (note.role, note.content) == ("note", "name is now Orders; model is now own/m2")
    store.run(threads.edit, first, model="own/m2")
    assert len(store.run(threads.get, first).messages) == 3, "what is as it was is no change"

    second = store.run(threads.add, draft(shop, "Other", "sug_1"), {"text": "", "queries": []})
    assert [row.id for row in store.run(threads.page)] == [second, first]
    assert [row.id for row in store.run(threads.page, subject_id="sug_1")] == [second]
    store.run(threads.remove, second)
    assert [row.id for row in store.run(threads.page, connection_id=shop)] == [first]
    assert [row.id for row in store.run(threads.page, removed=True)] == [second]
    store.run(threads.restore, second)
    assert len(store.run(threads.page, actor="ada")) == 2
    with pytest.raises(UsageError, match="no thread thrd_x"):
        store.run(threads.say, "thrd_x", "user", "hello")
    with pytest.raises(UsageError, match="needs a name"):
        store.run(threads.edit, first, name=" ")
    store.run(connections.remove, shop)
    assert store.run(threads.page) == () and len(store.run(ledger.page)) == 1, "the ledger stays"
