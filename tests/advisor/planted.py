"""Tables with a planted problem, or with a trap: what is to be said of each, for PostgreSQL and MySQL alike.

A case is a table of its own, filled by arithmetic so that runs repeat, and the statements that run on it. What is said
of the table must be what the case expects, no more and no less: of a trap, nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshag_tui.types import Suggestion


class Case(NamedTuple):
    """`{t}` in texts is the table as SQL has it, `{n}` its bare name.

    `columns` stand between `id` and `pad`, `values` are theirs, made from `n`; `more` runs once the table is filled.
    """

    columns: str
    values: str
    statements: tuple[str, ...]
    expected: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def named(self, name: str, texts: tuple[str, ...], quote: str) -> list[str]:
        """Texts of the case with the name of its table."""
        return [text.replace("{t}", f"{quote}{name}{quote}").replace("{n}", name) for text in texts]


def want(columns: str, values: str, statement: str, *expected: str, more: tuple[str, ...] = ()) -> Case:
    """A case whose one statement wants something."""
    return Case(columns, values, (statement,), expected, more)


def trap(columns: str, values: str, *statements: str, more: tuple[str, ...] = ()) -> Case:
    """A case of which nothing must be said."""
    return Case(columns, values, statements, (), more)


def said(suggestions: Iterable[Suggestion], tables: Iterable[str]) -> dict[str, set[str]]:
    """What is said of each of these tables: of an index to be made its keys, of one to go its name, else the rule."""
    found: dict[str, set[str]] = {table: set() for table in tables}
    for one in suggestions:
        if one.table in found:
            found[one.table].add(_short(one))
    return found


def _short(one: Suggestion) -> str:
    sql = one.sql or ""
    if " USING " in sql:
        return sql.split(" USING ")[1].removeprefix("btree ")
    if " ADD INDEX " in sql:
        return "(" + sql.split(" (", 1)[1].rsplit(", ALGORITHM", 1)[0].replace("`", "")
    if " DROP INDEX " in sql or "DROP INDEX CONCURRENTLY" in sql:
        return "drop " + sql.split("DROP INDEX ")[1].split(",")[0].split(".")[-1].strip('`"')
    if " ALTER INDEX " in sql:
        return "hide " + sql.split("ALTER INDEX ")[1].split()[0].strip("`")
    return one.rule


def first_case(part: object) -> str:
    """What a part is called in the list of tests: its first case."""
    return str(next(iter(part))) if isinstance(part, dict) else str(part)


def groups(cases: dict[str, Case], most: int) -> list[dict[str, Case]]:
    """The cases in parts of so many: each part is a database."""
    names = list(cases)
    return [{name: cases[name] for name in names[at : at + most]} for at in range(0, len(names), most)]
