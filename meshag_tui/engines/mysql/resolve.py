"""Which column each value of a statement meets: what a `?` is compared with decides what may stand for it.

In: the statement's tree and the columns of the tables and views it names. Out: a `Meeting` for each value. Aliases,
WITH queries, derived tables, views and names of outer queries are followed to the table they are of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import parse

if TYPE_CHECKING:
    from sqlglot import exp

MARK = "?meshag:"
"""A value in a tree is the string MARK + its number."""
DATE_LITERAL = "DATE"
"""The `function` of a value that DATE or TIMESTAMP stands before."""
_DEEPEST = 12
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of tables and views. Names of columns are in lower case: they are found whatever their case."""

    default: str | None  # the schema of unqualified names
    columns: Mapping[Key, Mapping[str, tuple[str, str]]]  # lower -> (name, type)
    views: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A value and what it meets. `operator` is =, <, LIKE, …, or LIMIT, OFFSET, INTERVAL, DATE, or "" for all else.

    `function` is what stands around the column; `place` is the value's place in a list for the same column.
    """

    number: int
    operator: str = ""
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    function: str | None = None
    place: int = 0


def meetings(tree: Any, catalogue: Catalogue) -> dict[int, Meeting]:
    """The values of a tree by their number."""
    from sqlglot import exp

    found: dict[int, Meeting] = {}
    names = _Names(catalogue)
    for one in tree.find_all(exp.Literal):
        if one.is_string and one.name.startswith(MARK):
            number = int(one.name[len(MARK) :])
            found[number] = _meeting(number, one, names)
    return found


def source_of(column: exp.Column, catalogue: Catalogue) -> tuple[str, str, str] | None:
    """(schema, table, column) that a column reference is of."""
    return _Names(catalogue).table_column(column)


def _meeting(number: int, value: Any, names: _Names) -> Meeting:
    from sqlglot import exp

    here = value
    above = here.parent
    while isinstance(above, (exp.Paren, exp.Neg)):
        here, above = above, above.parent
    if isinstance(above, exp.Limit):
        return Meeting(number, "LIMIT")
    if isinstance(above, exp.Offset):
        return Meeting(number, "OFFSET")
    if isinstance(above, exp.Interval) or (above is not None and isinstance(above.parent, exp.Interval)):
        return Meeting(number, "INTERVAL")
    if isinstance(above, exp.Cast) and above.to.is_type("date", "datetime", "timestamp", "time"):
        met = _compared(number, above, names)  # DATE '…', of a column or not
        return replace(met, function=DATE_LITERAL) if met.column is not None else Meeting(number, DATE_LITERAL)
    if isinstance(above, exp.DataTypeParam):
        return Meeting(number, "TYPE")
    return _compared(number, here, names)


def _compared(number: int, here: Any, names: _Names) -> Meeting:
    """What a value, with all that stands around it, is compared with."""
    from sqlglot import exp

    operators: dict[Any, str] = {exp.EQ: "=", exp.NullSafeEQ: "=", exp.NEQ: "<>"}
    operators |= {exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
    mirrored = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
    above = here.parent
    if isinstance(above, (exp.Add, exp.Sub)):  # a > ? + ?: of the first, more or less
        here, above = above, above.parent
    place = 0
    if isinstance(above, exp.Tuple):
        place = above.expressions.index(here)
        here, above = above, above.parent
        other = above.this if isinstance(above, exp.In) else _other(above, here)
        if isinstance(other, exp.Tuple) and place < len(other.expressions):
            operator = "=" if isinstance(above, exp.In) else operators.get(type(above), "")
            return names.met(number, operator if place == 0 or operator == "=" else "", other.expressions[place], 0)
        return Meeting(number)
    if isinstance(above, exp.In):
        place = above.expressions.index(here) if here in above.expressions else 0
        return names.met(number, "=", above.this, place)
    if isinstance(above, exp.Between):
        return names.met(number, ">=" if above.args.get("low") is here else "<=", above.this, 0)
    if isinstance(above, (exp.Like, exp.RegexpLike)):
        return names.met(number, "LIKE" if isinstance(above, exp.Like) else "REGEXP", above.this, 0)
    if above is not None and type(above) in operators:
        operator = operators[type(above)]
        other = _other(above, here)
        if above.expression is not here:
            operator = mirrored.get(operator, operator)
        return names.met(number, operator, other, 0) if other is not None else Meeting(number)
    return Meeting(number, function=_function(above))


def _other(above: Any, here: Any) -> Any:
    if above is None or "expression" not in above.args:
        return None
    return above.this if above.expression is here else above.expression


def _function(node: Any) -> str | None:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else None


class _Names:
    """Finds the table behind a column reference."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._views: dict[Key, Any] = {}

    def met(self, number: int, operator: str, side: Any, place: int) -> Meeting:
        from sqlglot import exp

        plain = side.unnest()
        function = None
        if not isinstance(plain, exp.Column):
            inside = list(plain.find_all(exp.Column))
            if len(inside) != 1 or not isinstance(plain, (exp.Func, exp.Cast, exp.Collate)):
                return Meeting(number, operator)
            function, plain = _function(plain), inside[0]
        found = self.table_column(plain)
        if found is None:
            return Meeting(number, operator, function=function)
        return Meeting(number, operator, *found, function=function, place=place)

    def table_column(self, column: exp.Column) -> tuple[str, str, str] | None:
        select = column.parent_select
        return self._in_queries(column.name, column.table or None, select, _DEEPEST)

    def _in_queries(self, name: str, qualifier: str | None, select: Any, depth: int) -> tuple[str, str, str] | None:
        while select is not None and depth > 0:
            for alias, source in _sources(select):
                if qualifier is not None and alias.lower() != qualifier.lower():
                    continue
                found = self._in_source(name, source, select, depth - 1)
                if found is not None:
                    return found
            select = select.parent_select
        return None

    def _in_source(self, name: str, source: Any, select: Any, depth: int) -> tuple[str, str, str] | None:
        from sqlglot import exp

        if not isinstance(source, exp.Table):
            return self._in_query(name, source, depth)
        schema = source.db or None
        if schema is None and (common := _common(source.name, select)) is not None:
            columns = [one.name for one in common.args["alias"].args.get("columns") or ()]
            return self._in_query(name, common.this, depth, columns)
        key = (schema or self._catalogue.default or "", source.name)
        if key in self._catalogue.views:
            view = self._view(key)
            return None if view is None else self._in_query(name, view, depth)
        known = self._catalogue.columns.get(key, {}).get(name.lower())
        return None if known is None else (*key, known[0])

    def _in_query(
        self, name: str, query: Any, depth: int, columns: list[str] | None = None
    ) -> tuple[str, str, str] | None:
        """The table column behind a column of a query's result."""
        from sqlglot import exp

        if depth <= 0:
            return None
        select: Any = query.unnest() if isinstance(query, exp.Subquery) else query
        while isinstance(select, exp.SetOperation):
            select = select.left
        if not isinstance(select, exp.Select):
            return None
        given = [one.lower() for one in columns or ()]
        if given:
            if name.lower() not in given or given.index(name.lower()) >= len(select.expressions):
                return None
            chosen = [select.expressions[given.index(name.lower())]]
        else:
            chosen = [one for one in select.expressions if one.alias_or_name.lower() == name.lower()]
        for one in chosen:
            plain = one.unalias()
            return (
                self._in_queries(plain.name, plain.table or None, select, depth) if type(plain) is exp.Column else None
            )
        if any(one.is_star for one in select.expressions):
            return self._in_queries(name, None, select, depth)
        return None

    def _view(self, key: Key) -> Any:
        if key not in self._views:
            try:
                self._views[key] = parse.tree(self._catalogue.views[key])
            except Refused:
                self._views[key] = None
        return self._views[key]


def _sources(select: Any) -> Iterator[tuple[str, Any]]:
    """(alias, table or query) of each source of a SELECT."""
    origin = select.args.get("from_") or select.args.get("from")
    tables = [origin.this] if origin is not None else []
    tables += [join.this for join in select.args.get("joins") or ()]
    while tables:
        one = tables.pop(0)
        yield one.alias_or_name, one
        tables += [join.this for join in one.args.get("joins") or ()]


def _common(name: str, select: Any) -> Any:
    """The WITH query of this name that a SELECT sees."""
    from sqlglot import exp

    here: Any = select
    while here is not None:
        clause = here.args.get("with_") or here.args.get("with")
        for one in clause.expressions if isinstance(clause, exp.With) else ():
            if one.alias.lower() == name.lower() and select.find_ancestor(exp.CTE) is not one:
                return one
        here = here.parent
    return None
