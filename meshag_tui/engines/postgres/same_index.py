"""Whether two texts make the same index: of what the catalogue prints and what we send, neither is the other's text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.postgres import parse


def same_index(one: str, other: str) -> bool:
    """Whether two CREATE INDEX texts make the same keys of the same table under the same name."""
    try:
        trees = [parse.parse_one(text).tree for text in (one, other)]
    except EngineError:
        return False
    return len({_shape(tree) for tree in trees}) == 1


def _shape(tree: Mapping[str, Any]) -> tuple[Any, ...]:
    relation = tree.get("relation") or {}
    parts = [
        tuple((element.get("IndexElem") or {}).get("name") for element in tree.get(name, ()))
        for name in ("indexParams", "indexIncludingParams")
    ]
    return (
        relation.get("schemaname"),
        relation.get("relname"),
        tree.get("idxname"),
        tree.get("accessMethod"),
        bool(tree.get("unique")),
        "whereClause" in tree,
        *parts,
    )
