"""A suggestion with the statement that the engine wrote for its change."""

from __future__ import annotations

from dataclasses import replace

from meshag_tui.engines.base import RenderedChange
from meshag_tui.types import CreateIndex, Suggestion


def written(one: Suggestion, rendered: RenderedChange) -> Suggestion:
    """The suggestion with statement and undo, and with what tells later that the object is still the same."""
    known = {**one.evidence, "object": rendered.identity(makes=isinstance(one.change, CreateIndex))}
    return replace(one, sql=rendered.sql, undo_sql=rendered.undo_sql, evidence=known)
