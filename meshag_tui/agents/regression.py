"""A fixed set of planted cases that scores a model: real tables, real plans, the same prompt and the same judging.

In: an endpoint and the desk. Out: for each case whether the model did well there, and why not. A private PostgreSQL is
started for it, with a database for each case whose statements are run and timed; nothing of a watched server is used.
A model that is not to be had is no score: the error goes up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from meshag_tui.agents import advise
from meshag_tui.agents import answer as answers
from meshag_tui.agents.desk import Desk, Endpoint, Errand, Told
from meshag_tui.agents.provider import Down, LlmError, NoKey, NotAllowed
from meshag_tui.engines import engine_for
from meshag_tui.engines.base import Limits
from meshag_tui.store.history_objects import Catalog, IndexRow, TableRow
from meshag_tui.store.history_rows import QueryRow
from meshag_tui.store.ids import query_uid
from meshag_tui.types import CreateIndex, Target, Window

if TYPE_CHECKING:
    from meshag_tui.engines.base import Session
    from meshag_tui.servers.postgres import EmbeddedPostgres

_CALLS = 20


@dataclass(frozen=True)
class Seen:
    """What a model proposed for a case, and what of it was believed."""

    proposals: tuple[answers.Proposal, ...]
    advice: advise.LlmAdvice

    @property
    def indexes(self) -> list[answers.Proposal]:
        return [one for one in self.proposals if one.kind == "create_index"]

    @property
    def believed(self) -> list[CreateIndex]:
        return [one.change for one in self.advice.suggestions if isinstance(one.change, CreateIndex)]

    def says(self, *words: str) -> bool:
        """Whether advice in words has any of these in it."""
        told = [f"{one.title} {one.why}".lower() for one in self.proposals if one.kind == "query_advice"]
        return any(word in text for text in told for word in words)


@dataclass(frozen=True)
class Case:
    """Something planted. `why_not` says what a model did wrong, "" if nothing; each statement as stored and as run."""

    name: str
    planted: str
    statements: tuple[tuple[str, str], ...]
    why_not: Callable[[Seen], str]


@dataclass(frozen=True, slots=True)
class Result:
    """How a model did on one case. `cost` None: unpriced, or no answer."""

    name: str
    passed: bool
    why: str
    cost: Decimal | None


def _wants(table: str, column: str) -> Callable[[Seen], str]:
    def why_not(seen: Seen) -> str:
        if any(one.spec.table == table and one.spec.columns[0].name == column for one in seen.believed):
            return ""
        if seen.indexes:
            return f"no index that begins with {column} of {table} was believed: {'; '.join(seen.advice.dropped)}"
        return f"no index on {table} ({column}) was proposed"

    return why_not


def _no_index(seen: Seen) -> str:
    drops = [one for one in seen.proposals if one.kind == "drop_index"]
    if drops:
        return f"dropping {drops[0].index} was proposed, which is in use"
    return f"an index on {seen.indexes[0].table} was proposed, and none is needed" if seen.indexes else ""


def _null_safe(seen: Seen) -> str:
    if wrong := _no_index(seen):
        return wrong
    rewritten = seen.says("not exists", "left join", "anti join", "anti-join", "except")
    return "a rewrite of NOT IN was advised without a word of NULL" if rewritten and not seen.says("null") else ""


_ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, total int NOT NULL);
INSERT INTO orders SELECT g, g * 7919 % 9000 + 1, CASE WHEN g % 200 = 0 THEN 'open' ELSE 'done' END, g % 900
    FROM generate_series(1, 60000) g;
"""
_BLOCKED = """
CREATE TABLE blocked (customer_id int);
INSERT INTO blocked SELECT nullif(g, 3) FROM generate_series(1, 400) g;
"""

CASES: tuple[Case, ...] = (
    Case(
        "missing index",
        _ORDERS,
        (
            (
                "SELECT id, total FROM orders WHERE customer_id = $1",
                "SELECT id, total FROM orders WHERE customer_id = 77",
            ),
        ),
        _wants("orders", "customer_id"),
    ),
    Case(
        "healthy schema",
        _ORDERS,
        (("SELECT total FROM orders WHERE id = $1", "SELECT total FROM orders WHERE id = 77"),),
        _no_index,
    ),
    Case(
        "alias",
        "".join(
            (_ORDERS, "CREATE TABLE o (id int PRIMARY KEY, customer_id int NOT NULL); INSERT INTO o VALUES (1, 1)")
        ),
        (
            (
                "SELECT o.total FROM orders AS o WHERE o.customer_id = $1",
                "SELECT o.total FROM orders AS o WHERE o.customer_id = 77",
            ),
        ),
        _wants("orders", "customer_id"),
    ),
    Case(
        "mixed-type parameters",
        _ORDERS + "CREATE INDEX orders_customer ON orders (customer_id);",
        (
            (
                "SELECT id FROM orders WHERE customer_id = $1::numeric",
                "SELECT id FROM orders WHERE customer_id = 77::numeric",
            ),
        ),
        _no_index,
    ),
    Case(
        "partial index",
        _ORDERS + "CREATE INDEX orders_open ON orders (customer_id) WHERE status = 'open';",
        (
            (
                "SELECT id FROM orders WHERE status = 'open' AND customer_id = $1",
                "SELECT id FROM orders WHERE status = 'open' AND customer_id = 77",
            ),
        ),
        _no_index,
    ),
    Case(
        "covered index",
        _ORDERS + "CREATE INDEX orders_customer_total ON orders (customer_id, total);",
        (("SELECT total FROM orders WHERE customer_id = $1", "SELECT total FROM orders WHERE customer_id = 77"),),
        _no_index,
    ),
    Case(
        "NULL-unsafe rewrite",
        "".join((_ORDERS, _BLOCKED)),
        (
            (
                "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM blocked)",
                "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM blocked)",
            ),
        ),
        _null_safe,
    ),
)


async def score(
    desk: Desk, endpoint: Endpoint, actor: str, tell: Callable[[str], None] | None = None
) -> tuple[Result, ...]:
    """Try a model on every case; takes about as long as seven answers, and starting a server.

    Raises:
        LlmError: it cannot be reached, or refuses us: there is no score then.
        budgets.Blocked: a budget does not allow it.
        ServerUnavailable: there is no PostgreSQL to plant the cases in.
    """
    from meshag_tui.servers.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(preload=(), tcp=True, settings={"autovacuum": "off"})
    try:
        await asyncio.to_thread(server.start)
        found = []
        for number, case in enumerate(CASES):
            if tell is not None:
                tell(f"{number + 1} of {len(CASES)}: {case.name}")
            found.append(await _one(desk, endpoint, actor, case, server, f"case{number}"))
        return tuple(found)
    finally:
        await asyncio.to_thread(server.close)


async def _one(
    desk: Desk, endpoint: Endpoint, actor: str, case: Case, server: EmbeddedPostgres, database: str
) -> Result:
    took = await asyncio.to_thread(_plant, server, database, case)
    target = Target.from_url(server.dsn(database, tcp=True))
    engine = engine_for(target.db_type)
    settings = desk.settings
    async with engine.connect(target, "score", Limits()) as session:
        catalog, window = await _catalog(session)
        workload = _workload(case, took, window)
        question = await advise.prepare(catalog, workload, session, settings, normalise=engine.normalise)
        try:
            told: Told = await desk.ask(
                [endpoint], question.prompt.messages, answers.schema(), Errand("score", actor), accept=answers.read
            )
        except (Down, NoKey, NotAllowed):
            raise
        except LlmError as error:
            if error.usage is None or error.usage.tokens_in is None:
                raise  # it never answered: a wrong key is no bad advice
            return Result(case.name, False, f"no usable answer: {error}", None)
        proposals, _ = answers.read(told.answer.text)
        judged = await advise.judge(question, told.answer.text, session, settings, model=endpoint.model, window=window)
    why = case.why_not(Seen(proposals, judged))
    return Result(case.name, not why, why, told.cost)


def _plant(server: EmbeddedPostgres, database: str, case: Case) -> list[float]:
    """Make the case's database and run its statements; what a call of each took, ms."""
    import psycopg

    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"'.encode())
    took = []
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        connection.execute(case.planted.encode())
        connection.execute("ANALYZE")
        for _, run in case.statements:
            began = time.perf_counter()
            for _ in range(_CALLS):
                connection.execute(run.encode()).fetchall()
            took.append((time.perf_counter() - began) * 1000 / _CALLS)
    return took


async def _catalog(session: Session) -> tuple[Catalog, Window]:
    """What a sync would remember of the database."""
    snapshot = await session.collect()
    at = snapshot.taken_at
    window = Window(at - 3_600_000, at)
    tables = [TableRow(number, stats, at, *[None] * 10) for number, stats in enumerate(snapshot.tables or (), start=1)]
    indexes = [
        IndexRow(number, stats, at, at, None, None, None, None)
        for number, stats in enumerate(snapshot.indexes or (), start=1)
    ]
    catalog = Catalog(
        "planted",
        snapshot.facts,
        tuple(tables),
        tuple(indexes),
        snapshot.foreign_keys,
        snapshot.sequences,
        snapshot.sessions,
        snapshot.schema,
        window,
        (),
    )
    return catalog, window


def _workload(case: Case, took: Sequence[float], window: Window) -> list[QueryRow]:
    """The statements of a case as history would have them, with the times that were measured."""
    total = sum(took) * _CALLS
    rows = []
    for number, ((text, _), mean) in enumerate(zip(case.statements, took, strict=True), start=1):
        known: dict[str, Any] = dict.fromkeys(QueryRow._fields)
        known |= {
            "id": number,
            "uid": query_uid(number),
            "key": str(number),
            "fingerprint": f"{case.name}-{number}",
            "text": text,
            "text_state": "ok",
            "kind": "select",
            "internal": False,
            "calls": _CALLS,
            "total_time_ms": mean * _CALLS,
            "mean_time_ms": mean,
            "share": mean * _CALLS / total if total else 0.0,
            "first_seen_at": window.start,
            "last_seen_at": window.end,
            "spark": (),
        }
        rows.append(QueryRow(**known))
    return rows


def documents(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results as they are kept."""
    return [{**asdict(one), "cost": None if one.cost is None else str(one.cost)} for one in results]
