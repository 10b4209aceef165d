"""The doctor's screen: what is missing with the SQL that mends it, also when the server cannot be asked."""

from __future__ import annotations

from meshag_tui.types import DbType, Secret, Target
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.screens.conftest import Open


async def test_a_revoked_right_is_named_with_its_grant_and_mended_at_once(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    pg18.execute("CREATE ROLE watcher LOGIN PASSWORD 'seen'", f"GRANT CONNECT ON DATABASE {pg18.name} TO watcher")
    target = Target.from_url(pg18.url)
    poor = Target(target.db_type, target.host, target.port, pg18.name, "watcher", Secret("seen"))
    await bench.connections.add("shop", poor)
    try:
        async with at_desk(bench) as desk:
            await desk.press("6")
            said = await desk.until("does not see the statements")
            assert "▲ degraded" in said
            while "It is not a member of pg_monitor" not in desk.screen:
                await desk.press("j")
            assert 'GRANT pg_monitor TO "watcher";' in desk.screen
            await desk.press("y")
            assert desk.app.clipboard == 'GRANT pg_monitor TO "watcher";'
            pg18.execute("GRANT pg_monitor TO watcher")
            await desk.press("T")
            await desk.until("All roles' statements and sessions are visible")

            await desk.press("Z")
            await desk.until("GRANT EXECUTE ON FUNCTION")
            await desk.press("escape")
            pg18.execute("GRANT EXECUTE ON FUNCTION pg_stat_statements_reset(oid, oid, bigint, boolean) TO watcher")
            await desk.press("Z")
            said = await desk.until("Reset statement counters")
            assert "pg_stat_statements_reset(0," in said and "Nothing does." in said
            await desk.type("shop")
            await desk.press("enter")
            await desk.until("counted from nothing; what was collected stays")
    finally:
        pg18.execute("DROP OWNED BY watcher", "DROP ROLE watcher")


async def test_without_the_extension_the_list_is_no_empty_list(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    pg18.execute("DROP EXTENSION pg_stat_statements")
    info = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(info.id)
    async with at_desk(bench) as desk:
        await desk.press("6")
        said = await desk.until("server now")
        assert "✗ missing" in said and "CREATE EXTENSION" in said


async def test_an_unreachable_server_is_an_error_and_old_warnings_stay(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    pg18.execute("DROP EXTENSION pg_stat_statements")
    info = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(info.id)
    await bench.connections.edit(info.id, port=1, password=Secret("gone"))
    async with at_desk(bench) as desk:
        await desk.press("6")
        said = await desk.until("the server could not be asked")
        assert "connection refused" in said
        assert "CREATE EXTENSION" in said and "last sync" in said


async def test_a_server_never_reached_says_so(bench: Workbench, at_desk: Open) -> None:
    await bench.connections.add("shop", Target(DbType.POSTGRES, "127.0.0.1", 1, "shop", "watcher"))
    async with at_desk(bench) as desk:
        await desk.press("6")
        said = await desk.until("the server could not be asked")
        assert "Error" in said and "connection refused" in said
