"""Lists of the models' place read no more than a page, however much there is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import peewee
import pytest

from meshag_tui.screens.entities import Kind
from meshag_tui.screens.models import ModelsPane
from meshag_tui.store import models
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench

MANY = 60
ASKED = 5


def _fill(connection: str) -> None:
    """So many of everything the place lists, made at the same moment and by one account."""
    both = {"created_at": 1, "updated_at": 1}
    who = {"actor": "ada"}
    each = range(MANY)

    def put(model: Any, rows: Any) -> None:
        model.insert_many([{**both, **row} for row in rows]).execute()

    put(models.User, ({"id": f"usr_{n}", "email": f"{n}@x.org", "name": f"u{n}", "role": "viewer"} for n in each))
    put(models.Project, ({"id": f"prj_{n}", "name": f"p{n}"} for n in each))
    put(
        models.AccessKey,
        (
            {"id": f"key_{n}", "name": "k", "user": f"usr_{n}", "prefix": f"mk_{n}", "hashed": "", "permissions": []}
            for n in each
        ),
    )
    put(
        models.Provider,
        (
            {
                "id": f"prv_{n}",
                "name": f"o{n}",
                "kind": "ollama",
                "base_url": "http://x",
                "shape": "text",
                "position": n,
                "models": ["m"],
            }
            for n in each
        ),
    )
    put(
        models.Price,
        (
            {"id": f"prc_{n}", "provider": "own", "model": "m", "valid_from": n, "input_micros": 1, "output_micros": 1}
            | {"currency": "USD"}
            for n in each
        ),
    )
    put(models.Package, ({"id": f"pkg_{n}", "name": f"b{n}", "currency": "USD", "period": "month"} for n in each))
    put(
        models.Subscription,
        ({"id": f"sub_{n}", "package": f"pkg_{n}", "project": f"prj_{n}", "start_at": 1} for n in each),
    )
    put(
        models.Usage,
        (
            {"id": f"use_{n}", "at": n * 86_400_000, "provider": "own", "model": "m", "purpose": "advice", **who}
            | {"outcome": "success", "local": True, "prompt_hash": "h"}
            for n in each
        ),
    )
    put(
        models.CachedAnswer,
        (
            {"key": f"k{n}", "connection": connection, "provider": "own", "model": "m", "prompt_version": "1"}
            | {"text": "", "size_bytes": 0, "usage": {}, "expires_at": 1 << 50}
            for n in each
        ),
    )
    put(
        models.ModelScore,
        (
            {"id": f"scr_{n}", "provider": "own", "model": "m", "release": "1", "prompt_version": "1", "passed": 1}
            | {"cases": 1, "document": {"cases": []}, **who}
            for n in each
        ),
    )
    put(
        models.Agent,
        (
            {"id": f"agnt_{n:016}", "name": f"a{n}", "category": "other", "status": "ACTIVE", "version": 1, **who}
            for n in each
        ),
    )
    put(models.Flow, ({"id": f"flow_{n}", "agent": f"agnt_{n:016}", "version": 1} for n in each))
    put(
        models.Thread,
        (
            {"id": f"thrd_{n}", "connection": connection, "subject_kind": "query", "subject_id": "qry_1", "name": "t"}
            | {"evidence": {}, **who}
            for n in each
        ),
    )


SUMS = "sums"
"""One row for each group, of which there are as many as a window has days, and no more."""


async def test_no_list_fetches_more_than_is_asked_for(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = (await bench.connections.add("shop", Target.from_url("postgresql://a@192.0.2.1/shop"))).id
    await bench.agents.page(1)
    await bench.store(_fill, shop)
    fetched: list[int] = []
    iterate = peewee.CursorWrapper.iterate

    def counted(self: Any, cache: bool = True) -> Any:
        row = iterate(self, cache)
        fetched.append(1)
        return row

    monkeypatch.setattr(peewee.CursorWrapper, "iterate", counted)
    pane: Any = SimpleNamespace(bench=bench)
    for kind in ModelsPane.kinds:
        if kind.name == SUMS:
            continue
        fetched.clear()
        found = await _listed(kind, pane)
        assert len(found) == ASKED, kind.name
        # A list may ask for something more of each row it has, as how often an agent ran.
        assert ASKED <= len(fetched) <= 4 * ASKED, (kind.name, len(fetched))


async def _listed(kind: type[Kind], pane: Any) -> list[Any]:
    return list(await kind(pane).rows(ASKED))
