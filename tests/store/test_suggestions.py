"""The same advice is kept once; what the user said about it stays; what is gone is marked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import peewee
import pytest

from meshag_tui import types
from meshag_tui.store import activity, changes, connections, models, suggestions
from meshag_tui.store.database import Store, now_ms
from meshag_tui.types import (
    Analyze,
    ChangeState,
    CreateIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Risk,
    SuggestionPriority,
    SuggestionStatus,
    SuggestionType,
)

MISSING = types.Suggestion(
    rule="missing-index",
    identity="missing-index:public.orders:customer_id",
    type=SuggestionType.INDEX_OPTIMIZATION,
    priority=SuggestionPriority.MEDIUM,
    title="An index on orders(customer_id)",
    text="Orders is read whole for each customer.",
    evidence_kind=EvidenceKind.PLANNED,
    evidence={"kind": "planned", "facts": ["cost 100 → 2"], "hostile": "nul\0 half \ud800"},
    confidence=0.9,
    risk=Risk.LOW,
    schema="public",
    table="orders",
    change=CreateIndex(IndexSpec("public", "orders", (IndexColumn("customer_id", descending=True),), include=("id",))),
    sql="CREATE INDEX CONCURRENTLY …",
    undo_sql="DROP INDEX CONCURRENTLY …",
    query_ids=(7, 9),
    gain_ms_per_day=1234.5,
)
UNUSED = replace(
    MISSING,
    rule="unused-index",
    identity="unused-index:public.old_idx",
    priority=SuggestionPriority.HIGH,
    change=None,
    sql=None,
    undo_sql=None,
    gain_ms_per_day=None,
    query_ids=(),
)
RULES = frozenset({"missing-index", "unused-index"})


def test_same_advice_is_one_row(store: Store, connection: str) -> None:
    first = store.run(suggestions.save, connection, [MISSING, UNUSED, MISSING])
    assert (first.new, first.updated, first.resolved, len(first.ids)) == (2, 0, 0, 2)
    again = store.run(suggestions.save, connection, [replace(MISSING, text="worse", confidence=0.95)])
    assert (again.new, again.updated, again.ids) == (0, 1, first.ids[:1])
    stored = store.run(suggestions.get, first.ids[0])
    assert (stored.text, stored.confidence, stored.change) == ("worse", 0.95, MISSING.change)
    assert stored.evidence["hostile"] == "nul\ufffd half ?"
    assert (stored.schema, stored.table, stored.query_ids) == ("public", "orders", (7, 9))
    assert [found.rule for found in store.run(suggestions.listing)] == ["unused-index", "missing-index"]
    assert store.run(suggestions.of_query, 9, connection) == (stored,)
    assert store.run(connections.get, connection).open_suggestions == 2


def test_dismissed_stays_dismissed(store: Store, connection: str) -> None:
    (found,) = store.run(suggestions.save, connection, [MISSING]).ids
    store.run(suggestions.set_status, found, SuggestionStatus.DISMISSED, "dba", "we drop it next week")
    store.run(suggestions.save, connection, [MISSING], complete_rules=RULES)
    stored = store.run(suggestions.get, found)
    assert (stored.status, stored.dismiss_reason) == (SuggestionStatus.DISMISSED, "we drop it next week")
    assert store.run(suggestions.listing, connection, status=SuggestionStatus.NEW) == ()
    assert [entry.kind for entry in store.run(activity.recent)] == ["suggestion.dismissed"]
    reopened = store.run(suggestions.set_status, found, SuggestionStatus.REVIEWED, "dba")
    assert (reopened.dismissed_at, reopened.dismiss_reason) == (None, None)


def test_not_found_again_is_resolved_only_by_a_complete_look(store: Store, connection: str) -> None:
    (found,) = store.run(suggestions.save, connection, [MISSING]).ids
    assert store.run(suggestions.save, connection, [UNUSED], complete_rules=frozenset({"unused-index"})).resolved == 0
    assert store.run(suggestions.save, connection, [UNUSED], complete_rules=RULES).resolved == 1
    assert found not in {each.id for each in store.run(suggestions.listing, connection)}
    gone = store.run(suggestions.get, found)
    assert gone.resolved_at is not None and not gone.is_open
    assert store.run(connections.get, connection).open_suggestions == 1
    store.run(suggestions.save, connection, [MISSING], complete_rules=RULES)
    assert store.run(suggestions.get, found).is_open


def test_what_is_being_applied_is_not_gone_when_it_is_not_found(store: Store, connection: str) -> None:
    (found,) = store.run(suggestions.save, connection, [MISSING]).ids
    planned = store.run(
        lambda: changes.plan(
            connection, Analyze("public", "orders"), "…", actor="dba", plan_hash="h", target={}, suggestion_id=found
        )
    )
    store.run(changes.move, planned.id, ChangeState.PLANNED, ChangeState.RUNNING)
    assert store.run(suggestions.save, connection, [], complete_rules=RULES).resolved == 0, "it is there, half made"
    store.run(changes.move, planned.id, ChangeState.RUNNING, ChangeState.FAILED)
    assert store.run(suggestions.get, found).is_open
    assert store.run(suggestions.save, connection, [], complete_rules=RULES).resolved == 1


def test_the_most_urgent_are_the_first_open_ones_of_the_list(store: Store, connection: str) -> None:
    low, high = SuggestionPriority.LOW, SuggestionPriority.HIGH
    urgency = {"a": (low, 9e9), "b": (high, None), "c": (high, 5.0), "d": (high, 7.0), "e": (low, 1.0)}
    given = [
        replace(MISSING, identity=name, priority=priority, gain_ms_per_day=gain)
        for name, (priority, gain) in urgency.items()
    ]
    found = store.run(suggestions.save, connection, given)
    store.run(suggestions.set_status, found.ids[3], SuggestionStatus.DISMISSED, "mira")
    open_ones = [each.id for each in store.run(suggestions.listing, connection) if each.is_open]
    assert open_ones == [found.ids[place] for place in (2, 1, 0, 4)]
    for n in (0, 1, 3, 9):
        first = store.run(partial(suggestions.listing, connection, open_only=True, limit=n))
        assert [each.id for each in first] == open_ones[:n]
    assert store.run(lambda: suggestions.listing("con_none", open_only=True, limit=3)) == ()


def test_no_more_are_read_than_a_list_holds_and_the_open_ones_first(
    store: Store, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, high = SuggestionPriority.LOW, SuggestionPriority.HIGH
    given = [replace(MISSING, identity=f"m{n}", priority=high if n < 6 else low) for n in range(12)]
    found = store.run(suggestions.save, connection, given)
    for each in found.ids[:4]:
        store.run(suggestions.set_status, each, SuggestionStatus.DISMISSED, "mira")
    fetched: list[int] = []
    iterate = peewee.CursorWrapper.iterate

    def counted(self: Any, cache: bool = True) -> Any:
        row = iterate(self, cache)
        fetched.append(1)
        return row

    monkeypatch.setattr(peewee.CursorWrapper, "iterate", counted)
    listed = store.run(lambda: suggestions.listing(connection, resolved=True, limit=10))
    assert len(fetched) == len(listed) == 10
    assert {each.id for each in listed if each.is_open} == set(found.ids[4:]), "none of them was left out for others"
    assert [each.priority for each in listed] == [high] * 4 + [low] * 6
    fetched.clear()
    store.run(suggestions.of_query, 9, connection)
    assert len(fetched) <= 8


def test_applied_reopens_only_on_younger_data(store: Store, connection: str) -> None:
    (found,) = store.run(suggestions.save, connection, [MISSING]).ids
    store.run(suggestions.set_status, found, SuggestionStatus.APPLIED, "dba")
    store.run(suggestions.save, connection, [MISSING])
    assert store.run(suggestions.get, found).status is SuggestionStatus.APPLIED
    store.run(lambda: models.Connection.update(last_sync_at=now_ms() + 1000).execute())
    store.run(suggestions.save, connection, [MISSING])
    stored = store.run(suggestions.get, found)
    assert (stored.status, stored.applied_at) == (SuggestionStatus.NEW, None)
    (said,) = store.run(activity.recent, 1)
    assert (said.kind, said.subject, said.actor) == ("suggestion.new", found, "meshag")


def test_moves_that_make_no_sense_are_refused(store: Store, connection: str) -> None:
    (found,) = store.run(suggestions.save, connection, [MISSING]).ids
    store.run(suggestions.set_status, found, SuggestionStatus.APPLIED, "dba")
    with pytest.raises(MeshagError, match="APPLIED cannot become DISMISSED"):
        store.run(suggestions.set_status, found, SuggestionStatus.DISMISSED, "dba")
    store.run(suggestions.set_status, found, SuggestionStatus.NEW, "dba")
    with pytest.raises(MeshagError, match="no suggestion"):
        store.run(suggestions.get, "sug_none")
