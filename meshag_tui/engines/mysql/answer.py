"""What a server answers to one EXPLAIN: read, and rid of somebody's data where it has to be.

In: rows and notes of EXPLAIN and SHOW WARNINGS. Out: values that `plantree` reads, and plans as they may be kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meshag_tui.engines.base import ServerFault
from meshag_tui.engines.mysql import plantree
from meshag_tui.engines.mysql.explainable import Explainable
from meshag_tui.engines.mysql.resolved import without_literals
from meshag_tui.plan import PlanNode

_OUTER = re.compile(r"SELECT #(\d+) was resolved in SELECT #\d+")
_UNUSABLE = re.compile(r"Cannot use (?:ref|range) access on index '(?P<index>.+)' due to .+ on field '(?P<column>.+)'")
_UNUSABLE_KEY = re.compile(
    r"Cannot use key `.+` part\[\d+\] for lookup: `.+`\.`(?P<table>.+)`\.`(?P<column>.+)` of (?P<types>type.+)"
)
_ESCAPE = re.compile(r"\\(?:(?P<json>[\"\\/bfnrt]|u[0-9a-fA-F]{4})|.)", re.DOTALL)
_PLANNED_TEXT = 1003  # the note with the resolved statement


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to one EXPLAIN: the document, and its notes as (code, text)."""

    document: Mapping[str, Any]
    notes: Sequence[tuple[int, str]]

    @property
    def resolved_text(self) -> str | None:
        """The statement as the server resolved it."""
        return next((note for code, note in self.notes if code == _PLANNED_TEXT), None)

    @property
    def dependent(self) -> frozenset[int]:
        """Numbers of the sub-queries that look at an outer row."""
        return frozenset(int(one[1]) for _, note in self.notes for one in [_OUTER.search(note)] if one)

    @property
    def unusable(self) -> dict[tuple[str, str], str]:
        """What the server could not use an index for: by (index or table, column), why."""
        return _unusable(self.notes)


def read_document(rows: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
    """The document of an EXPLAIN. MariaDB writes escapes that JSON has not (`\\'`), as do bytes that are no UTF-8."""
    text = str(rows[0][0]) if rows else ""
    for candidate in (text, _ESCAPE.sub(lambda one: one[0] if one["json"] else "\\\\" + one[0][1:], text)):
        try:
            document = json.loads(candidate, strict=False)
        except ValueError:
            continue
        if isinstance(document, dict):
            return document
    raise ServerFault("The server's plan cannot be read")


def written(found: Explainable, node: PlanNode, schema: str | None) -> PlanNode:
    """The plan of what a write reads, below the write itself, whose own cost no server tells."""
    if found.operation == "Select" or found.target is None:
        return node
    moved = plantree.numbered(node, "0.0")
    return PlanNode(
        "0",
        "ModifyTable",
        node.startup_cost,
        node.total_cost,
        node.rows,
        node.width,
        (moved,),
        schema=found.target.schema or schema,
        table=found.target.name,
        extra={"Operation": found.operation, "Planned": "what it reads"},
    )


def masked(node: PlanNode) -> PlanNode:
    conditions = {name: without_literals(text) for name, text in node.conditions.items()}
    return replace(node, conditions=conditions, children=tuple(masked(child) for child in node.children))


def masked_document(document: Any) -> Any:
    if isinstance(document, dict):
        return {
            name: without_literals(value)
            if isinstance(value, str) and (name.endswith("condition") or name in ("sort_key", "message"))
            else masked_document(value)
            for name, value in document.items()
        }
    return [masked_document(value) for value in document] if isinstance(document, list) else document


def filtered_tables(document: Any) -> frozenset[str]:
    """The aliases that a condition is left for, which no index answers."""
    found: set[str] = set()
    if isinstance(document, dict):
        if "table_name" in document and ("attached_condition" in document or "using_join_buffer" in document):
            found.add(str(document["table_name"]))
        inside = document.get("table")
        if "attached_condition" in document and isinstance(inside, dict):
            found.add(str(inside.get("table_name")))
        for value in document.values():
            found |= filtered_tables(value)
    elif isinstance(document, list):
        for value in document:
            found |= filtered_tables(value)
    return frozenset(found)


def _unusable(notes: Sequence[tuple[int, str]]) -> dict[tuple[str, str], str]:
    """What the server could not use an index for: by (index or table, column), why."""
    found = {}
    for _, note in notes:
        if one := _UNUSABLE.search(note):
            found[one["index"], one["column"]] = "type or collation conversion"
        elif one := _UNUSABLE_KEY.search(note):
            found[one["table"], one["column"]] = without_literals(one["types"])
    return found
