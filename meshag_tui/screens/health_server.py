"""Two lists of the place of health: the server's settings with reasons, and what changed of its structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.figures import moment, number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.entities import Kind
from meshag_tui.store import history
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.workflows import settings_review

if TYPE_CHECKING:
    from meshag_tui.engines.reviewing import Judged
    from meshag_tui.store.history import SchemaChange, SchemaVersion

_JUDGED: dict[str, tuple[str, Tone]] = {
    "wrong": ("bad", "critical"),
    "look": ("warning", "warning"),
    "ok": ("ok", "good"),
}


def _judged(judgement: str) -> str:
    return f"{getattr(glyphs(), _JUDGED[judgement][0])} {judgement}"


class Reviewed(Kind):
    """The server's settings, those to look at first."""

    name, title = "settings", "Settings"
    empty = State(Condition.EMPTY, "there is no connection yet")
    columns = (
        Column("judgement", "", 7, render=_judged, tone=lambda word: _JUDGED.get(word, ("", ""))[1], keep=90),
        Column("name", "Setting", 22, flex=1, keep=100),
        Column("value", "Value", 12, flex=1, keep=95),
        Column("reason", "Why", 30, flex=5, prose=True, keep=80),
    )

    def key(self, row: Any) -> str:
        return str(row.name)

    async def rows(self, limit: int) -> Sequence[Any]:
        info = self.pane.connection
        return () if info is None else (await self.bench.store.read(settings_review.review, info.id))[:limit]

    async def about(self, row: Judged) -> list[Piece]:
        word = _judged(row.judgement)
        return [
            ("bold", f"{row.name} = {row.value}  "),
            (_JUDGED[row.judgement][1], f"{word}\n"),
            ("", f"{row.reason}\n"),
        ]


class Schemas(Kind):
    """The structure as it was, and what each version changed."""

    name, title = "schema", "Schema"
    cut = "the newest"
    empty = State(Condition.EMPTY, "the structure was never read", "A sync that reads tables keeps it when it changed.")
    columns = (
        Column("taken_at", "Seen", 19, render=moment, descending=True, keep=100),
        Column("hash", "Version", 12, flex=1, render=lambda text: text[:12], keep=60),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        info = self.pane.connection
        return () if info is None else await self.bench.store.read(history.schema_versions, info.id, limit)

    async def about(self, row: SchemaVersion) -> list[Piece]:
        info = self.pane.connection
        known = () if info is None else await self.bench.store.read(history.schema_versions, info.id)
        before = next((each for each in known if each.id < row.id), None)
        if before is None:
            return [("dim", f"The first that was seen, {moment(row.taken_at)}: there is nothing to compare it with.\n")]
        changes = await self.bench.store.read(history.schema_diff, before.id, row.id)
        return [("dim", f"Since {moment(before.taken_at)}: {number_of(len(changes), 'difference')}\n"), *diff(changes)]


def diff(changes: Sequence[SchemaChange]) -> list[Piece]:
    """Differences of a structure as lines with a sign each: + came, - went, ~ is another."""
    said: list[Piece] = []
    for each in changes:
        tone = {"added": "good", "removed": "critical"}.get(each.kind, "warning")
        sign = {"added": "+", "removed": "-"}.get(each.kind, "~")
        said.append((tone, f"{sign} {each.part} {each.name}"))
        if each.kind == "changed":
            said += [("", "\n"), ("critical", f"    - {each.before}\n"), ("good", f"    + {each.after}")]
        elif each.after or each.before:
            said.append(("dim", f"  {each.after or each.before}"))
        said.append(("", "\n"))
    return said
