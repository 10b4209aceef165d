"""A thread with a model on a real statement: what is sent, what is believed, what is kept, and how it ends."""

from __future__ import annotations

import asyncio
import json

import pytest

from meshag_tui.agents import figures, transcript
from meshag_tui.agents.provider import LlmError, NotAllowed
from meshag_tui.store import history, ledger, suggestions, threads
from meshag_tui.store.ids import query_uid
from meshag_tui.types import EvidenceKind, UsageError
from meshag_tui.workflows.model_advice import NoConsent
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm, Reply

INDEX = {"kind": "create_index", "table": "public.orders", "columns": ["customer_id"], "order": ["asc"]}
CANARY = "hunter2-canary"


async def test_a_thread_from_the_first_question_to_a_suggestion_that_was_checked(
    shop_bench: Workbench, slow: history.QueryRow, fake_llm: FakeLlm
) -> None:
    bench = shop_bench
    draft = await bench.threads.draft(slow.uid)
    assert draft.row.id == "" and await bench.store.read(threads.page) == (), "looking keeps nothing"
    shown = draft.evidence["text"]
    assert "12 calls" in shown and "Seq Scan" in shown and CANARY not in shown, "figures and plan, no comment"
    sending = await bench.threads.preview(draft, "Why is it slow?")
    assert sending.text.endswith("Question: Why is it slow?") and not sending.agreed and not fake_llm.requests

    thread_id = await bench.threads.begin(draft)
    with pytest.raises(NoConsent):
        await bench.threads.ask(thread_id, "Why is it slow?")
    assert not fake_llm.requests and (await bench.store.read(threads.get, thread_id)).messages == ()
    await bench.advice.give_model_consent(draft.row.connection_id)
    rubbish = {"kind": "create_index", "table": "public.nothing", "columns": ["x"], "order": ["asc"]}
    proposals = {"proposals": [{**INDEX, "query_ids": [slow.uid], "title": "Index", "why": "It reads all"}, rubbish]}
    answer = f"The 12 calls read all 30,000 rows; an index makes it 250x faster.\n```json\n{json.dumps(proposals)}\n```"
    fake_llm.script = [Reply(answer)]
    heard: list[str] = []
    said = await bench.threads.ask(thread_id, "Why is it slow?", heard.append)
    sent = fake_llm.requests[0].body["messages"]
    assert "\n\n".join(message["content"] for message in sent) == sending.text, "exactly what was shown"
    assert heard[-1] == said.content and "proposals" not in said.content
    assert figures.unchecked(figures.parts(said.content, shown)) == ("250x",)
    (made,) = said.details["suggestions"]
    assert made["evidence"] == "stated" and "nothing" in said.details["dropped"][0]
    kept = await bench.store.read(suggestions.get, made["id"])
    assert (kept.rule, kept.origin, kept.evidence_kind) == ("llm-index", "llm", EvidenceKind.STATED)
    assert kept.evidence["thread"] == thread_id
    (row,) = await bench.store.read(ledger.page)
    assert (row.purpose, row.outcome, row.id, row.query_ids) == ("thread", "success", said.usage, (slow.uid,))

    fake_llm.script = [Reply("As I said.")]
    await bench.threads.edit(thread_id, name="Orders", instructions="Be brief.")
    await bench.threads.ask(thread_id, "Sure? password=hunter2")
    sent = fake_llm.requests[1].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert "Be brief." in sent[0]["content"] and "hunter2" not in json.dumps(sent)
    assert "hunter2" not in str((await bench.store.read(threads.get, thread_id)).messages)
    written = transcript.markdown(await bench.store.read(threads.get, thread_id))
    assert "Not in the evidence, unchecked: 250x" in written and "## Evidence" in written
    await bench.threads.remove(thread_id)
    with pytest.raises(UsageError, match="was removed"):
        await bench.threads.ask(thread_id, "Still there?")


async def test_what_fails_or_is_cancelled_is_kept_as_that_and_not_sent_again(
    shop_bench: Workbench, slow: history.QueryRow, fake_llm: FakeLlm
) -> None:
    bench = shop_bench
    thread_id = await bench.threads.begin(await bench.threads.draft(slow.uid, plan=True))
    info_id = slow_connection = (await bench.store.read(threads.get, thread_id)).row.connection_id
    await bench.advice.give_model_consent(slow_connection)
    fake_llm.script = [Reply(status=401), Reply("one two three four five six", gap_s=0.3), Reply("Well.")]
    with pytest.raises(LlmError, match="refused the key"):
        await bench.threads.ask(thread_id, "First?")
    came = asyncio.Event()
    asking = asyncio.create_task(bench.threads.ask(thread_id, "Second?", lambda text: came.set() if text else None))
    await asyncio.wait_for(came.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await bench.threads.ask(thread_id, "Third?")
    thread = await bench.store.read(threads.get, thread_id)
    assert [(each.role, each.state) for each in thread.messages] == [
        *(("user", "complete"), ("assistant", "failed")),
        *(("user", "complete"), ("assistant", "cancelled")),
        *(("user", "complete"), ("assistant", "complete")),
    ]
    assert thread.messages[3].content.startswith("one two")
    sent = fake_llm.requests[2].body["messages"]
    assert len(sent) == 2 and "First?" not in sent[1]["content"], "questions without an answer are left out"
    assert [row.outcome for row in await bench.store.read(ledger.page)] == ["success", "cancelled", "error"]

    await bench.models.set_cache_only(True)
    with pytest.raises(LlmError, match="only kept answers"):
        await bench.threads.ask(thread_id, "Fourth?")
    await bench.models.set_cache_only(False)
    away = fake_llm.base_url.replace("127.0.0.1", "0.0.0.0")  # answers, and is no loopback address
    await bench.models.add_provider("away", "other", ["m2"], base_url=away)
    await bench.threads.edit(thread_id, model="away")
    await bench.connections.edit(info_id, no_cloud=True)
    with pytest.raises(NotAllowed, match="only models on this machine"):
        await bench.threads.ask(thread_id, "Fifth?")
    assert len(fake_llm.requests) == 3 and query_uid(slow.id) == thread.row.subject_id
