"""Changes as documents, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from meshag_tui.store.documents import document
from meshag_tui.types import Change, IndexColumn, IndexSpec, MeshagError

_KINDS: Mapping[str, Any] = {kind.__dataclass_fields__["kind"].default: kind for kind in get_args(Change)}


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
        kind = _KINDS[found["kind"]]
    except KeyError:
        raise MeshagError(f"A stored change is of a kind this MeshAG does not know: {found.get('kind')!r}") from None
    try:
        values = {field.name: found[field.name] for field in fields(kind) if field.name != "kind"}
        if "spec" in values:
            values["spec"] = _index(values["spec"])
        made: Change = kind(**{name: _frozen(value) for name, value in values.items()})
        return made
    except (KeyError, TypeError) as error:
        raise MeshagError(f"A stored change cannot be read: {error!r}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


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
