"""Talking with a model by keys alone: begun on a query, agreed to, stopped, gone on with from the list."""

from __future__ import annotations

import json

import pytest

from meshag_tui.settings import LlmSettings
from meshag_tui.store import threads
from meshag_tui.widgets.page import Page
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm, Reply
from tests.screens import shop
from tests.screens.conftest import AT, Open


@pytest.fixture
def shop_id(bench: Workbench, fake_llm: FakeLlm) -> str:
    bench.settings = bench.settings._replace(llm=LlmSettings(base_url=fake_llm.base_url, model="m1", timeout_s=5))
    return bench.store.run(shop.fill_open, bench.vault)


async def test_a_query_is_talked_about_by_keys(
    bench: Workbench, at_desk: Open, shop_id: str, fake_llm: FakeLlm
) -> None:
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await desk.press("2")
        await desk.until("shop.orders")
        await desk.press("enter", "T")
        await desk.until("Ask about it")
        await desk.until("of shop · m1")
        assert "esc leaves" in desk.screen and not fake_llm.requests
        await desk.type("why?")
        await desk.press("enter")
        await desk.until("Exactly this is sent")
        await desk.press("c")
        await desk.until("Nothing was sent")
        assert bench.store.run(threads.page) == () and not fake_llm.requests, "looking keeps nothing"
        fake_llm.script = [Reply("It [bold]reads[/] 987 h of rows. " * 3, gap_s=0.15)]
        await desk.press("enter", "s")
        await desk.until("is writing")
        await desk.until("unchecked: 987 h")
        assert "987 h [?]" in desk.screen and "[bold]reads[/]" in desk.screen
        sent = json.dumps(fake_llm.requests[0].body)
        assert "shop.orders" in sent and "why?" in sent

        fake_llm.script = [Reply("on and on and on and on " * 9, gap_s=0.1)]
        await desk.type("more?")
        await desk.press("enter")
        await desk.until("on and on")
        await desk.press("escape")
        await desk.until("Cancelled")
        await desk.press("tab", "p")
        await desk.until("What the next question sends")
        await desk.press("escape", "E")
        await desk.until("Change this thread")
        await desk.press("home")
        await desk.type("Mine ")
        await desk.press("enter")
        await desk.until("name is now Mine SELECT")
        file = bench.settings.home / "thread.md"
        await desk.press("e")
        await desk.until("Write this thread to a file")
        await desk.press("ctrl+u")
        await desk.paste(str(file))
        await desk.press("enter")
        await desk.until("Wrote ")
        written = file.read_text()
        assert written.startswith("# Mine SELECT") and "## Evidence, as it was at" in written
        assert "unchecked: 987 h" in written and "Cancelled" in written
        await desk.press("escape")
        await desk.gone("Ask about it")
        await desk.press("A", "b")
        await desk.until("Mine SELECT")
        await desk.press("D")
        await desk.until("nothing was said yet")
    (row,) = bench.store.run(threads.page, removed=True)
    states = [each.state for each in bench.store.run(threads.get, row.id).messages if each.role == "assistant"]
    assert states == ["complete", "cancelled"]


async def test_who_leaves_while_an_answer_comes_leaves_at_once(
    bench: Workbench, at_desk: Open, shop_id: str, fake_llm: FakeLlm
) -> None:
    fake_llm.script = [Reply("on and on and on and on " * 9, gap_s=0.1)]
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await desk.press("2")
        await desk.until("shop.orders")
        await desk.press("enter", "T")
        await desk.until("of shop · m1")
        await desk.type("more?")
        await desk.press("enter")
        await desk.until("Exactly this is sent")
        await desk.press("s")
        await desk.until("on and on")
        desk.app.simulate_key("escape")
        desk.app.simulate_key("escape")
        await desk.gone("Ask about it")
        await desk.until("shop.orders")
        await desk.press("T")
        await desk.until("Begin anew")
        await desk.press("down", "enter")
        await desk.until("Cancelled")


async def test_an_answer_of_ten_thousand_lines_is_text_and_can_be_scrolled(
    bench: Workbench, at_desk: Open, shop_id: str, fake_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sequence that writes the clipboard, an end tag that opens nothing, and a bracketed action in it."""
    monkeypatch.setattr("tests.rig.llm.CHUNK", 2_000)  # in pieces of a word it would be larger than an answer may be
    nasty = "\x1b]52;c;aGk=\x07 [/b] [@click=app.quit]leave[/] \x9b2J"
    lines = [f"line {number} of it" for number in range(1, 10_001)]
    fake_llm.script = [Reply("\n".join([nasty, *lines, "the end of it"]))]
    async with at_desk(bench, size=(100, 30), clock=lambda: AT / 1000) as desk:
        await desk.press("2")
        await desk.until("shop.orders")
        await desk.press("enter", "T")
        await desk.until("Ask about it")
        await desk.type("why?")
        await desk.press("enter")
        await desk.until("Exactly this is sent")
        await desk.press("s")
        await desk.until(lambda _: "the end of it" in desk.app.screen.query_one("#said", Page).copy_text)
        page = desk.app.screen.query_one("#said", Page)
        assert "line 1 of it" in page.copy_text
        assert "line 9999 [?] of it" in page.copy_text
        await desk.press("tab", "g")
        await desk.until("[/b] [@click=app.quit]leave[/]")
        for character in "\x1b\x07\x9b":
            assert character not in desk.screen
        await desk.press("pagedown")
        await desk.until("line 30 [?] of it")
        await desk.press("G")
        await desk.until("the end of it")
        assert desk.app.is_running


async def test_a_suggestion_is_talked_about_and_an_old_thread_is_offered(
    bench: Workbench, at_desk: Open, shop_id: str, fake_llm: FakeLlm
) -> None:
    draft = await bench.threads.draft("sug_0000000000000001")
    assert "Advice sug_0000000000000001: missing-index" in draft.evidence["text"]
    await bench.threads.begin(draft)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("4")
        await desk.until("4 of 4")
        await desk.press("T")
        await desk.until("Begin anew")
        await desk.press("down", "enter")
        await desk.until("Ask about it")
        assert "suggestion sug_0000000000000001 of shop" in desk.screen
        fake_llm.script = [Reply(status=401)]
        await bench.advice.give_model_consent(draft.row.connection_id)
        await desk.type("sure?")
        await desk.press("enter")
        await desk.until("refused the key")
        await desk.press("escape")
        await desk.gone("Ask about it")
