"""The past of one table among the versions of a whole schema."""

from __future__ import annotations

from dataclasses import replace

from meshag_tui.snapshot import Column, ForeignKey
from meshag_tui.store import history_relations, snapshots
from meshag_tui.store.database import Store
from tests.store.readings import Watched


def test_only_what_is_of_the_table(store: Store, connection: str) -> None:
    number, text = Column("id", "int8", False), Column("note", "text", True)
    server = Watched(columns={"public.a": (number,), "public.a.b": (number,), "public.c": (number,)})
    server.index("a_idx", table="a")

    def sync() -> None:
        store.run(snapshots.write, connection, server.snapshot(), ())

    sync()
    server.columns = {**server.columns, "public.a.b": (number, text)}
    sync()
    server.columns = {**server.columns, "public.a": (replace(number, type="int4"), text)}
    server.foreign_keys = (ForeignKey("fk", "public", "c", ("id",), "public", "a", ("id",)),)
    sync()
    server.index("other", table="a")
    sync()

    past = store.run(history_relations.past, connection, "public", "a")
    assert past.structure is not None and past.versions == 4
    assert [column.name for column in past.structure.columns] == ["id", "note"]
    assert past.structure.referred_by == server.foreign_keys and past.structure.refers == ()
    said = [(each.change.kind, each.change.part, each.change.name) for each in past.changes]
    assert said == [
        ("added", "index", "public.a.other"),
        ("changed", "column", "public.a.id"),
        ("added", "column", "public.a.note"),
    ]
    assert past.changes[0].at - past.changes[1].at == 60_000 and past.since is not None
    assert past.since < past.changes[-1].at


def test_what_was_never_read_is_not_empty(store: Store, connection: str) -> None:
    past = store.run(history_relations.past, connection, "public", "a")
    assert past.structure is None and past.since is None and past.changes == ()
