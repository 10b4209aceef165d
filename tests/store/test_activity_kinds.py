"""Every kind of entry is listed with what happened, written somewhere, and emitted by a test of what writes it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from meshag_tui.store.activity_kinds import KINDS
from meshag_tui.types import ChangeState, SuggestionStatus
from tests.test_faults import TESTS
from tests.workflows.test_all_or_nothing import PATHS

SOURCE = TESTS.parent / "meshag_tui"
_KIND = re.compile(r"[a-z]+\.[a-z]+|note|cost_alert")
_WRITERS = {"record", "_noted", "_mark", "_tell", "_draft", "_switched"}
MADE_UP_OF_A_STATE = {
    *(f"suggestion.{status.lower()}" for status in SuggestionStatus),
    *(f"change.{state}" for state in ChangeState if state not in (ChangeState.DONE, ChangeState.UNDONE)),
    *("agent.active", "agent.inactive", "agent.paused", "webhook.added", "webhook.changed", "webhook.removed"),
    *("session.cancel", "session.terminate", "key.revoked", "key.allowed", "thread.removed", "thread.restored"),
    "store.seeded",
}
"""Kinds whose second word is a value."""
EMITTED: dict[str, str] = {
    "activity.brought": "store/test_activity.py",
    "agent.started": "workflows/test_agents.py",
    "agent.completed": "workflows/test_agents.py",
    "agent.failed": "workflows/test_agents.py",
    "agent.waits": "workflows/test_agents.py",
    "agent.approved": "workflows/test_agents.py",
    "agent.refused": "workflows/test_agents.py",
    "agent.says": "workflows/test_agents.py",
    "basket.begun": "changes/test_basket.py",
    "basket.ended": "changes/test_basket.py",
    **{
        f"change.{state}": "changes/test_apply_undo.py"
        for state in ("planned", "gated", "running", "verifying", "applied", "undone")
    },
    "change.noted": "changes/test_faults.py",
    "change.failed": "changes/test_faults.py",
    "change.unknown": "changes/test_faults.py",
    "cost_alert": "store/test_money.py",
    "key.rejected": "store/test_people.py",
    "model.scored": "agents/test_regression.py",
    "run.cancelled": "workflows/test_sync.py",
    "session.cancel": "screens/test_sessions.py",
    "session.terminate": "screens/test_sessions.py",
    "statistics.reset": "changes/test_resetting.py",
    "store.seeded": "workflows/test_all_or_nothing.py",
    "suggestion.new": "store/test_suggestions.py",
    "suggestion.applied": "changes/test_apply_undo.py",
    "suggestion.rehearsed": "workflows/test_rehearsal.py",
}
"""What is not among the paths that are failed at each write: a test file that asks the log for it."""


def _written() -> set[str]:
    """The kinds that stand as they are in a call that writes an entry."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = [node.func, *node.args[:1]]  # handed to the store, it is its first argument
            names = {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in called}
            if names & _WRITERS:
                said = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                found |= {each for each in said if isinstance(each, str) and _KIND.fullmatch(each)}
    return found


def test_what_is_written_is_listed_and_what_is_listed_is_written() -> None:
    assert _written() | MADE_UP_OF_A_STATE == set(KINDS)
    assert all(happened and "\n" not in happened for happened in KINDS.values())


@pytest.mark.parametrize("kind", EMITTED)
def test_a_test_asks_the_log_for_it(kind: str) -> None:
    assert f'"{kind}"' in Path(TESTS / EMITTED[kind]).read_text(encoding="utf-8")


def test_every_kind_is_shown_by_a_test() -> None:
    assert set(EMITTED) | {kind for kind, _ in PATHS.values() if kind} == set(KINDS)
