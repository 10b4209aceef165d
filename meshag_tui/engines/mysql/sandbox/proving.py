"""Whether two statements mean the same: looked for in their texts, and on data made to tell them apart.

In: two statements ready to run in a sandbox with data. Out: a `Proof`: proven only when no doubt is left. Their rows
are compared as multisets, for every set of values, on the copy as it is and on copies altered in transactions that are
rolled back: NULL in a column that may hold it, every row of a table twice, a table without rows. Data alone cannot
show what chance decides, so functions that give something else each time, variables, columns that are not grouped by,
an order that one of them has alone and a LIMIT are doubts by themselves, and so is a NOT IN that one of them has alone
where a NULL could come into it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.mysql import digest, lexer, parse
from meshag_tui.engines.mysql.errors import number, quoted
from meshag_tui.engines.mysql.explainable import Explainable, called, checked, explainable, without_hints
from meshag_tui.engines.mysql.rewriting import numbers_of
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.survey import Surveyed, survey
from meshag_tui.engines.rehearsal import Answer, Proof, Runnable, Values

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

MOST_TRIALS = 24
"""Alterations that are tried; the statements' own columns come first."""
_MOST_DOUBTS = 3
_WHERE_THERE_ARE = 5  # every so many-th row has the NULL
_BY_CHANCE = frozenset(("rand", "uuid", "uuid_short", "sysdate", "random_bytes", "sys_guid", "found_rows", "row_count"))
_IN_ANY_ORDER = frozenset(("group_concat", "json_arrayagg", "json_objectagg"))
_NOT_GROUPED = (1055, 1140)
_SHAPE = "meshag_shape"


class Column(NamedTuple):
    """A column that is written. `key`: it is of the primary key."""

    schema: str
    table: str
    name: str
    nullable: bool
    key: bool

    @property
    def home(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}"


def filled(runnable: Runnable, given: Values) -> str:
    """The statement with these values, found to be one again."""
    values = ["NULL" if value is None else value for value in given]
    in_order = [values[each - 1] for each in numbers_of(runnable.prepared)]
    text = lexer.joined(digest.with_values(lexer.words(runnable.prepared), in_order))
    explainable(text)
    return text


async def answer(session: MysqlSession, runnable: Runnable, given: Values) -> Answer:
    """The rows it returns now, in the transaction that is open."""
    await session.fetch(f"USE {quoted(runnable.path)}")
    hashes = await session.fetch(filled(runnable, given), shape=_hashes)
    return Answer(len(hashes), f"{sum(hashes) % 2**128:032x}")


def _hashes(rows: Sequence[Sequence[Any]]) -> list[int]:
    """A number of each row, of all its values as they came."""
    made = (hashlib.blake2b(repr(tuple(row)).encode("utf-8", "backslashreplace"), digest_size=16) for row in rows)
    return [int.from_bytes(each.digest()) for each in made]


async def compare(session: MysqlSession, one: Runnable, other: Runnable, seconds: float) -> Proof:
    """See `rehearsal.Rehearsal.compare`.

    Args:
        seconds: after which no further alteration is begun; that some were not tried is a doubt.

    Raises:
        EngineError: one of them cannot be run.
    """
    until = time.monotonic() + seconds
    found = [explainable(each.prepared) for each in (one, other)]
    if any(each.operation != "Select" for each in found):
        return Proof(0, 0, ("only queries can be compared",))
    surveyed = [await survey(session, each.whole, one.path) for each in found]
    columns = await _columns(session, surveyed)
    doubts = await asyncio.to_thread(_of_texts, found, columns)
    if any(each.catalogue.views for each in surveyed):
        doubts.append("one of the relations they name is no table, and what it hides is not looked at")
    doubts += await _of_groups(session, (one, other))
    try:
        shapes = [await _shape(session, each) for each in (one, other)]
        if shapes[0] != shapes[1]:
            doubts.append("their columns differ in number, name or type")
    except EngineError as error:  # two columns of one name
        if error.transient:
            raise
        doubts.append(f"their columns cannot be compared: {error}")
    trials = 0
    if not await _same(session, one, other, None):
        doubts.append("their rows differ on the copied data")
        return Proof(len(one.sets), trials, tuple(doubts))
    for said, text in _alterations(columns, f"{one.prepared} {other.prepared}"):
        if trials >= MOST_TRIALS or len(doubts) >= _MOST_DOUBTS:
            break
        if time.monotonic() > until:
            doubts.append(f"not all was tried within {seconds:g} s: {trials} ways of altering the data were")
            break
        same = await _same(session, one, other, text)
        trials += same is not None
        if same is False:
            doubts.append(f"their rows differ with {said}")
    return Proof(len(one.sets), trials, tuple(doubts))


async def _columns(session: MysqlSession, surveyed: Sequence[Surveyed]) -> list[Column]:
    found: list[Column] = []
    for schema, table in sorted({key for each in surveyed for key in each.sizes}):
        rows = await session.fetch(load("proving_columns"), (schema, table))
        found += [
            Column(str(row[0]), str(row[1]), str(row[2]), bool(row[3]), bool(row[4]))
            for row in sorted(rows, key=lambda row: int(row[5]))
        ]
    return found


async def _same(session: MysqlSession, one: Runnable, other: Runnable, alteration: str | None) -> bool | None:
    """Whether both return the same for every set of values; None where the data could not be altered so."""
    await session.fetch("START TRANSACTION")
    try:
        if alteration is not None:
            try:
                await session.fetch(alteration)
            except EngineError as error:
                if error.transient or session.wire.gone is not None:
                    raise
                return None  # a constraint forbids such data
        for values in one.sets:
            if await answer(session, one, values) != await answer(session, other, values):
                return False
        return True
    finally:
        if session.wire.gone is None:
            await session.fetch("ROLLBACK")


async def _shape(session: MysqlSession, runnable: Runnable) -> list[tuple[str, str]]:
    """Names and types of the columns it returns."""
    text = filled(runnable, runnable.sets[0])
    await session.fetch(f"USE {quoted(runnable.path)}")
    await session.fetch(f"CREATE TEMPORARY TABLE {_SHAPE} AS SELECT * FROM ({text}) r LIMIT 0")  # noqa: S608
    try:
        return [(str(row[0]), str(row[1])) for row in await session.fetch(f"SHOW COLUMNS FROM {_SHAPE}")]
    finally:
        await session.fetch(f"DROP TEMPORARY TABLE {_SHAPE}")


async def _of_groups(session: MysqlSession, both: Sequence[Runnable]) -> list[str]:
    """Whether one returns a column that it does not group by: our sessions let it, and any row may give the value."""
    await session.fetch("SET SESSION sql_mode = 'ONLY_FULL_GROUP_BY'")
    try:
        for each in both:
            await session.fetch(f"USE {quoted(each.path)}")
            await session.fetch(f"EXPLAIN {checked(filled(each, each.sets[0]))}")
    except EngineError as error:
        if number(error) not in _NOT_GROUPED:
            raise
        return ["of a group any row may give a column that it is not grouped by"]
    finally:
        if session.wire.gone is None:
            await session.fetch("SET SESSION sql_mode = ''")
    return []


def _of_texts(both: Sequence[Explainable], columns: Sequence[Column]) -> list[str]:
    from sqlglot import exp

    doubts = []
    calls = {name for each in both for name in called(each.whole)}
    doubts += [f"{name}() gives something else each time" for name in sorted(calls & _BY_CHANCE)[:1]]
    doubts += [f"{name}() may give its values in any order" for name in sorted(calls & _IN_ANY_ORDER)[:1]]
    if any(one.kind == "variable" for each in both for one in each.whole):
        doubts.append("a variable may be something else each time")
    if any(len(each.words) != len(each.whole) for each in both):
        doubts.append("one of them locks rows")
    trees = [parse.tree(without_hints(lexer.joined(each.words))) for each in both]
    if any(tree.find(exp.Limit, exp.Offset, exp.Fetch) is not None for tree in trees):
        doubts.append("which rows a LIMIT keeps of equal ones is left to chance")
    orders = [tree.args["order"].sql("mysql") if tree.args.get("order") else "" for tree in trees]
    if orders[0] != orders[1]:
        doubts.append("they are not ordered by the same")
    negated = [_not_in(tree) for tree in trees]
    if len(negated[0]) != len(negated[1]):
        doubts += _nulls([*negated[0], *negated[1]], columns)
    return doubts


def _not_in(tree: Any) -> list[Any]:
    """Each IN (SELECT …) that is negated."""
    from sqlglot import exp

    found = [one.this.unnest() for one in tree.find_all(exp.Not)]
    return [one for one in found if isinstance(one, exp.In) and one.args.get("query") is not None]


def _nulls(negated: Sequence[Any], columns: Sequence[Column]) -> list[str]:
    """Columns on either side of a NOT IN that may hold NULL, or are not plain columns."""
    from sqlglot import exp

    may = {one.name.lower() for one in columns if one.nullable}
    plain = {one.name.lower() for one in columns} - may
    doubts = []
    for one in negated:
        inner = one.args["query"].unnest()
        for side in (one.this, *getattr(inner, "expressions", [None])[:1]):
            name = side.name if type(side) is exp.Column else ""
            if name.lower() not in plain:
                doubts.append(f"{name or 'an expression'} may be NULL, and NOT IN then gives no row at all")
    return list(dict.fromkeys(doubts))


def _alterations(columns: Sequence[Column], texts: str) -> Iterator[tuple[str, str]]:
    """Ways to make data that could tell statements apart: in words, and as the statement that makes it."""
    by_table: dict[str, list[Column]] = {}
    for one in columns:
        by_table.setdefault(one.home, []).append(one)
    for home, mine in by_table.items():
        names = ", ".join(quoted(one.name) for one in mine)
        yield f"no row in {mine[0].table}", f"DELETE FROM {home}"  # noqa: S608 (names are quoted)
        twice = f"INSERT INTO {home} ({names}) SELECT {names} FROM {home}"  # noqa: S608
        yield f"every row of {mine[0].table} twice", twice
    for one in sorted(columns, key=lambda each: each.name.lower() not in texts.lower()):
        if one.nullable:
            mine = by_table[one.home]
            rows = ", ".join(quoted(each.name) for each in mine if each.key) or ", ".join(quoted(x.name) for x in mine)
            yield (
                f"NULL in {one.table}.{one.name}",
                f"UPDATE {one.home} SET {quoted(one.name)} = NULL "  # noqa: S608
                f"WHERE CRC32(CONCAT_WS('/', {rows})) % {_WHERE_THERE_ARE} = 0",
            )
