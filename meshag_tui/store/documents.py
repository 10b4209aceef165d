"""Values as documents: JSON text that both databases take, and changes to and from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    DropIndex,
    HideIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Rebuild,
    RestoreIndex,
    ShowIndex,
    Vacuum,
)


def clean(text: str) -> str:
    """Text both databases take: PostgreSQL stores no NUL, and neither stores half a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def as_json(value: Any) -> str:
    """Compact JSON for a raw bulk write; enums and frozen values go in as their fields. ValueError on NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    return clean(text.replace("\\u0000", "\ufffd"))


def document(value: Any) -> Any:
    """The same for a JSONField: only what JSON knows, nothing a database would refuse."""
    return None if value is None else json.loads(as_json(value))


def change_document(change: Change) -> dict[str, Any]:
    """A change as JSON; `kind` names its class."""
    plain: dict[str, Any] = document(asdict(change))
    return plain


def change_from(found: Mapping[str, Any]) -> Change:
    """The change of a document made by `change_document`.

    Raises:
        MeshagError: the document is no change this MeshAG knows.
    """
    try:
        match found["kind"]:
            case "create-index":
                return CreateIndex(_index(found["spec"]))
            case "drop-index":
                return DropIndex(found["schema"], found["table"], found["name"])
            case "restore-index":
                return RestoreIndex(found["schema"], found["table"], found["name"], tuple(found["statements"]))
            case "hide-index":
                return HideIndex(found["schema"], found["table"], found["name"])
            case "show-index":
                return ShowIndex(found["schema"], found["table"], found["name"])
            case "analyze":
                return Analyze(found["schema"], found["table"])
            case "vacuum":
                return Vacuum(found["schema"], found["table"])
            case "rebuild":
                return Rebuild(found["schema"], found["table"])
    except (KeyError, TypeError) as error:
        raise MeshagError(f"A stored change cannot be read: {error!r}") from error
    raise MeshagError(f"A stored change is of a kind this MeshAG does not know: {found['kind']!r}")


def _index(spec: Mapping[str, Any]) -> IndexSpec:
    return IndexSpec(
        schema=spec["schema"],
        table=spec["table"],
        columns=tuple(IndexColumn(**column) for column in spec["columns"]),
        method=spec["method"],
        include=tuple(spec["include"]),
        where=spec["where"],
        name=spec["name"],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return asdict(value)
