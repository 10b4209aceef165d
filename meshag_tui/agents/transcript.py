"""A thread as people read it: what of an answer is checked, what came of its proposals, what it cost; as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.agents import figures
from meshag_tui.figures import duration, moment, number_of
from meshag_tui.glyphs import glyphs

if TYPE_CHECKING:
    from meshag_tui.store.threads import MessageRow, Thread

_ENDS = {"failed": "No answer", "cancelled": "Cancelled", "cut": "Cut off at [llm] max_tokens"}
_NAMED = 20
"""Figures that are named at most; in the answer each is marked."""
_WHO = {"user": "Question", "assistant": "Answer", "note": "Note"}


def remarks(said: MessageRow, thread: Thread) -> list[str]:
    """What is to be said of an answer, a line each: its end, its figures, its proposals, who gave it and its cost."""
    if said.role != "assistant":
        return []
    lines = []
    if said.state in _ENDS:
        lines.append(_ENDS[said.state])
    if said.state != "failed" and said.content:
        lines.append(figures_said(said.content, thread.evidence["text"]))
    lines += [f"Passed over {line}" for line in said.details.get("passed", ())]
    for one in said.details.get("suggestions", ()):
        lines.append(f"Suggested: {one['title']} ({one['id']}, {one['evidence']})")
    lines += [f"Not taken: {line}" for line in said.details.get("dropped", ())]
    lines += list(said.details.get("alerts", ()))
    if said.model is not None:
        lines.append(glyphs().separator.join([said.model, *filter(None, [_took(said), cost(said)])]))
    return lines


def figures_said(answer: str, evidence: str) -> str:
    """How many figures of an answer stand in the evidence, and which do not."""
    found = figures.parts(answer, evidence)
    counted = sum(part.checked is not None for part in found)
    loose = figures.unchecked(found)
    if not counted:
        return "It rests on no figure"
    if not loose:
        return f"{number_of(counted, 'figure')}, all in the evidence"
    more = f" and {len(loose) - _NAMED:,} others" if len(loose) > _NAMED else ""
    return f"Not in the evidence, unchecked: {', '.join(loose[:_NAMED])}{more}"


def cost(said: MessageRow) -> str:
    """What an answer cost: "0.001234 USD", "unpriced", "from the cache"."""
    if said.usage is None:
        return ""
    if said.duration_ms is None:
        return "from the cache"
    if said.cost is None:
        return "unpriced"
    return f"{said.cost:f} {said.currency}" if said.currency else "free"


def markdown(thread: Thread) -> str:
    """A whole thread, with its evidence, to be kept or sent on."""
    row = thread.row
    lines = [
        f"# {row.name}",
        f"{row.id}, about {row.subject_kind} {row.subject_id} of {row.connection}, begun {moment(row.created_at)} by "
        f"{row.actor}",
    ]
    for said in thread.messages:
        lines.append(f"## {_WHO[said.role]}, {moment(said.created_at)}\n\n{said.content}")
        lines += [f"- {line}" for line in remarks(said, thread)]
    evidence = thread.evidence
    lines.append(f"## Evidence, as it was at {moment(evidence['at'])}\n\n```\n{evidence['text']}\n```")
    lines += [f"- {line}" for line in (*evidence.get("notes", ()), *map(_cut, evidence.get("cut", ())))]
    return "\n\n".join(lines).replace("\n\n- ", "\n- ")


def _cut(what: str) -> str:
    return f"Left out: {what}"


def _took(said: MessageRow) -> str:
    return "" if said.duration_ms is None else duration(said.duration_ms)
