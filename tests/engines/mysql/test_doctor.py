"""The doctor and the setup script: what is missing, what mends it, and a user made with the script alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from meshag_tui.engines.mysql import MysqlEngine, remedies
from meshag_tui.engines.mysql.facts import _provider
from meshag_tui.types import Finding, Secret
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import FLAVOURS, PFS_OFF, SMALL_DIGESTS, Schema

Private = Callable[..., Schema]


def by_code(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    assert len({finding.code for finding in findings}) == len(findings)
    return {finding.code: finding for finding in findings}


def statements_of(script: str) -> list[str]:
    """The statements of a script, without its comments."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip(" ;\n")]


@pytest.mark.parametrize("every", [False, True], ids=["one database", "all databases"])
async def test_a_user_made_with_the_setup_script_alone(my: Schema, open_session: Open, every: bool) -> None:
    my.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, KEY (a))",
        "CREATE VIEW v AS SELECT a FROM t",
        "SELECT a FROM t WHERE a = 'c4nary'",
    )
    user = f"{my.name}_o'neil"
    script = MysqlEngine().setup_sql(user, "" if every else my.name).replace("choose a password", "s3cret")
    for statement in statements_of(script):
        if statement.startswith("SELECT CONCAT"):
            for (grant,) in my.fetch(statement):
                if f"`{my.name}`" in grant:
                    my.execute(grant.rstrip(";"))
        else:
            my.execute(statement)
    try:
        session = await open_session(
            my.monitor_url, user=user, password=Secret("s3cret"), database="" if every else my.name
        )
        snapshot = await session.collect()
        assert not snapshot.warnings
        assert not snapshot.facts.superuser
        tables = {table.key: table for table in snapshot.tables or ()}
        assert f"{my.name}.t" in tables
        assert tables[f"{my.name}.t"].last_analyze is not None
        indexes = {index.key: index for index in snapshot.indexes or ()}
        assert indexes[f"{my.name}.t.a"].size_bytes == 16384
        assert snapshot.schema is not None and "`a`" in snapshot.schema.views[f"{my.name}.v"]
        assert snapshot.foreign_keys is not None and snapshot.sessions is not None
        texts = {text.text for text in await session.texts(None)}
        assert "SELECT a FROM t WHERE a = ?" in texts, "real text, of another user"
        rows = await session.fetch(f"EXPLAIN SELECT a FROM `{my.name}`.t")
        assert rows
        found = by_code(await session.findings())
        if not every:
            assert {finding.severity for finding in found.values()} <= {"ok", "info"}, found
    finally:
        my.execute("DROP USER IF EXISTS '" + user.replace("'", "''") + "'@'%'")


def test_the_script_is_safe_for_any_names() -> None:
    script = MysqlEngine().setup_sql("a'b\\c`d", "sh`op'; DROP")
    assert "'a''b\\\\c`d'@'%'" in script
    assert "`sh``op'; DROP`.*" in script


async def test_all_is_well(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url)
    found = by_code(await session.findings())
    assert {code for code, finding in found.items() if finding.severity not in ("ok", "info")} <= {"digest-length"}
    assert {"server", "process", "select", "performance-schema", "index-sizes"} <= set(found)
    assert my.flavour in found["server"].title and "primary" in found["server"].detail
    my.execute(*statements_of(found["index-sizes"].fix or ""))
    assert ("histograms" in found) == (my.flavour == "MariaDB")
    if "histograms" in found:
        my.execute(*statements_of(found["histograms"].fix or ""))
    await session.refresh()
    assert not {"index-sizes", "histograms"} & set(by_code(await session.findings()))


async def test_a_user_who_may_change_things(my: Schema, open_session: Open) -> None:
    found = by_code(await (await open_session(my.url)).findings())
    assert found["superuser"].severity == "degraded"
    assert "CREATE USER 'meshag'@'%'" in (found["superuser"].fix or "")
    assert f"ON `{my.name}`.*" in (found["superuser"].fix or "")


async def test_missing_rights(my: Schema, open_session: Open) -> None:
    my.execute("CREATE TABLE t (a int)")
    blind = await open_session(my.user(), database="")
    found = by_code(await blind.findings())
    assert found["performance-schema-denied"].severity == "missing"
    assert found["process"].severity == "degraded"
    assert "index-sizes" not in found
    for code in ("performance-schema-denied", "process"):
        my.execute((found[code].fix or "").rstrip(";"))
    mended = await open_session(my.monitor_url, user=blind.facts.user, database="")
    found = by_code(await mended.findings())
    assert found["process"].severity == found["performance-schema"].severity == "ok"
    assert my.name in found["select"].facts["databases"], "InnoDB has tables of databases that we do not see"
    assert f"GRANT SELECT, SHOW VIEW ON `{my.name}`.*" in (found["select"].fix or "")
    narrow = by_code(await (await open_session(my.monitor_url)).findings())
    assert narrow["select"].severity == "ok", "a connection to one database needs no other"


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)
async def test_performance_schema_off(private_my: Private, open_session: Open, flavour: str) -> None:
    schema = private_my(flavour, PFS_OFF)
    found = by_code(await (await open_session(schema.monitor_url)).findings())
    missing = found["performance-schema-off"]
    assert missing.severity == "missing"
    assert (missing.fix or "").startswith("[mysqld]\nperformance_schema = ON")
    assert ("userstat" in missing.detail) == (flavour == "MariaDB")
    assert "performance-schema" not in found
    assert ("replica-unknown" in found) == (flavour == "MariaDB"), "MySQL tells it all the same"
    if flavour == "MariaDB":
        assert "as far as we can see" in found["server"].detail
        schema.execute((found["replica-unknown"].fix or "").rstrip(";"))
        found = by_code(await (await open_session(schema.monitor_url)).findings())
        assert "replica-unknown" not in found and found["server"].detail == "It is the primary"


async def test_a_full_table_and_long_statements(private_my: Private, open_session: Open) -> None:
    schema = private_my("MariaDB", SMALL_DIGESTS)
    schema.execute("SELECT " + ", ".join(f"1 AS column_{number}" for number in range(150)))
    with schema.connect() as connection, connection.cursor() as cursor:
        for number in range(250):
            cursor.execute(f"SELECT 1 AS a{number}")
    found = by_code(await (await open_session(schema.monitor_url)).findings())
    assert found["digest-length"].facts == {"statements": 1, "length": 1024}
    assert "max_digest_length = 4096" in (found["digest-length"].fix or "")
    assert found["digests-lost"].facts["size"] == 200
    assert "performance_schema_digests_size = 20000" in (found["digests-lost"].fix or "")


async def test_settings_that_make_us_dear(private_my: Private, open_session: Open) -> None:
    schema = private_my("MariaDB", {"innodb-stats-on-metadata": "ON", "innodb-stats-persistent": "OFF"})
    session = await open_session(schema.monitor_url)
    found = by_code(await session.findings())
    for code in ("stats-on-metadata", "stats-not-persistent"):
        schema.execute((found[code].fix or "").partition(";")[0])
    await session.refresh()
    assert not {"stats-on-metadata", "stats-not-persistent"} & set(by_code(await session.findings()))


@pytest.mark.parametrize(
    ("settings", "version", "host", "provider", "step"),
    [
        ({}, "8.0.36", "db.internal", "local", "my.cnf"),
        (
            {"basedir": "/rdsdbbin/mysql-8.0.35.R3/"},
            "8.0.35",
            "db.internal",
            "RDS",
            "DB parameter group of the instance",
        ),
        ({}, "8.0.35", "shop.abc.eu-west-1.rds.amazonaws.com", "RDS", "reboot the instance"),
        ({"aurora_version": "3.04.0"}, "8.0.mysql_aurora.3.04.0", "db.internal", "Aurora", "each instance"),
        ({"version_comment": "(Google)"}, "8.0.31-google", "10.0.0.3", "Cloud SQL", "gcloud sql instances patch"),
        ({"aad_auth_only": "OFF"}, "8.0.34-azure", "10.0.0.4", "Azure", "Server parameters"),
    ],
)
async def test_each_provider_has_its_own_step(
    mariadb: Schema, open_session: Open, settings: dict[str, str], version: str, host: str, provider: str, step: str
) -> None:
    assert _provider(settings, version, host) == provider
    server = replace((await open_session(mariadb.monitor_url)).server, provider=provider)
    assert step in remedies.file_step(server, "performance_schema", "ON")
    assert "UPDATE x;" in remedies.running_step(server, "UPDATE x;", "name", "ON")
