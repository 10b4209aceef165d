"""Changing a server: only what was rendered, only once, nobody made to wait, and the catalogue has the last word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from meshag_tui.engines.base import EngineError, Gate, Limits, LockTimeout, Refused
from meshag_tui.engines.postgres import gates as gate_checks
from meshag_tui.engines.postgres import render
from meshag_tui.engines.postgres.ddl import PostgresDdlSession, connect_for_change, progress
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    IndexColumn,
    IndexSpec,
    RestoreIndex,
    SetStatisticsTarget,
    SetTableOptions,
    Target,
    Vacuum,
)
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database

SCHEMA = """
CREATE TABLE public.victim (id int PRIMARY KEY);
CREATE TABLE public.orders (id bigint PRIMARY KEY, customer_id int, status text);
INSERT INTO public.orders SELECT i, i % 100, 'done' FROM generate_series(1, 20000) i;
CREATE INDEX orders_status ON public.orders (status);
"""
CREATE = CreateIndex(IndexSpec("public", "orders", (IndexColumn("customer_id"),)))
DROP = DropIndex("public", "orders", "orders_status")


@pytest.fixture
def database(pg: Database) -> Database:
    pg.execute(SCHEMA)
    return pg


def hands(database: Database):  # type: ignore[no-untyped-def]
    return connect_for_change(Target.from_url(database.socket_url), Limits())


async def test_create_then_undo_leaves_the_catalogue_as_it_was(database: Database) -> None:
    before = _indexes(database)
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        assert await session.verify(CREATE, rendered) == "absent"
        await session.run(CREATE, rendered.sql)
        assert await session.verify(CREATE, rendered) == "done"
        assert len(_indexes(database)) == len(before) + 1
        undo = DropIndex("public", "orders", rendered.target["index"])
        dropping = await render.render(session, undo)
        assert dropping.sql == rendered.undo_sql
        await session.run(undo, dropping.sql)
        assert await session.verify(undo, dropping) == "done"
        assert await session.verify(CREATE, rendered) == "absent"
    assert _indexes(database) == before


async def test_drop_then_restore_leaves_the_catalogue_as_it_was(database: Database) -> None:
    database.execute(
        "CREATE UNIQUE INDEX odd ON public.orders ((id + 1), status DESC) INCLUDE (customer_id) WITH (fillfactor = 60) "
        "WHERE status <> 'a;\nb'",
        "ALTER INDEX public.odd ALTER COLUMN 1 SET STATISTICS 300",
        "DROP INDEX public.orders_status",
        "CREATE INDEX orders_status ON public.orders (status) WHERE status <> E'x\\\\y;\nz'",
        "COMMENT ON INDEX public.orders_status IS 'first;\nsecond'",
        "ALTER TABLE public.orders CLUSTER ON orders_pkey",
    )
    before = _indexes(database)
    async with hands(database) as session:
        dropping = await render.render(session, DROP)
        await session.run(DROP, dropping.sql)
        assert await session.verify(DROP, dropping) == "done"
        assert dropping.undo_sql is not None
        restore = RestoreIndex("public", "orders", "orders_status", tuple(dropping.undo_sql.split(";\n")))
        restoring = await render.render(session, restore)
        assert restoring.undo_sql == dropping.sql
        await session.run(restore, restoring.sql)
        assert await session.verify(restore, restoring) == "done"
        assert await session.verify(DROP, dropping) == "done"  # that index, by its oid, stays gone
    assert _indexes(database) == before


async def test_analyze_and_vacuum(database: Database) -> None:
    async with hands(database) as session:
        for change in (Analyze("public", "orders"), Vacuum("public", "orders")):
            rendered = await render.render(session, change)
            assert await session.verify(change, rendered) == "absent"
            await session.run(change, rendered.sql)
            assert await session.verify(change, rendered) == "done"
            session._ran_at = None


CORPUS = [
    "DROP TABLE public.victim",
    "{sql}; DROP TABLE public.victim",
    "{sql} /* */; DROP TABLE public.victim --",
    "{sql}\x00; DROP TABLE public.victim",
    "{sql};\nDROP TABLE public.victim",
    "BEGIN; DROP TABLE public.victim; COMMIT",
    "DO $$ BEGIN DROP TABLE public.victim; END $$",
    "WITH x AS (DELETE FROM public.victim RETURNING 1) SELECT 1",
    "CREATE INDEX CONCURRENTLY i ON public.victim USING btree (id)",
    "CREATE INDEX i ON public.orders USING btree (customer_id)",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON public.orders USING btree (customer_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.orders USING btree (customer_id)",
    "CREATE INDEX CONCURRENTLY i ON public.orders USING btree (pg_read_file(status))",
    "CREATE INDEX CONCURRENTLY i ON public.orders USING btree (customer_id) TABLESPACE pg_default",
    "DROP INDEX public.orders_status",
    "DROP INDEX CONCURRENTLY public.orders_pkey",
    "DROP INDEX CONCURRENTLY public.orders_status, public.orders_pkey",
    "DROP INDEX CONCURRENTLY public.orders_status CASCADE",
    "ALTER SYSTEM SET fsync = off",
    "SET ROLE postgres",
    "COPY public.victim TO PROGRAM 'true'",
    "EXPLAIN ANALYZE DELETE FROM public.victim",
    "SELECT * INTO x FROM public.victim",
    "VACUUM FULL public.orders",
    "VACUUM (FULL) public.orders",
    "VACUUM",
    "ANALYZE public.orders, public.victim",
    "REINDEX TABLE public.orders",
    "ＤＲＯＰ TABLE public.victim",
    "\\! true",
    "",
    "--",
]


async def test_only_the_rendered_statement_is_ever_sent(database: Database) -> None:
    changes: list[Change] = [CREATE, DROP, Analyze("public", "orders"), Vacuum("public", "orders")]
    before = _indexes(database)
    async with hands(database) as session:
        for change in changes:
            rendered = await render.render(session, change)
            for text in CORPUS:
                with pytest.raises(Refused):
                    await session.run(change, text.replace("{sql}", rendered.sql))
        for text in CORPUS:
            if not text:
                continue
            for statements in ((text,), (_definition(database), text)):
                restore = RestoreIndex("public", "orders", "orders_status", statements)
                with pytest.raises(Refused):
                    await session.run(restore, ";\n".join(statements))
    assert _indexes(database) == before
    assert database.fetch("SELECT count(*) FROM public.victim") == [(0,)]


async def test_a_statement_rendered_for_another_state_is_refused(database: Database) -> None:
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        database.execute("CREATE INDEX mine ON public.orders (customer_id)")
        with pytest.raises(Refused, match="mine"):
            await session.run(CREATE, rendered.sql)
        gates = await session.gates(CREATE, rendered, 1000)
        assert _gate(gates, "name and equal indexes").state == "block"


async def test_an_open_writer_is_named_and_the_leftover_removed_when_it_ends(database: Database) -> None:
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        with database.connect(application_name="a writer") as writer:
            writer.execute("BEGIN")
            writer.execute("UPDATE public.orders SET status = 'x' WHERE id = 1")
            with pytest.raises(LockTimeout, match=f"pid {writer.info.backend_pid} .*a writer.*since"):
                await session.run(CREATE, rendered.sql)
            assert await session.verify(CREATE, rendered) == "invalid"
            assert await session.clean_up(CREATE, rendered) is False
            with pytest.raises(LockTimeout, match="a writer"):
                await session.run(CREATE, rendered.sql)
            writer.execute("ROLLBACK")
        await session.run(CREATE, rendered.sql)
        assert await session.verify(CREATE, rendered) == "done"


async def test_an_invalid_leftover_is_removed_only_if_it_is_ours(database: Database) -> None:
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        name = rendered.target["index"]
        database.execute(f"CREATE INDEX {name} ON public.orders (status, id)")
        database.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")
        assert await session.clean_up(CREATE, rendered) is False
        database.execute(f"DROP INDEX {name}", f"CREATE INDEX {name} ON public.orders (customer_id)")
        assert await session.clean_up(CREATE, rendered) is False  # valid
        database.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")
        assert await session.verify(CREATE, rendered) == "invalid"
        assert await session.clean_up(CREATE, rendered) is True
        assert await session.verify(CREATE, rendered) == "absent"


async def test_cancelling_ends_the_statement_on_the_server_and_the_session_lives(database: Database) -> None:
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        with database.connect() as writer:
            writer.execute("BEGIN")
            writer.execute("UPDATE public.orders SET status = 'x' WHERE id = 1")
            task = asyncio.create_task(session.run(CREATE, rendered.sql))
            await asyncio.sleep(0.7)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await session.verify(CREATE, rendered) == "invalid"
        assert await session.clean_up(CREATE, rendered) is True
    assert _ours_active(database) == 0


async def test_a_session_that_dies_leaves_its_statement_running_and_another_adopts_it(
    database: Database, open_session: Open
) -> None:
    async with hands(database) as first, hands(database) as second:
        rendered = await render.render(first, CREATE)
        with database.connect() as reader:
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM public.victim")
            task = asyncio.create_task(first.run(CREATE, rendered.sql))
            watching = await open_session(database.socket_url)
            seen = None
            holder = f"pid {reader.info.backend_pid}"  # others on this server are waited for as well
            for _ in range(600):
                await asyncio.sleep(0.05)
                seen = await progress(watching, first.backend_pid)
                if seen is not None and holder in (seen.waiting_for or ""):
                    break
            assert seen is not None and seen.waiting_for is not None
            assert holder in seen.waiting_for
            assert await second.verify(CREATE, rendered) == "running"
            assert await second.clean_up(CREATE, rendered) is False
            first._wire.close()
            with pytest.raises(EngineError):
                await task
            assert await second.verify(CREATE, rendered) == "running"
            reader.execute("ROLLBACK")
        for _ in range(600):
            if await second.verify(CREATE, rendered) != "running":
                break
            await asyncio.sleep(0.05)
        assert await second.verify(CREATE, rendered) == "done"


async def test_gates_of_a_quiet_server_let_through(database: Database) -> None:
    async with hands(database) as session:
        for change in (CREATE, DROP, Analyze("public", "orders")):
            rendered = await render.render(session, change)
            gates = await session.gates(change, rendered, 1_000_000)
            busy = {"active sessions"}  # other tests' sessions on this server
            assert [gate for gate in gates if gate.state != "pass" and gate.name not in busy] == []
        rendered = await render.render(session, CREATE)
        bounded = _gate(await session.gates(CREATE, rendered, None), "free disk")
        assert bounded.state == "pass" and "3 × the table" in bounded.limit
        assert _gate(await session.gates(CREATE, rendered, 10**18), "free disk").state == "block"


async def test_the_lock_that_is_foretold_is_the_lock_that_is_taken(database: Database) -> None:
    changes: list[Change] = [
        Analyze("public", "orders"),
        SetTableOptions("public", "orders", (("fillfactor", "90"),)),
        SetStatisticsTarget("public", "orders", "status", 200),
        CreateStatistics("public", "orders", ("customer_id", "status"), ("ndistinct",), "two"),
        DropStatistics("public", "orders", "two"),
    ]
    modes = (
        "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'public.orders'::regclass "
        "AND mode NOT IN ('AccessShareLock', 'RowShareLock')"
    )
    async with hands(database) as session:
        for change in changes:
            rendered = await render.render(session, change)
            gate = _gate(await session.gates(change, rendered, None), "lock it takes")
            with database.connect() as other, other.transaction():
                other.execute(rendered.sql.encode())
                taken = [mode for (mode,) in other.execute(modes.encode()).fetchall()]
            assert set(taken) <= {"ShareUpdateExclusiveLock"} and gate.value.startswith("SHARE UPDATE EXCLUSIVE")
            assert taken or isinstance(change, DropStatistics)


async def test_an_old_transaction_blocks_and_is_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_checks, "LONGEST_TRANSACTION_S", 0.2)
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        with database.connect(application_name="forgotten") as old:
            old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1")
            await asyncio.sleep(0.4)
            gate = _gate(await session.gates(CREATE, rendered, 1000), "oldest transaction")
            assert gate.state == "block"
            assert f"pid {old.info.backend_pid}" in gate.detail and "forgotten" in gate.detail


async def test_a_lock_on_the_table_blocks(database: Database) -> None:
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        with database.connect() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE public.orders IN SHARE UPDATE EXCLUSIVE MODE")
            gate = _gate(await session.gates(CREATE, rendered, 1000), "locks on the table")
            assert gate.state == "block" and str(other.info.backend_pid) in gate.detail


async def test_a_renamed_or_dropped_table_blocks(database: Database) -> None:
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        database.execute("ALTER TABLE public.orders RENAME TO orders_old")
        assert _gate(await session.gates(CREATE, rendered, 1000), "table").state == "block"
        database.execute("CREATE TABLE public.orders (customer_id int)")
        gates = await session.gates(CREATE, rendered, 1000)
        assert {gate.name for gate in gates if gate.state == "block"} >= {"table", "name and equal indexes"}
        database.execute("DROP TABLE public.orders_old")
        assert _gate(await session.gates(CREATE, rendered, 1000), "table").value == "gone"


async def test_a_role_that_only_watches_is_told_what_it_lacks(database: Database) -> None:
    async with connect_for_change(Target.from_url(database.monitor_url), Limits()) as session:
        rendered = await render.render(session, CREATE)
        gate = _gate(await session.gates(CREATE, rendered, 1000), "owner")
        assert gate.state == "block" and "GRANT app TO meshag_monitor" in gate.detail.replace('"', "")
        with pytest.raises(EngineError):
            await session.run(CREATE, rendered.sql)
        assert await session.verify(CREATE, rendered) == "absent"


async def test_a_role_that_cannot_see_others_is_blocked_by_what_it_cannot_know(database: Database) -> None:
    role = f"owner_{database.name}"
    database.execute(
        f"CREATE ROLE {role} LOGIN",
        f"ALTER TABLE public.orders OWNER TO {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
    )
    try:
        target = replace(Target.from_url(database.socket_url), user=role)
        async with connect_for_change(target, Limits()) as session:
            rendered = await render.render(session, CREATE)
            gates = await session.gates(CREATE, rendered, 1000)
            assert _gate(gates, "owner").state == "pass"
            assert _gate(gates, "oldest transaction").value == "unknown"
            assert "pg_monitor" in _gate(gates, "oldest transaction").detail
    finally:
        database.execute(f"REASSIGN OWNED BY {role} TO app", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_too_few_connections_block(private_pg: Callable[..., Database]) -> None:
    database = private_pg(18, settings={"max_connections": "12", "superuser_reserved_connections": "3"})
    database.execute(SCHEMA)
    async with hands(database) as session:
        rendered = await render.render(session, CREATE)
        assert _gate(await session.gates(CREATE, rendered, 1000), "free connections").state == "block"


async def test_a_standby_is_refused(private_pg: Callable[..., Database]) -> None:
    database = private_pg(18, settings={"wal_level": "replica", "hot_standby": "on"})
    database.execute(SCHEMA)
    database.server.stop()
    (database.server.root / "data" / "standby.signal").touch()
    database.server.start()
    with pytest.raises(Refused, match="standby"):
        async with hands(database):
            pass


async def test_the_session_is_recognisable_and_short_of_patience(database: Database) -> None:
    async with hands(database) as session:
        rows = database.fetch(
            "SELECT application_name, (extract(epoch FROM backend_start) * 1000)::bigint FROM pg_stat_activity "
            "WHERE pid = %s",
            (session.backend_pid,),
        )
        assert rows == [("meshag/apply", session.backend_start)]
        shown = await session.fetch("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert shown == [("2s", "0")]
    assert isinstance(session, PostgresDdlSession)


def _gate(gates: tuple[Gate, ...], name: str) -> Gate:
    return next(gate for gate in gates if gate.name == name)


def _indexes(database: Database) -> list[tuple[object, ...]]:
    return database.fetch(
        """SELECT c.relname, pg_get_indexdef(c.oid), i.indisvalid, i.indisclustered, obj_description(c.oid, 'pg_class'),
                  c.reltablespace, c.reloptions,
                  (SELECT array_agg(attstattarget ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid)
           FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' ORDER BY 1"""
    )


def _definition(database: Database) -> str:
    found: str = database.fetch("SELECT pg_get_indexdef('public.orders_status'::regclass)")[0][0]
    return found.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1)


def _ours_active(database: Database) -> int:
    found: int = database.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%%' AND state = 'active' "
        "AND datname = current_database()",
        (),
    )[0][0]
    return found
