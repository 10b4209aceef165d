"""The threads in which people talk with models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshag_tui.figures import ago
from meshag_tui.screens.entities import Kind, Verb
from meshag_tui.screens.thread import in_short, open_thread
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.form import Field
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State


class Threads(Kind):
    """What was said with models, about what."""

    name, title = "threads", "Threads"
    cut = "the newest"
    empty = State(
        Condition.EMPTY,
        "nothing was said yet",
        "A thread is about one statement, plan or suggestion, and keeps the evidence it began with.",
        "T on a query or a suggestion begins one.",
    )
    columns = (
        Column("name", "About", 20, flex=3, keep=100, prose=True),
        Column("subject_kind", "Kind", 10, keep=60),
        Column("connection", "Connection", 12, flex=1, keep=70),
        Column("agent", "Agent", 12, value=lambda row: row.agent or "", keep=35),
        Column("messages", "Said", 5, align="right", keep=50),
        Column("actor", "By", 8, keep=40),
        Column("updated_at", "Last", 10, render=ago, descending=True, keep=80),
    )
    verbs = (
        Verb("edit", "Change", "Change name, model or instructions", needs="llm"),
        Verb("remove", "Remove", "Hide it; what it cost stays", needs="llm"),
        Verb("removed", "Removed ones", "Show the ones that were removed, or the others", of_row=False, needs=""),
        Verb("restore", "Take back", "Take a removed one back", needs="llm"),
    )

    _removed = False

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.threads.page(limit, removed=self._removed)

    async def heading(self) -> str:
        return "those that were removed" if self._removed else ""

    async def about(self, row: Any) -> list[Piece]:
        return in_short(await self.bench.threads.get(row.id))

    async def open(self, row: Any) -> None:
        """Go on with it."""
        await open_thread(self.pane, row.id)

    def why_not(self, verb: str, row: Any) -> str | None:
        if row is None:
            return None
        if verb == "restore":
            return None if row.deleted_at is not None else "it is not removed"
        if verb in ("edit", "remove"):
            return "it is removed: m takes it back" if row.deleted_at is not None else None
        return None

    async def do_edit(self, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            model = values["model"].strip() or None
            saved = await self.bench.threads.edit(
                row.id, name=values["name"], model=model, instructions=values["instructions"]
            )
            return f"Saved {saved.name}"

        fields = (
            Field("name", "Name", row.name, required=True),
            Field("model", "Model", row.model or "", hint="NAME or NAME/MODEL of a provider; empty: in their order"),
            Field("instructions", "Instructions", row.instructions, hint="what the model is told beside the usual"),
        )
        self.form("Change a thread", fields, save)

    async def do_remove(self, row: Any) -> None:
        await self.bench.threads.remove(row.id)
        self.done(f"Removed {row.name}: m shows and takes back what was removed")

    async def do_removed(self) -> None:
        self._removed = not self._removed
        self.pane.refresh_soon()

    async def do_restore(self, row: Any) -> None:
        await self.bench.threads.restore(row.id)
        self.done(f"{row.name} is back")
