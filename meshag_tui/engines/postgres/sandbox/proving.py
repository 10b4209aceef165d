"""Whether two statements mean the same: looked for in their texts, and on data made to tell them apart.

In: two statements ready to run in a sandbox with data. Out: a `Proof`: proven only when no doubt is left. Their rows
are compared as multisets, for every set of values, on the copy as it is and on copies altered in transactions that are
rolled back: NULL in a column that may hold it, every row of a table twice, a table without rows. Data alone cannot
show what chance decides, so a volatile function, an order that one of them has alone and a LIMIT are doubts by
themselves, and so is a NOT IN that one of them has alone where a NULL could come into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError, ServerFault
from meshag_tui.engines.postgres import parse, rewrite
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.explain import checked
from meshag_tui.engines.postgres.sandbox.schema import dotted
from meshag_tui.engines.rehearsal import Answer, Proof, Runnable, Values

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

MOST_TRIALS = 24
"""Alterations that are tried; the statements' own columns come first."""
_WHERE_THERE_ARE = 5  # every so many-th row has the NULL
_COLUMNS = """
SELECT n.nspname::text, c.relname::text, a.attname::text, a.attnotnull
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  AND c.oid = ANY (SELECT pg_catalog.to_regclass(t) FROM pg_catalog.unnest(%s::text[]) t)
ORDER BY c.oid, a.attnum
"""


def filled(runnable: Runnable, values: Values) -> str:
    """The statement with these values, found to be one again."""
    text = rewrite.with_values(runnable.prepared, values, runnable.types) if values else runnable.prepared
    return checked(text).text


async def answer(session: PostgresSession, runnable: Runnable, values: Values) -> Answer:
    """The rows it returns now, in the transaction that is open."""
    rows = await session.fetch(
        "SELECT count(*), COALESCE(sum(pg_catalog.hashtextextended(r::text, 0)), 0)::text || ':' || "  # noqa: S608
        f"COALESCE(sum(pg_catalog.hashtextextended(r::text, 1)), 0)::text FROM ({filled(runnable, values)}) r"
    )
    return Answer(int(rows[0][0]), str(rows[0][1]))


async def compare(session: PostgresSession, one: Runnable, other: Runnable) -> Proof:
    """See `rehearsal.Rehearsal.compare`.

    Raises:
        EngineError: one of them cannot be run.
    """
    first, second = checked(one.prepared), checked(other.prepared)
    if first.node != "SelectStmt" or second.node != "SelectStmt":
        return Proof(0, 0, ("only queries can be compared",))
    names = {
        f"{quoted(rel.schema)}.{quoted(rel.name)}" if rel.schema else quoted(rel.name)
        for rel in (*first.relations, *second.relations)
    }
    async with session.wire.transaction(read_only=False):
        await _begin(session, one)
        columns = await session.fetch(_COLUMNS, (sorted(names),))
        doubts = await _of_texts(session, first, second, columns)
        if len({(schema, table) for schema, table, *_ in columns}) < len(names):
            doubts.append("one of the relations they name is no table, and what it hides is not looked at")
        try:
            shapes = [await _shape(session, each) for each in (one, other)]
            if shapes[0] != shapes[1]:
                doubts.append("their columns differ in number, name or type")
        except ServerFault as error:  # two columns of one name, one of no type
            doubts.append(f"their columns cannot be compared: {error}")
    trials = 0
    if not await _same(session, one, other, None):
        doubts.append("their rows differ on the copied data")
    else:
        for said, text in _alterations(columns, first.text + second.text):
            same = await _same(session, one, other, text)
            trials += same is not None
            if same is False:
                doubts.append(f"their rows differ with {said}")
            if trials >= MOST_TRIALS or len(doubts) >= 3:
                break
    return Proof(len(one.sets), trials, tuple(doubts))


async def _begin(session: PostgresSession, runnable: Runnable) -> None:
    await session.fetch("SELECT pg_catalog.set_config('search_path', %s, true)", (runnable.path,))


async def _same(session: PostgresSession, one: Runnable, other: Runnable, alteration: str | None) -> bool | None:
    """Whether both return the same for every set of values; None where the data could not be altered so."""
    async with session.wire.transaction(read_only=False):
        if alteration is not None:
            try:
                await session.fetch(alteration)
            except EngineError as error:
                if error.transient:
                    raise
                return None  # a constraint forbids such data
        await _begin(session, one)
        for values in one.sets:
            if await answer(session, one, values) != await answer(session, other, values):
                return False
    return True


async def _shape(session: PostgresSession, runnable: Runnable) -> list[tuple[Any, ...]]:
    """Names and types of the columns it returns."""
    text = filled(runnable, runnable.sets[0])
    await session.fetch(f"CREATE TEMP TABLE meshag_shape AS SELECT * FROM ({text}) r LIMIT 0")  # noqa: S608
    found = await session.fetch(
        "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = 'pg_temp.meshag_shape'::pg_catalog.regclass AND attnum > 0 ORDER BY attnum"
    )
    await session.fetch("DROP TABLE pg_temp.meshag_shape")
    return found


async def _of_texts(
    session: PostgresSession, first: parse.Statement, second: parse.Statement, columns: list[tuple[Any, ...]]
) -> list[str]:
    doubts = []
    names = sorted({name[-1] for each in (first, second) for name in each.functions})
    volatile = await session.fetch(
        "SELECT DISTINCT proname::text FROM pg_catalog.pg_proc WHERE proname = ANY(%s::text[]) AND provolatile = 'v'",
        (names,),
    )
    if volatile:
        doubts.append(f"{volatile[0][0]}() gives something else each time")
    trees = [each.tree for each in (first, second)]
    if any(_has(tree, "limitCount") or _has(tree, "limitOffset") for tree in trees):
        doubts.append("which rows a LIMIT keeps of equal ones is left to chance")
    if any(next(parse.find({"x": tree}, "RangeTableSample"), None) is not None for tree in trees):
        doubts.append("a sample is left to chance")
    if any(_has(tree, "lockingClause") for tree in trees):
        doubts.append("one of them locks rows")
    orders = [_without_places(tree.get("sortClause")) for tree in trees]
    if orders[0] != orders[1]:
        doubts.append("they are not ordered by the same")
    if _not_in(trees[0]) != _not_in(trees[1]):
        doubts += _nulls(trees[0] if _not_in(trees[0]) else trees[1], columns)
    return doubts


def _has(tree: Any, field: str) -> bool:
    if isinstance(tree, Mapping):
        return field in tree or any(_has(value, field) for value in tree.values())
    return isinstance(tree, list) and any(_has(value, field) for value in tree)


def _without_places(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _without_places(value) for name, value in tree.items() if name != "location"}
    return [_without_places(value) for value in tree] if isinstance(tree, list) else tree


def _not_in(tree: Mapping[str, Any]) -> int:
    """How many NOT IN (SELECT …) it has."""
    return sum(
        1
        for node in parse.find({"x": tree}, "BoolExpr")
        if node.get("boolop") == "NOT_EXPR"
        for argument in node.get("args", ())
        if (argument.get("SubLink") or {}).get("subLinkType") == "ANY_SUBLINK"
    )


def _nulls(tree: Mapping[str, Any], columns: list[tuple[Any, ...]]) -> list[str]:
    """Columns on either side of a NOT IN that may hold NULL, or are not plain columns."""
    may = {(name.lower()) for _, _, name, not_null in columns if not not_null}
    doubts = []
    for node in parse.find({"x": tree}, "SubLink"):
        if node.get("subLinkType") != "ANY_SUBLINK":
            continue
        inner = ((node.get("subselect") or {}).get("SelectStmt") or {}).get("targetList", [{}])
        sides = [node.get("testexpr") or {}, (inner[0].get("ResTarget") or {}).get("val") or {}]
        for side in sides:
            name = (parse.names((side.get("ColumnRef") or {}).get("fields", ())) or ("",))[-1]
            if not name or name.lower() in may:
                doubts.append(f"{name or 'an expression'} may be NULL, and NOT IN then gives no row at all")
    return list(dict.fromkeys(doubts))


def _alterations(columns: list[tuple[Any, ...]], texts: str) -> Iterator[tuple[str, str]]:
    """Ways to make data that could tell statements apart: in words, and as the statement that makes it."""
    tables = list(dict.fromkeys((schema, table) for schema, table, _, _ in columns))
    for home in tables:
        yield f"no row in {home[1]}", f"DELETE FROM {dotted(home)}"  # noqa: S608
        yield f"every row of {home[1]} twice", f"INSERT INTO {dotted(home)} SELECT * FROM {dotted(home)}"  # noqa: S608
    named = sorted(columns, key=lambda each: each[2].lower() not in texts.lower())
    for schema, table, column, not_null in named:
        if not not_null:
            yield (
                f"NULL in {table}.{column}",
                f"UPDATE {dotted((schema, table))} SET {quoted(column)} = NULL "  # noqa: S608
                f"WHERE pg_catalog.hashtextextended(ctid::text, 0) % {_WHERE_THERE_ARE} = 0",
            )
