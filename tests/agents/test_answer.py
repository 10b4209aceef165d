"""Answers as models really give them: fenced, wrapped in prose, cut off, half wrong, hostile."""

from __future__ import annotations

import json

import pytest

from meshag_tui.agents import answer

GOOD = {
    "kind": "create_index",
    "table": "public.orders",
    "columns": ["customer_id"],
    "order": [],
    "method": "btree",
    "include": [],
    "where": None,
    "index": None,
    "title": "Index orders",
    "why": "It is read whole.",
    "query_ids": ["qry_0000000001"],
}
WHOLE = json.dumps({"proposals": [GOOD]})


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"```json\n{WHOLE}\n```",
        f"Here is what I propose:\n\n{WHOLE}\n\nHope that helps!",
        f"I thought about {{braces}} and [lists] first. {WHOLE}",
        "\ufeff" + WHOLE,
        json.dumps([GOOD]),
        json.dumps({"proposals": [{"kind": "create_index", "table": "public.orders", "columns": ["customer_id"]}]}),
        WHOLE[:-2],  # the closing brackets are missing
        WHOLE[:-2] + ', {"kind": "create_index", "tab',  # cut off inside the second
    ],
)
def test_what_is_meant_is_read(text: str) -> None:
    proposals, _ = answer.read(text)
    assert [(one.kind, one.table, one.columns) for one in proposals] == [
        ("create_index", "public.orders", ["customer_id"])
    ]


def test_a_cut_answer_says_so() -> None:
    _, dropped = answer.read(WHOLE[:-2] + ', {"kind": "create_in')
    assert dropped == ("part of the answer could not be read, as of one cut off: it is left out",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "<html></html>",
        "null",
        "[]",
        "{",
        '{"proposals": null}',
        '{"proposals": 3}',
        "NaN",
    ],
)
def test_no_list_is_an_error_and_never_advice(text: str) -> None:
    with pytest.raises(ValueError):
        answer.read(text)


def test_an_empty_list_is_a_good_answer() -> None:
    assert answer.read('{"proposals": []}') == ((), ())


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "run_sql"},
        {"kind": None},
        {"method": "evil_am"},
        {"columns": ["a"] * 200},
        {"columns": "customer_id"},
        {"order": ["sideways"]},
        {"unique": True},
        {"tablespace": "fast"},
        {"sql": "DROP TABLE orders"},
        {"where": "1=1; DROP TABLE orders"},
        {"where": {"column": "status", "operator": "OR 1=1 --", "value": "x"}},
        {"where": {"column": "status", "operator": "=", "value": float("nan")}},
    ],
)
def test_a_wrong_one_is_dropped_with_a_reason_and_the_rest_kept(change: dict[str, object]) -> None:
    text = json.dumps({"proposals": [{**GOOD, **change}, GOOD]})
    proposals, dropped = answer.read(text)
    assert len(proposals) == 1
    assert len(dropped) == 1 and dropped[0].startswith(("proposal 1: ", "part of the answer"))


def test_a_flood_is_cut() -> None:
    proposals, dropped = answer.read(json.dumps({"proposals": [GOOD] * 50}))
    assert len(proposals) == answer.MOST_PROPOSALS
    assert "more than 20" in dropped[0]


def test_brackets_without_end_do_not_hang() -> None:
    with pytest.raises(ValueError):
        answer.read("[" * 200_000)
    with pytest.raises(ValueError):
        answer.read("{" * 200_000)


def test_the_schema_is_strict() -> None:
    def objects(node: object) -> list[dict[str, object]]:
        if isinstance(node, dict):
            inner = [one for value in node.values() for one in objects(value)]
            return [node, *inner] if node.get("type") == "object" else inner
        return [one for value in node for one in objects(value)] if isinstance(node, list) else []

    found = objects(answer.schema())
    assert len(found) == 3
    for one in found:
        assert one["additionalProperties"] is False
        assert sorted(one["required"]) == sorted(one["properties"])  # type: ignore[arg-type, call-overload]
    assert "maxLength" not in json.dumps(answer.schema())
