"""What a rehearsal makes of a suggestion: its evidence, its confidence, its urgency, and what it is called.

In: a suggestion as its rule made it, and the document of its newest rehearsal (`changes.rehearse`). Out: the same
suggestion, resting on what was measured. What was forecast stays beside it, so that both can be seen, and so that the
next rehearsal begins from it. What was slower is never called a gain, and noise changes nothing but the confidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from meshag_tui.advisor.judgement import LEAST, MOST
from meshag_tui.advisor.missing_index import priority_of
from meshag_tui.figures import count, duration, percent
from meshag_tui.text import one_line
from meshag_tui.types import DropIndex, EvidenceKind, HideIndex, Suggestion, SuggestionPriority

VALID_MS = 30 * 86_400_000
"""A rehearsal older than this says nothing any more: rows and statistics have moved on."""
METHOD = "rehearsal"
"""How it is known, for what is learnt of outcomes."""
_KEPT = ("title", "priority", "evidence_kind", "confidence", "gain_ms_per_day")
_LITTLE, _PART = 0.1, 0.999


def with_rehearsals(
    made: Iterable[Suggestion], newest: Mapping[str, tuple[str, int, Mapping[str, Any]]], now_ms: int
) -> list[Suggestion]:
    """The suggestions, those that were rehearsed lately resting on that.

    Args:
        newest: by identity of the suggestion: id, time (epoch ms) and document of its newest rehearsal of the change.
    """
    ready = []
    for one in made:
        found = newest.get(one.identity)
        fresh = found is not None and now_ms - found[1] <= VALID_MS and _same_text(one, found[2])
        ready.append(rehearsed(one, *found) if found is not None and fresh else one)
    return ready


def _same_text(made: Suggestion, document: Mapping[str, Any]) -> bool:
    """Whether a rehearsal of a rewritten statement was of the one that is proposed now."""
    rewrite = made.evidence.get("rewrite")
    return document.get("proof") is None or (isinstance(rewrite, Mapping) and rewrite.get("text") == document["sql"])


def rehearsed(made: Suggestion, rehearsal_id: str, at: int, document: Mapping[str, Any]) -> Suggestion:
    """The suggestion, resting on one rehearsal."""
    made = forecast(made)
    kept = {name: getattr(made, name) for name in _KEPT}
    facts = [*_facts(document), *made.evidence.get("facts", ())]
    points = [(int(point["points"]), str(point["why"])) for point in made.evidence.get("confidence", ())]
    if not points:
        points = [(round(made.confidence * 100), "as it was before it was tried out")]
    evidence: dict[str, Any] = {**made.evidence, "facts": facts}
    evidence["forecast"] = {**kept, "evidence": dict(made.evidence)}
    evidence["rehearsal"] = {
        "id": rehearsal_id,
        "at": at,
        **{name: document.get(name) for name in ("verdict", "share", "sandbox", "saved_ms_per_day")},
    }
    if not document.get("statements"):  # only taking it back was tried
        return replace(made, evidence=evidence)
    saved = document.get("saved_ms_per_day") or {}
    verdict = document.get("verdict")
    proof = document.get("proof")
    title = made.title.partition(":")[0] + ":"
    if proof is not None:
        evidence["rewrite"] = {**evidence.get("rewrite", {}), "proven": proof["proven"], "why": list(proof["doubts"])}
        evidence["facts"] = [proof_said(proof), *(one for one in facts if not one.startswith("not proven"))]
        title = f"{made.title} ({'proven' if proof['proven'] else 'not proven'}):"
        made = replace(made, title=title.rstrip(":"))
    doubted = [(-40, f"not proven to return the same: {proof['doubts'][0]}")] if proof and not proof["proven"] else []
    if verdict == "inconclusive":
        points.append((-10, f"a rehearsal could not tell it from noise: {said(_top(document))}"))
        return _rated(replace(made, evidence=evidence), [*points, *doubted])
    top = _top(document, str(verdict))
    if verdict == "no effect":
        return _no_effect(made, evidence, document, title, points)
    evidence |= {"kind": EvidenceKind.MEASURED.value, "method": METHOD}
    points = _before_weighing(made, points)
    if verdict == "slower":
        points = [(LEAST, f"run in a sandbox and timed: {said(top)}")]
        evidence["priority"] = "low: measured, it makes statements slower"
        return _rated(
            replace(
                made,
                title=f"{title} measured, it is slower ({said(top)})",
                priority=SuggestionPriority.LOW,
                evidence_kind=EvidenceKind.MEASURED,
                evidence=evidence,
                gain_ms_per_day=saved.get("about"),
            ),
            points,
        )
    points = [(85, f"run in a sandbox and timed: {said(top)}"), *_of_copy(document, top), *doubted, *points[1:]]
    share, change = evidence.get("affected_share"), (top or {}).get("change") or {}
    priority = made.priority
    if isinstance(share, float):
        priority = priority_of(share, -float(change.get("estimate", 0.0)))
        taken = f"the statements it is about take {percent(share)} of all query time"
        evidence["priority"] = f"{priority.lower()}: {taken}, {said(top)}"
    return _rated(
        replace(
            made,
            title=f"{title} {said(top)} measured",
            priority=priority,
            evidence_kind=EvidenceKind.MEASURED,
            evidence=evidence,
            gain_ms_per_day=saved.get("about", made.gain_ms_per_day),
        ),
        points,
    )


def _no_effect(
    made: Suggestion, evidence: dict[str, Any], document: Mapping[str, Any], title: str, points: list[tuple[int, str]]
) -> Suggestion:
    """The planner took no notice of it, which of what is to go is as it should be. On part of the rows that may be
    otherwise than on all: then it is not called measured."""
    whole = float(document.get("share") or 0.0) >= _PART
    on = "" if whole else f" on {percent(document.get('share'))} of the rows"
    why = f"run in a sandbox{on}: the same plans, reading the same blocks"
    if isinstance(made.change, DropIndex | HideIndex):
        return _rated(replace(made, evidence=evidence), [*points, (5 if whole else 0, f"{why} without it")])
    evidence["priority"] = f"low: no effect was seen{on}"
    made = replace(made, title=f"{title} no effect{on}", priority=SuggestionPriority.LOW, evidence=evidence)
    if not whole:
        return _rated(made, [*points, (-30, why)])
    evidence |= {"kind": EvidenceKind.MEASURED.value, "method": METHOD}
    return _rated(replace(made, evidence_kind=EvidenceKind.MEASURED, gain_ms_per_day=0.0), [(LEAST, why)])


def forecast(made: Suggestion) -> Suggestion:
    """The suggestion as it was before any rehearsal."""
    kept = made.evidence.get("forecast")
    if not isinstance(kept, Mapping):
        return made
    return replace(
        made,
        title=kept["title"],
        priority=SuggestionPriority(kept["priority"]),
        evidence_kind=EvidenceKind(kept["evidence_kind"]),
        confidence=kept["confidence"],
        gain_ms_per_day=kept["gain_ms_per_day"],
        evidence=dict(kept["evidence"]),
    )


def proof_said(proof: Mapping[str, Any]) -> str:
    """What was found of two statements' meaning, in a line."""
    tried = f"{count(proof['sets'])} sets of values, {count(proof['trials'])} altered copies"
    if proof["proven"]:
        return f"proven to return the same rows: {tried}, and nothing in their texts speaks against it"
    return f"not proven to return the same rows: {'; '.join(proof['doubts'])} ({tried})"


def undone_said(undone: Mapping[str, Any]) -> str:
    """Whether what puts a change back was seen to do so, in a line."""
    if undone["proven"]:
        return "undoing it was tried in the sandbox: the catalogue is as before"
    return f"undoing it is not proven: {undone['doubt']}"


def said(statement: Mapping[str, Any] | None) -> str:
    """ "−43 % (−48 to −37 %)": the change of a statement's time with its interval."""
    change = (statement or {}).get("change")
    if (statement or {}).get("same_work"):
        return "no change: the same plan, reading the same blocks"
    if not change:
        return "too few runs to say"
    return f"{signed(change['estimate'])} ({signed(change['low'])} to {signed(change['high'])})"


def saving(saved: Mapping[str, float]) -> str:
    """What a day's worth of the server's time it saves or costs, with its range, in words."""
    about, *ends = (abs(saved[name]) for name in ("about", "least", "most"))
    word = "would be saved" if saved["about"] >= 0 else "more would be spent"
    least, most = (duration(each) for each in sorted(ends))
    if saved["least"] < 0 < saved["most"]:
        least = f"or as well {duration(abs(saved['least']))} more spent, up"
    return f"about {duration(about)} of the server's time a day {word} ({least} to {most}), if it is there as here"


def signed(share: float) -> str:
    """ "−20 %", "+3 %", "−99.8 %": a change as people read it; −100 % would be that it takes no time any more."""
    shown = f"{abs(share) * 100:.0f}" if abs(share) >= 0.1 else f"{abs(share) * 100:.1f}"
    if shown == "100" and -1 < share < 0:
        shown = f"{min(99.9, -share * 100):.1f}"
    if shown == "0.0":
        return "0 %"
    return f"{'−' if share < 0 else '+'}{shown} %"


def _top(document: Mapping[str, Any], verdict: str | None = None) -> Mapping[str, Any] | None:
    """The statement that says most: of those of the verdict one it is for, the dearest."""
    found: Sequence[Mapping[str, Any]] = document.get("statements", ())
    fitting = [one for one in found if one["verdict"] == verdict] or [one for one in found if one.get("change")]
    fitting = sorted(fitting, key=lambda one: (not one["main"], -(one["ms_per_day"] or 0.0)))
    return fitting[0] if fitting else None


def _facts(document: Mapping[str, Any]) -> list[str]:
    facts = []
    for one in document.get("statements", ()):
        if one["verdict"] == "failed":
            facts.append(f"rehearsed: {one['query_id']} could not be run: {one_line(one['why'] or '', 120)}")
        elif one["main"] or one["verdict"] == "slower":
            before, after = one["before"], one["after"]
            facts.append(
                f"rehearsed: {one['query_id']} is {_word(one)}: {said(one)}, {duration(before['median_ms'])} → "
                f"{duration(after['median_ms'])}, {count(before['blocks'])} → {count(after['blocks'])} blocks, "
                f"{one['rounds']} rounds of {one['sets']} sets of values"
            )
    others = [one for one in document.get("statements", ()) if not one["main"]]
    if others:
        words = {
            **{"faster": "faster", "slower": "slower", "no effect": "without any effect"},
            **{"inconclusive": "without a difference", "failed": "not run"},
        }
        counts = {words[each]: sum(one["verdict"] == each for one in others) for each in words}
        said_so = ", ".join(f"{many} {word}" for word, many in counts.items() if many)
        facts.append(f"other statements on the table: {said_so}")
    if document.get("undone"):
        facts.append(undone_said(document["undone"]))
    if not document.get("statements"):
        return [*facts, f"in a sandbox ({document.get('sandbox')}) with its table's schema and no rows"]
    whole = document.get("share", 0) >= _PART
    rows = "all rows" if whole else f"{percent(document.get('share'))} of the rows at least"
    facts.append(f"in a sandbox ({document.get('sandbox')}) with {rows} of its tables")
    return facts


def _word(one: Mapping[str, Any]) -> str:
    words = {"inconclusive": "not told from noise", "no effect": "without effect"}
    return words.get(one["verdict"], str(one["verdict"]))


def _of_copy(document: Mapping[str, Any], top: Mapping[str, Any] | None) -> list[tuple[int, str]]:
    """What the copy makes of the confidence."""
    share = float(document.get("share") or 0.0)
    points = []
    if share >= _PART:
        points.append((5, "all rows of its tables were copied"))
    elif share < _LITTLE:
        points.append((-10, f"only {percent(share)} of a table was copied"))
    else:
        points.append((-5, f"{percent(share)} of a table was copied"))
    if top is not None and top.get("same_plan") is False:
        points.append((-15, "the sandbox plans the statement otherwise than the server does now"))
    return points


def _before_weighing(made: Suggestion, points: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The points without what outcomes of the old method took or added, which says nothing of a measurement."""
    raw = made.evidence.get("uncalibrated")
    weighed = isinstance(raw, float) and min(MOST, max(LEAST, sum(one for one, _ in points))) != round(raw * 100)
    return points[:-1] if weighed else points


def _rated(made: Suggestion, points: Sequence[tuple[int, str]]) -> Suggestion:
    whole = min(MOST, max(LEAST, sum(number for number, _ in points)))
    shown = [{"points": number, "why": why} for number, why in points]
    evidence = {**made.evidence, "confidence": shown}
    if made.evidence_kind is EvidenceKind.MEASURED:
        evidence["uncalibrated"] = whole / 100
    return replace(made, confidence=whole / 100, evidence=evidence)
