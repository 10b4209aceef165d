"""What the tests of changes share: a workbench, a shop with every kind of index, suggestions that ask for a change."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import activity, changes, suggestions
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import (
    Change,
    CreateIndex,
    DropIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Target,
)
from meshag_tui.workflows.workbench import Workbench
from tests.rig.mysql import Schema
from tests.rig.postgres import Database, bindir
from tests.rig.stores import put_store

ROOT = Path(__file__).parents[2]

SHOP = """
CREATE TABLE public.orders (id bigint PRIMARY KEY, customer_id int, status text, total numeric, note text);
INSERT INTO public.orders SELECT i, i % 100, 'done', i, 'n' || i FROM generate_series(1, 5000) i;
CREATE INDEX orders_status ON public.orders (status);
ANALYZE public.orders;
"""
BY_CUSTOMER = CreateIndex(IndexSpec("public", "orders", (IndexColumn("customer_id"),), name="orders_by_customer"))

# Everything that a dump says of indexes and their tables, and whether they can be used.
CATALOGUE = """
SELECT c.relname, c.relkind, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indislive, i.indisunique,
       i.indisclustered, i.indisreplident, obj_description(c.oid, 'pg_class'), t.spcname, c.reloptions,
       (SELECT array_agg((attnum, CASE WHEN attstattarget < 0 THEN NULL ELSE attstattarget END) ORDER BY attnum)::text
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
       (SELECT array_agg(refobjid::regclass::text || deptype::text ORDER BY 1) FROM pg_depend
        WHERE objid = c.oid AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema' ORDER BY 1
"""


def catalogue(database: Database) -> list[tuple[Any, ...]]:
    """What the catalogue says of every relation of the users': equal before and after means nothing was left."""
    return database.fetch(CATALOGUE)


def dump(database: Database) -> str:
    """What `pg_dump -s` of the server's own version says, but for the key it makes up anew each time."""
    command = [str(bindir(database.major) / "pg_dump"), "-s", database.socket_url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def invalid(database: Database) -> list[str]:
    """Names of indexes that are there and serve nobody."""
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)"
    return [name for (name,) in database.fetch(query)]


async def until(true: Callable[[], Any], within_s: float = 60.0) -> None:
    """Wait until something is so, looking from another thread."""
    async with asyncio.timeout(within_s):
        while True:
            if await asyncio.to_thread(true):
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a store of the test's own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(home=home, store_url=put_store(home / "store.db"))


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Workbench]:
    """A workbench on an empty store."""
    async with await Workbench.open(settings) as bench:
        yield bench


@dataclass
class Desk:
    """A DBA's desk: suggestions are put on it and applied; what is in the journal and the log is read from it."""

    bench: Workbench
    connections: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def connect(self, database: Database | Schema, url: str | None = None) -> str:
        """The id of a connection to this database, made on first use."""
        url = url or database.url
        if url not in self.connections:
            name = f"shop{len(self.connections)}"
            self.connections[url] = (await self.bench.connections.add(name, Target.from_url(url))).id
        return self.connections[url]

    async def suggest(
        self,
        database: Database | Schema,
        change: Change | None,
        url: str | None = None,
        size_bytes: int | None = 100_000,
    ) -> StoredSuggestion:
        """A suggestion that asks for `change`; `size_bytes` is what the index is expected to take."""
        advice = Suggestion(
            rule="missing-index",
            identity=f"test:{next(self.numbers)}",
            type=SuggestionType.INDEX_OPTIMIZATION,
            priority=SuggestionPriority.HIGH,
            title="Something to do",
            text="",
            evidence_kind=EvidenceKind.STATED,
            evidence={"facts": [], "object": {}, **({} if size_bytes is None else {"size_bytes": size_bytes})},
            confidence=0.5,
            risk=Risk.LOW,
            schema="public",
            table="orders",
            change=change,
            sql=None if change is None else "as reviewed",
        )
        connection_id = await self.connect(database, url)
        saved = await self.bench.store(suggestions.save, connection_id, [advice])
        return await self.bench.store(suggestions.get, saved.ids[0])

    async def apply(self, database: Database | Schema, change: Change) -> ChangeRow:
        """Suggest a change, look at it and apply it."""
        advice = await self.suggest(database, change)
        review = await self.bench.hands.review(advice.id)
        return await self.bench.hands.apply(advice.id, review.plan_hash, actor="ada")

    async def journal(self) -> tuple[ChangeRow, ...]:
        """All changes, newest first."""
        return await self.bench.store(changes.listing)

    async def log(self, kind: str = "change") -> list[str]:
        """Kinds of the activity log's entries under `kind`, oldest first."""
        entries = await self.bench.store(lambda: activity.recent(500, kind=kind))
        return [entry.kind for entry in reversed(entries)]


@pytest.fixture
async def desk(bench: Workbench) -> Desk:
    """See `Desk`."""
    return Desk(bench)


@pytest.fixture
async def reopened(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[Workbench]]]:
    """`await reopened()`: a new workbench on the same store, as after a restart of MeshAG."""
    opened: list[Workbench] = []

    async def again() -> Workbench:
        opened.append(await Workbench.open(settings))
        return opened[-1]

    yield again
    for bench in opened:
        await bench.close()


@pytest.fixture
def shop(pg: Database) -> Database:
    """A shop on PostgreSQL 18 and 15 in turn."""
    pg.execute(SHOP)
    return pg


@pytest.fixture
def shop18(pg18: Database) -> Database:
    """A shop on PostgreSQL 18."""
    pg18.execute(SHOP)
    return pg18


@dataclass
class Corner:
    """The simplest shop on any server: one table, which every change of the tests there is about."""

    database: Database | Schema
    schema: str

    @property
    def by_customer(self) -> CreateIndex:
        return CreateIndex(IndexSpec(self.schema, "orders", (IndexColumn("customer_id"),), name="by_customer"))

    def drop_of(self, index: str) -> DropIndex:
        return DropIndex(self.schema, "orders", index)

    def indexes(self) -> set[str]:
        """Names of the indexes that the server has for the table."""
        if isinstance(self.database, Database):
            found = self.database.fetch("SELECT indexname FROM pg_indexes WHERE tablename = 'orders'")
        else:
            wanted = "SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE()"
            found = self.database.fetch(f"{wanted} AND table_name = 'orders'")
        return {str(name) for (name,) in found}

    def catalogue(self) -> object:
        """What would show anything that was made: every row of it on PostgreSQL, the table's indexes elsewhere."""
        return catalogue(self.database) if isinstance(self.database, Database) else self.indexes()

    def execute_drop(self, index: str) -> None:
        """Drop an index as somebody else would."""
        on = "" if isinstance(self.database, Database) else " ON orders"
        self.database.execute(f"DROP INDEX {index}{on}")


@pytest.fixture(params=["pg18", "pg15", "mariadb", "mysql"])
def corner(request: pytest.FixtureRequest) -> Corner:
    """A corner shop on each server in turn."""
    database: Database | Schema = request.getfixturevalue(request.param)
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, customer_id int, status varchar(20), note varchar(40))")
    database.execute("CREATE INDEX orders_status ON orders (status)")
    return Corner(database, "public" if isinstance(database, Database) else database.name)


APPLIES = """
import asyncio, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.types import MeshagError
from meshag_tui.workflows.workbench import Workbench

async def main():
    async with await Workbench.open(Settings(home=Path(sys.argv[1]), store_url=sys.argv[2])) as bench:
        review = await bench.hands.review(sys.argv[3])
        print("reviewed", flush=True)
        sys.stdin.readline()
        try:
            row = await bench.hands.apply(sys.argv[3], review.plan_hash)
        except MeshagError as error:
            print(f"refused {error}", flush=True)
        else:
            print(f"applied {row.id}", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def another(settings: Settings, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start another MeshAG on the same store that has reviewed a suggestion and applies it on a line of input."""
    started: list[subprocess.Popen[str]] = []

    def start(suggestion_id: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", APPLIES, str(settings.home), settings.store_url, suggestion_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
