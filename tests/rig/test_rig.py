"""The rig itself: what the fixtures promise is so."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import openai
import psycopg
import pytest
from playhouse.db_url import parse

from meshag_tui.store import activity
from meshag_tui.store.database import Store
from tests.rig.audited import told
from tests.rig.llm import FakeLlm, Reply
from tests.rig.postgres import Database


def test_an_audit_that_knew_of_no_package_does_not_pass_for_one() -> None:
    unknown = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1)"}
    ours = {"name": "meshag-tui", "skip_reason": "distribution marked as editable"}
    fine, flawed = {"name": "b", "version": "1", "vulns": []}, {"name": "c", "version": "2"}
    flawed["vulns"] = [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]  # type: ignore[assignment]
    for nothing in ({}, {"dependencies": [unknown, ours]}):
        assert told(nothing) == (["not audited: no service that knows of flaws can be reached from here"], False)
    assert told({"dependencies": [unknown, fine, ours]}) == (["1 of 2 packages audited, 0 flaws known"], False)
    lines, bad = told({"dependencies": [fine, flawed]})
    assert bad and lines[0] == "c 2: PYSEC-1, mended in 2.1"


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_database(pg18: Database, turn: int) -> None:
    pg18.execute("CREATE TABLE mine AS SELECT 1 AS n")
    assert pg18.fetch("SELECT n FROM mine") == [(1,)]


def test_every_version_counts_statements(pg_all: Database) -> None:
    assert pg_all.fetch("SHOW server_version_num")[0][0].startswith(str(pg_all.major))
    pg_all.execute("CREATE TABLE counted (n int)", "INSERT INTO counted SELECT 1")
    with psycopg.connect(pg_all.monitor_url) as monitor:
        assert monitor.execute("SELECT count(*) FROM counted").fetchone() == (1,)
        rows = monitor.execute(
            "SELECT calls FROM pg_stat_statements WHERE query LIKE 'INSERT INTO counted%'"
        ).fetchall()
        assert rows == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("INSERT INTO counted SELECT 2")


def test_hypopg_on_15(pg15: Database) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not installed (tests/run says why)")
    pg15.execute("CREATE EXTENSION hypopg", "CREATE TABLE t AS SELECT g FROM generate_series(1, 10000) g", "ANALYZE t")
    with pg15.connect() as connection:
        connection.execute("SELECT * FROM hypopg_create_index('CREATE INDEX ON t (g)')")
        plan = connection.execute("EXPLAIN SELECT * FROM t WHERE g = 1").fetchall()
    assert "btree_t_g" in str(plan)


def test_a_store_is_made_and_empty(store_url: str) -> None:
    store = Store.open(store_url)
    assert store.migrated == () and store.run(activity.recent, 5) == ()
    store.close()


def test_an_unmade_store_is_nothing_yet(unmade_store_url: str) -> None:
    if unmade_store_url.startswith("sqlite"):
        assert not Path(unmade_store_url.removeprefix("sqlite:///")).exists()
        assert parse(unmade_store_url)["database"].endswith("store.db")
    else:
        with psycopg.connect(unmade_store_url) as connection:
            objects = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            assert connection.execute(objects).fetchone() == (0,)


def test_clean_home(clean_home: Path) -> None:
    assert os.environ["MESHAG_HOME"] == str(clean_home)
    assert not clean_home.exists()


async def test_fake_llm_says_what_it_is_told(fake_llm: FakeLlm) -> None:
    client = openai.AsyncOpenAI(base_url=fake_llm.base_url, api_key="k", max_retries=1)
    messages = [{"role": "user", "content": "hello"}]
    busy = Reply("slow down", status=429, headers={"Retry-After": "0"})
    fake_llm.script = [busy, Reply("nine characters"), Reply("streamed text")]
    answer = await client.chat.completions.create(model="m", messages=messages)
    assert answer.choices[0].message.content == "nine characters"
    assert answer.usage and answer.usage.prompt_tokens == 11
    stream = await client.chat.completions.create(
        model="m", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    said, usage = "", None
    async for chunk in stream:
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert said == "streamed text"
    assert usage and usage.total_tokens == 18
    fake_llm.script = [Reply("from responses")]
    assert (await client.responses.create(model="m", input="x")).output_text == "from responses"
    fake_llm.script = [Reply(drop=True), Reply(drop=True)]
    with pytest.raises(openai.APIConnectionError):
        await client.chat.completions.create(model="m", messages=messages)
    fake_llm.script = [Reply("x" * 80, gap_s=0.2)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            async for _ in await client.chat.completions.create(model="m", messages=messages, stream=True):
                pass
    assert [request.path for request in fake_llm.requests][:2] == ["/v1/chat/completions"] * 2
    assert fake_llm.requests[0].headers["authorization"] == "Bearer k"
    for _ in range(600):
        if fake_llm.client_left:
            break
        await asyncio.sleep(0.05)
    assert fake_llm.client_left == 1
    await client.close()
