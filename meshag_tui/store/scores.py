"""How models did on the planted cases, each time they were tried: to compare models, and releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui import __version__
from meshag_tui.store import database, ids, models
from meshag_tui.store.documents import document


class ScoreRow(NamedTuple):
    """One try. `document` holds the cases: name, passed, why, cost; `prompt_version` of the fixed words asked with."""

    id: str
    provider: str
    model: str
    release: str
    prompt_version: str
    passed: int
    cases: int
    document: Mapping[str, Any]
    actor: str
    created_at: int
    updated_at: int


def save(
    provider: str, model: str, prompt_version: str, results: Sequence[Mapping[str, Any]], actor: str, cost: str | None
) -> ScoreRow:
    """Keep a try."""
    score_id = ids.new("scr")
    with database.durable():
        now = database.now_ms()
        models.ModelScore.create(
            id=score_id,
            provider=provider,
            model=model,
            release=__version__,
            prompt_version=prompt_version,
            passed=sum(bool(one["passed"]) for one in results),
            cases=len(results),
            document=document({"cases": list(results), "cost": cost}),
            actor=actor,
            created_at=now,
            updated_at=now,
        )
    return page(1)[0]


def page(limit: int = 200) -> tuple[ScoreRow, ...]:
    """The newest tries."""
    score = models.ModelScore
    rows: Any = score.select().order_by(score.id.desc()).limit(limit).dicts()
    return tuple(ScoreRow(**row) for row in rows)
