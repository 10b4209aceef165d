"""Values as documents: JSON text that both databases take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any


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


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return asdict(value)
