"""The form of an answer: what a model may name, and how a text is read into it.

Every field is required and closed, as strict structured output wants it; what does not apply is null or empty.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_PROPOSALS = 20
MOST_COLUMNS = 8
_CUT_OFF = "cut off"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Where(_Closed):
    """The condition of a partial index: one column, one operator, one constant."""

    column: str = Field(max_length=200)
    operator: Literal["=", "<>", "<", "<=", ">", ">=", "is null", "is not null"]
    value: str | float | bool | None


class Proposal(_Closed):
    """One change, or one piece of advice. Names only: no SQL is taken from it."""

    kind: Literal["create_index", "drop_index", "analyze", "query_advice"]
    table: str | None = Field(max_length=300)
    columns: list[str] = Field(max_length=MOST_COLUMNS)
    order: list[Literal["asc", "desc"]] = Field(max_length=MOST_COLUMNS)
    method: Literal["btree", "gin", "brin", "hash"] | None
    include: list[str] = Field(max_length=MOST_COLUMNS)
    where: Where | None
    index: str | None = Field(max_length=200)
    title: str  # of these two only the beginning is ever used
    why: str
    query_ids: list[str] = Field(max_length=50)


class Reply(_Closed):
    """A whole answer."""

    proposals: list[Proposal]


def schema() -> dict[str, Any]:
    """JSON schema of `Reply` in the strict subset: all fields required, no extras, no limits the subset lacks."""
    strict: dict[str, Any] = _strict(Reply.model_json_schema())
    return strict


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    dropped = ("title", "maxLength", "maxItems", "default", "description")
    kept = {
        key: _strict(value) for key, value in node.items() if key not in dropped or not isinstance(value, str | int)
    }
    if kept.get("type") == "object":
        kept["required"] = list(kept.get("properties", {}))
        kept["additionalProperties"] = False
    return kept


def read(text: str) -> tuple[tuple[Proposal, ...], tuple[str, ...]]:
    """The proposals of an answer, and why others in it were not taken. Fences and prose around the JSON are let pass.

    Raises:
        ValueError: there is no JSON object with a list of proposals in the text.
    """
    document = _object(text)
    given = document.get("proposals") if isinstance(document, dict) else document
    if not isinstance(given, list):
        raise ValueError("no list of proposals")
    proposals: list[Proposal] = []
    dropped: list[str] = []
    if isinstance(document, dict) and document.get(_CUT_OFF):
        dropped.append("part of the answer could not be read, as of one cut off: it is left out")
    for number, one in enumerate(given, start=1):
        if number > MOST_PROPOSALS:
            dropped.append(f"proposals {number} to {len(given)}: more than {MOST_PROPOSALS}")
            break
        try:
            proposals.append(Proposal.model_validate(_filled(one)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            dropped.append(f"proposal {number}: {where}: {first['msg']}")
    return tuple(proposals), tuple(dropped)


def _filled(given: Any) -> Any:
    """A proposal with the fields it left out as empty: models asked without strict output often do."""
    if not isinstance(given, dict):
        return given
    empty: dict[str, Any] = {
        "table": None,
        "columns": [],
        "order": [],
        "method": None,
        "include": [],
        "where": None,
        "index": None,
        "title": "",
        "why": "",
        "query_ids": [],
    }
    return {**empty, **given}


def _object(text: str) -> Any:
    """The first JSON value of the right kind, wherever it stands; of one that was cut off, its whole proposals."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    plain = text.lstrip("\ufeff").strip()
    for start in _starts(plain):
        try:
            found, _ = decoder.raw_decode(plain, start)
        except (ValueError, RecursionError):
            continue
        if _looks_right(found):
            return found
    whole = []
    for start in _starts(plain[plain.find('"proposals"') :] if '"proposals"' in plain else ""):
        try:
            one, _ = decoder.raw_decode(plain[plain.find('"proposals"') :], start)
        except (ValueError, RecursionError):
            continue
        if isinstance(one, dict) and "kind" in one:
            whole.append(one)
    if whole:
        return {"proposals": whole, _CUT_OFF: True}
    raise ValueError("no JSON object")


def _starts(text: str) -> list[int]:
    """Where JSON values may begin; a text of brackets only is not searched for ever."""
    return [at for at, letter in enumerate(text) if letter in "{["][:200]


def _looks_right(found: Any) -> bool:
    if isinstance(found, dict):
        return "proposals" in found
    return bool(found) and all(isinstance(one, dict) and "kind" in one for one in found)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
