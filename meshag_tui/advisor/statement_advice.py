"""Advice about one statement, for the application: the form all such rules share."""

from __future__ import annotations

from meshag_tui.advisor.examined import Examined
from meshag_tui.figures import duration, percent
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType


def advice(
    rule: str,
    one: Examined,
    title: str,
    text: str,
    facts: list[str],
    confidence: float,
    table: object = None,
    schema: str | None = None,
    name: str | None = None,
) -> Suggestion:
    node_schema, node_name = _first_table(one)
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{one.query.fingerprint or one.query.key}",
        type=SuggestionType.QUERY_OPTIMIZATION,
        priority=SuggestionPriority.HIGH if one.share >= 0.3 else SuggestionPriority.MEDIUM,
        title=title,
        text=text,
        evidence_kind=EvidenceKind.COUNTED,
        evidence={
            "kind": EvidenceKind.COUNTED.value,
            "facts": [*facts, f"{duration(one.query.total_time_ms)} in all, {percent(one.share)} of all query time"],
        },
        confidence=confidence,
        risk=Risk.LOW,
        schema=getattr(table, "schema", None) or schema or node_schema,
        table=getattr(table, "table", None) or name or node_name,
        query_ids=(one.query.id,),
    )


def _first_table(one: Examined) -> tuple[str | None, str | None]:
    for node in one.plan.root.walk() if one.plan is not None else ():
        if node.table is not None:
            return node.schema, node.table
    return None, None
