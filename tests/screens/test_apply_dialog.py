"""The dialog before a change: what is blocked cannot be run, what is warned of is accepted, what goes is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

from meshag_tui.changes.review import Review
from meshag_tui.engines.base import Gate
from meshag_tui.screens.apply import ApplyDialog
from meshag_tui.types import CreateIndex, DropIndex, IndexColumn, IndexSpec, MeshagError
from meshag_tui.widgets.guarded import GuardedApp
from tests.rig.screen import shown

PASSES = (
    Gate("server role", "primary", "primary", "pass"),
    Gate("free disk", "79 GB", "≥ 5 MB", "pass"),
)
WARNS = Gate("active sessions", "5", "< 4", "warn", "Others will feel the build")
BLOCKS = Gate("replica lag", "unknown", "< 10 s", "block", "Grant pg_monitor to see it")
UNKNOWN = Gate("free disk", "unknown", "≥ 5 MB", "unknown", "The server does not say; make sure that it fits")
CREATE = Review(
    connection_id="con_1",
    target_label="owner@db1.example.org:5432/shop",
    change=CreateIndex(IndexSpec("shop", "orders", (IndexColumn("customer_id"),))),
    sql="CREATE INDEX CONCURRENTLY orders_customer_id_idx ON shop.orders USING btree (customer_id)",
    undo_sql="DROP INDEX CONCURRENTLY shop.orders_customer_id_idx",
    catalogue={},
    gates=PASSES,
    plan_hash="hash",
    made_at=0,
    needs_name=None,
)
DROP = replace(
    CREATE,
    change=DropIndex("shop", "orders", "orders_old_idx"),
    sql="DROP INDEX CONCURRENTLY shop.orders_old_idx",
    undo_sql="CREATE INDEX CONCURRENTLY orders_old_idx ON shop.orders USING btree (status)",
    needs_name="orders_old_idx",
)
REVIEW = {
    "create": CREATE,
    "warned": replace(CREATE, gates=(*PASSES, WARNS)),
    "blocked": replace(CREATE, gates=(*PASSES, WARNS, BLOCKS)),
    "drop": replace(DROP, gates=(*PASSES, WARNS)),
}


async def until_shown(pilot: Pilot[None], *words: str) -> str:
    """What is shown, as soon as all these words are."""
    async with asyncio.timeout(30):
        while not all(each in (said := shown(pilot.app)) for each in words):
            await pilot.pause(0.02)
    return said


def asked(review: Review) -> Callable[[], Awaitable[Review]]:
    async def ask() -> Review:
        return review

    return ask


class Host(GuardedApp):
    """An application that shows one dialog and keeps its answer."""

    def __init__(self, dialog: ApplyDialog) -> None:
        super().__init__("dark")
        self.dialog = dialog
        self.answers: list[str | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self.answers.append)


async def answers(
    ask: Callable[[], Awaitable[Review]] | ApplyDialog, *keys: str, seen: list[str] | None = None
) -> list[str | None]:
    app = Host(ask if isinstance(ask, ApplyDialog) else ApplyDialog("Apply", ask))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause(0.05)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        if seen is not None:
            seen.append(shown(app))
    return app.answers


async def test_a_second_key_runs_it_and_nothing_else_does() -> None:
    assert await answers(asked(CREATE), "r") == ["hash"]
    assert await answers(asked(CREATE), "enter") == [None], "the focus stands on the harmless answer"
    assert await answers(asked(CREATE), "escape") == [None]
    assert await answers(asked(CREATE), "a", "w", "space") == [None]


async def test_a_warning_must_be_accepted_first() -> None:
    seen: list[str] = []
    assert await answers(asked(REVIEW["warned"]), "r", seen=seen) == []
    assert "There is a warning" in seen[0] and "warns  active sessions: 5 (limit: < 4)" in seen[0]
    assert await answers(asked(REVIEW["warned"]), "w", "r") == ["hash"]


async def test_what_is_not_known_must_be_gone_on_without_by_a_key_of_its_own() -> None:
    review, seen = replace(CREATE, gates=(*PASSES, WARNS, UNKNOWN)), list[str]()
    assert await answers(asked(review), "r", "w", "r", seen=seen) == []
    assert "Not known: free disk. k goes on without knowing" in seen[0]
    assert "unknown free disk: unknown (limit: ≥ 5 MB)" in seen[0] and "make sure" in seen[0]
    assert await answers(asked(review), "k", "r") == [], "the warning is another question"
    dialog = ApplyDialog("Apply", asked(review))
    assert await answers(dialog, "k", "w", "r") == ["hash"] and dialog.accept == ("free disk",)


async def test_what_is_blocked_cannot_be_run_and_says_why() -> None:
    seen: list[str] = []
    assert await answers(asked(REVIEW["blocked"]), "r", seen=seen) == []
    assert "Not possible now: replica lag is unknown, must be < 10 s" in seen[0]
    assert "Grant pg_monitor to see it" in seen[0]


async def test_what_is_dropped_must_be_named_after_its_warnings() -> None:
    name = ["underscore" if letter == "_" else letter for letter in "orders_old_idx"]
    assert await answers(asked(REVIEW["drop"]), "r", "enter") == [None]
    assert await answers(asked(REVIEW["drop"]), "w", *name, "enter") == ["hash"]
    seen: list[str] = []
    assert await answers(asked(REVIEW["drop"]), "w", *name[:-1], "enter", seen=seen) == []
    assert "That is not the name" in seen[0]
    assert await answers(asked(REVIEW["drop"]), *name, "enter") == [None], (
        "c and n leave until the warnings are accepted"
    )


async def test_what_is_longer_than_the_terminal_says_which_key_reads_on() -> None:
    review = replace(CREATE, gates=tuple(Gate(f"gate {number}", "1", "2", "pass") for number in range(14)))
    answered = asyncio.Event()

    async def ask() -> Review:
        await answered.wait()
        return review

    app = Host(ApplyDialog("Apply", ask))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "pgdn" not in await until_shown(pilot, "asking the server")
        answered.set()
        said = await until_shown(pilot, "pgdn: 5 more")
        assert "gate 9" in said and "DROP INDEX" not in said
        await pilot.press("pagedown")
        said = await until_shown(pilot, "pgup reads back")
        assert "DROP INDEX" in said and "pgdn" not in said
        await pilot.resize_terminal(80, 18)
        await until_shown(pilot, "pgdn: 5 more")
        await pilot.resize_terminal(120, 40)
        said = await until_shown(pilot, "gate 0", "DROP INDEX")
        assert "pgdn" not in said and "pgup" not in said


async def test_no_answer_while_the_server_is_asked_and_an_error_is_said() -> None:
    async def never() -> Review:
        await asyncio.sleep(60)
        raise AssertionError

    seen: list[str] = []
    assert await answers(never, "r", "r", "w", seen=seen) == []
    assert "asking the server" in seen[0]

    async def fails() -> Review:
        raise MeshagError("The index is gone: sync, and look again")

    seen.clear()
    assert await answers(fails, "r", seen=seen) == []
    assert "The index is gone: sync, and look again" in seen[0] and "Nothing was run" in seen[0]


async def test_an_old_review_is_not_run(monkeypatch: Any) -> None:
    monkeypatch.setattr("meshag_tui.screens.apply.VALID_S", -1.0)
    seen: list[str] = []
    assert await answers(asked(CREATE), "r", seen=seen) == []
    assert "too old by now" in seen[0]


async def test_names_are_shown_as_they_are() -> None:
    hostile = "x[bold]y[/]\x1b[2J[@click=app.quit]"
    review = replace(
        CREATE, sql=f'CREATE INDEX "{hostile}"', target_label=hostile, gates=(replace(WARNS, value=hostile),)
    )
    seen: list[str] = []
    await answers(asked(review), seen=seen)
    assert "x[bold]y[/]␛[2J[@click=app.quit]" in seen[0] and "\x1b" not in seen[0]
