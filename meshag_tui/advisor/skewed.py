"""Conditions that few rows meet, as predicates of partial indexes: IS NULL, booleans, and one value of a column.

A value is taken only where it is known: a constant of the text (in a view, say), or a sample of a column whose values
are few and of which what calls returned fits that one alone. Statement statistics keep no constants, so that it is one
of the text is an assumption then, which the suggestion says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from meshag_tui.plan import Plan, Predicate

if TYPE_CHECKING:
    from meshag_tui.advisor.statistics import TableView

FEW = 0.30
"""Share of a table below which an index on only these rows is worth naming."""
MANY = 0.90
"""The same where it also gives an order of which only the first rows are read, which no longer key would give."""
KNOWN_SHARE = 0.99
"""Share of the rows that the common values must make up, so that no other value can be meant."""
NEAR, FAR = 2.0, 3.0
"""Times by which rows may be off from the value that is meant, and must be off from every other one."""
_CONSTANT = re.compile(r"^(?:'(?P<text>(?:[^']|'')*)'(?:::(?P<type>[^\[\]]+))?|\(?(?P<number>-?\d+(?:\.\d+)?)\)?)$")
_VALUE = re.compile(r'^"(?P<column>(?:[^"]|"")+)" = (?P<value>.+)$', re.DOTALL)


def condition_of(predicate: Predicate) -> str | None:
    """The predicate of a partial index on the rows that meet this condition; None where its constant is not known."""
    if predicate.kind == "row":
        return predicate.expression
    name = '"' + (predicate.column or "").replace('"', '""') + '"'
    if predicate.operator == "=" and predicate.kind == "eq" and bare(predicate.value) is not None:
        return f"{name} = {predicate.value}"
    return {"IS NULL": f"{name} IS NULL", "= TRUE": name, "= FALSE": f"NOT {name}"}.get(predicate.operator.upper())


def bare(value: str | None) -> str | None:
    """A constant as statistics print it; None for a list and for what is no constant."""
    match = _CONSTANT.match(value or "")
    if match is None:
        return None
    return match["number"] if match["text"] is None else match["text"].replace("''", "'")


def value_of(where: str | None) -> tuple[str, str] | None:
    """(column, value) of a predicate that is met by one value of a column; None for any other."""
    match = _VALUE.match(where or "")
    value = bare(match["value"]) if match else None
    return (match["column"].replace('""', '"'), value) if match and value is not None else None


def in_text(predicate: Predicate, plan: Plan) -> bool:
    """Whether the constant stands in the text itself, and is no sample of ours."""
    value = bare(predicate.value)
    return value is not None and value not in plan.parameters


def known(predicate: Predicate, plan: Plan, beside: Collection[Predicate], seen: float | None, view: TableView) -> bool:
    """Whether an index may rest on the value that is compared with.

    Args:
        beside: all conditions on the same table.
        seen: share of the table's rows that a call returned; None where that says nothing.
    """
    if predicate.operator != "=" or in_text(predicate, plan):
        return True
    value, known_of = bare(predicate.value), view.columns.get(predicate.column or "")
    if value is None or seen is None or known_of is None or len(beside) != 1:
        return False
    shares = dict(zip(known_of.common_values, known_of.common_frequencies, strict=False))
    if value not in shares or sum(shares.values()) + known_of.null_fraction < KNOWN_SHARE:
        return False
    others = (share for other, share in shares.items() if other != value)
    return _apart(seen, shares[value]) <= NEAR and all(_apart(seen, share) >= FAR for share in others)


def assumed(where: str | None, served: Sequence[tuple[Plan, Sequence[Predicate]]]) -> bool:
    """Whether nothing but our samples says that these statements name the value of a partial index."""
    return value_of(where) is not None and not any(
        condition_of(one) == where and in_text(one, plan) for plan, predicates in served for one in predicates
    )


def _apart(one: float, other: float) -> float:
    return max(one, other) / max(min(one, other), 1e-9)
