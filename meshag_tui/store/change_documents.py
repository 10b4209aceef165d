"""Changes as documents, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from meshag_tui.store.documents import document
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
