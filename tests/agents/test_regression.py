"""The planted cases tell a model that advises well from one that does not, and a failure is no score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.agents import regression
from meshag_tui.agents.provider import LlmError
from meshag_tui.settings import LlmSettings, Settings
from meshag_tui.store import activity, ledger, scores
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm, Reply

EMPTY: dict[str, Any] = {"order": [], "method": None, "include": [], "where": None, "index": None}


def index(*columns: str) -> dict[str, Any]:
    return {**EMPTY, "kind": "create_index", "table": "public.orders", "columns": list(columns), "title": "An index",
            "why": "It is read whole", "query_ids": ["qry_0000000001"]}  # fmt: skip


def words(why: str) -> dict[str, Any]:
    return {**EMPTY, "kind": "query_advice", "table": None, "columns": [], "title": "Rewrite it", "why": why,
            "query_ids": ["qry_0000000001"]}  # fmt: skip


def reply(*proposals: dict[str, Any]) -> Reply:
    return Reply(json.dumps({"proposals": list(proposals)}))


WELL = (
    reply(index("customer_id")),
    reply(),
    reply(index("customer_id", "total")),
    reply(words("The cast to numeric keeps the index from being used")),
    reply(),
    reply(),
    reply(words("NOT EXISTS is quicker, but NULL in blocked changes what it returns")),
)
BADLY = (
    reply(),
    reply(index("total")),
    reply(index("note")),
    reply(index("customer_id")),
    reply(index("customer_id")),
    Reply(json.dumps({"proposals": [{**index(), "kind": "drop_index", "index": "orders_customer_total"}]})),
    reply(words("Use NOT EXISTS")),
)


@pytest.mark.slow
async def test_a_good_model_scores_all_and_a_bad_one_none(tmp_path: Path, fake_llm: FakeLlm) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    llm = LlmSettings(base_url=fake_llm.base_url, model="m1", timeout_s=20)
    settings = Settings(home=home, store_url=f"sqlite:///{home / 'meshag.db'}", llm=llm)
    # Priced by reckoning: a sandbox server for each case is what the advisor's own tests are for.
    settings = settings._replace(advice=settings.advice._replace(what_if="off"))
    async with await Workbench.open(settings) as bench:
        fake_llm.script = list(WELL)
        good = await bench.models.score("config")
        wrong = [one for one in good.document["cases"] if not one["passed"]]
        assert (good.passed, good.cases, wrong) == (7, 7, [])
        assert "customer_id = $1" in str(fake_llm.requests[0].body["messages"]), "a real prompt"
        fake_llm.script = list(BADLY)
        bad = await bench.models.score("config")
        assert (bad.passed, bad.cases) == (0, 7), bad.document
        reasons = {one["name"]: one["why"] for one in bad.document["cases"]}
        assert "none is needed" in reasons["healthy schema"] and "word of NULL" in reasons["NULL-unsafe rewrite"]
        assert "in use" in reasons["covered index"]
        assert len(bench.store.run(activity.recent, kind="model.scored")) == 2
        kept = bench.store.run(scores.page)
        assert [row.passed for row in kept] == [0, 7]
        assert scores.since(kept)[bad.id].said == f"-7 since {bad.release}" and good.id not in scores.since(kept)
        assert {row.purpose for row in bench.store.run(ledger.page)} == {"score"}
        fake_llm.script = [Reply(status=401)]
        with pytest.raises(LlmError, match="refused the key"):
            await bench.models.score("config")
        assert len(bench.store.run(scores.page)) == 2, "a model that cannot be asked has no score"


def test_tries_are_compared_between_releases_and_models() -> None:
    def tried(number: int, model: str, release: str, **cases: bool) -> scores.ScoreRow:
        document = {"cases": [{"name": name, "passed": passed} for name, passed in cases.items()]}
        passed = sum(cases.values())
        return scores.ScoreRow(
            f"scr_{number}", "home", model, release, "p", passed, len(cases), document, "a", number, 0
        )

    rows = [
        tried(4, "large", "2.0", alias=True, healthy=False, new=True),
        tried(3, "small", "2.0", alias=False),
        tried(2, "large", "1.0", alias=False, healthy=True),
        tried(1, "large", "1.0", alias=False, healthy=False),
    ]
    since = scores.since(rows)
    assert (since["scr_4"].better, since["scr_4"].worse, since["scr_4"].said) == (
        ("alias",),
        ("healthy",),
        "+1 -1 since 1.0",
    )
    assert (since["scr_2"].better, set(since)) == (("healthy",), {"scr_4", "scr_2"})
    sheet = scores.sheet(rows)
    assert [row.id for row in sheet.tries] == ["scr_4", "scr_2", "scr_3"], "the newest of each model and release"
    assert sheet.cases == {"alias": (True, False, False), "healthy": (False, True, None), "new": (True, None, None)}


def test_the_cases_are_those_that_were_agreed() -> None:
    assert [case.name for case in regression.CASES] == [
        "missing index",
        "healthy schema",
        "alias",
        "mixed-type parameters",
        "partial index",
        "covered index",
        "NULL-unsafe rewrite",
    ]
