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


class Since(NamedTuple):
    """What became of a model since its try before: cases it does well now and did not, and the other way round."""

    before: ScoreRow
    better: tuple[str, ...]
    worse: tuple[str, ...]

    @property
    def said(self) -> str:
        """ "+1 -2 since 0.3.0" """
        moved = [f"{sign}{len(names)}" for sign, names in (("+", self.better), ("-", self.worse)) if names]
        return f"{' '.join(moved) or 'the same'} since {self.before.release}"


def since(rows: Sequence[ScoreRow]) -> dict[str, Since]:
    """By the id of a try, how it stands to the one before of the same model of the same provider, if there is one.

    Args:
        rows: the newest first.
    """
    found: dict[str, Since] = {}
    later: dict[tuple[str, str], ScoreRow] = {}
    for row in rows:
        after = later.get((row.provider, row.model))
        if after is not None:
            now, then = _well(after), _well(row)
            both = [name for name in now if name in then]
            better = tuple(name for name in both if now[name] and not then[name])
            found[after.id] = Since(row, better, tuple(name for name in both if then[name] and not now[name]))
        later[row.provider, row.model] = row
    return found


class Sheet(NamedTuple):
    """Cases by model and release. `tries`: the newest of each; `cases`: by name, how each try did, None: not asked."""

    tries: tuple[ScoreRow, ...]
    cases: Mapping[str, tuple[bool | None, ...]]


def sheet(rows: Sequence[ScoreRow]) -> Sheet:
    """The newest try of each model with each release beside each other, by model, the newest release first."""
    newest: dict[tuple[str, str, str], ScoreRow] = {}
    for row in rows:
        newest.setdefault((row.provider, row.model, row.release), row)
    tries = tuple(sorted(newest.values(), key=lambda row: (row.model, row.provider, -row.created_at)))
    names = dict.fromkeys(name for row in tries for name in _well(row))
    return Sheet(tries, {name: tuple(_well(row).get(name) for row in tries) for name in names})


def _well(row: ScoreRow) -> dict[str, bool]:
    return {str(one["name"]): bool(one["passed"]) for one in row.document["cases"]}
