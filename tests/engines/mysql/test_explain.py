"""Plans of statements as they are kept: with samples for their values, never executed, whatever the text tries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from meshag_tui.engines.base import ColumnStatistics, EngineError, Limits, PermissionDenied, Refused
from meshag_tui.engines.mysql.histograms import Told, with_told
from meshag_tui.engines.mysql.session import MysqlSession
from meshag_tui.engines.mysql.written import as_written
from meshag_tui.plan import Plan
from tests.advisor.conftest import filled
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import ANSI_QUOTES, PFS_OFF, Schema

SCHEMA = [
    """CREATE TABLE customers (id int PRIMARY KEY AUTO_INCREMENT, email varchar(120) NOT NULL, country char(2),
       code varchar(20), token binary(4), KEY (code))""",
    """CREATE TABLE orders (id int PRIMARY KEY AUTO_INCREMENT, customer_id int NOT NULL, status varchar(20) NOT NULL,
       total decimal(10,2), note varchar(200), created_at datetime NOT NULL, KEY k_created (created_at),
       KEY k_status_total (status, total))""",
    "CREATE TABLE `event` (id int PRIMARY KEY, `user` varchar(20), `day` date)",
    "CREATE TABLE victim (id int PRIMARY KEY, v int)",
    "INSERT INTO victim VALUES (1, 1), (2, 2)",
    "CREATE TABLE victim_m (id int PRIMARY KEY, v int) ENGINE=MyISAM",
    "INSERT INTO victim_m VALUES (1, 1), (2, 2)",
    "INSERT INTO `event` VALUES (1, 'a', '2024-01-01'), (2, 'b', '2024-01-02')",
    """INSERT INTO customers (email, country, code, token)
       WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < 900)
       SELECT concat('u', n, '@example.com'), elt(1 + n % 3, 'de', 'fr', 'us'), n, unhex(lpad(hex(n), 8, 0)) FROM g""",
    """INSERT INTO orders (customer_id, status, total, note, created_at)
       WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < 900)
       SELECT 1 + n * 7 % 900, if(n % 100 = 0, 'pending', if(n % 7 = 0, 'new', 'done')), n % 97, repeat('x', 60),
       '2024-01-01' + interval n minute FROM g""",
    *[
        "INSERT INTO orders (customer_id, status, total, note, created_at) SELECT customer_id, status, total, note, "
        f"created_at + interval {900 * 2**power} minute FROM orders"
        for power in range(4)
    ],
    "CREATE VIEW open_orders AS SELECT id AS oid, customer_id AS cust, status AS st, total FROM orders "
    "WHERE status <> 'done'",
    "ANALYZE TABLE customers, orders",
]
FUNCTIONS = [
    "CREATE FUNCTION destroy() RETURNS int DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM victim; RETURN 1; END",
    "CREATE FUNCTION lying() RETURNS int DETERMINISTIC NO SQL BEGIN DELETE FROM victim_m; RETURN 1; END",
    "CREATE FUNCTION kind(x int) RETURNS int DETERMINISTIC NO SQL RETURN x + 1",
    "CREATE FUNCTION any_value(x int) RETURNS int DETERMINISTIC NO SQL RETURN x",  # MySQL's own, not MariaDB's
    "CREATE VIEW calling AS SELECT kind(id) AS k FROM victim",
    "CREATE VIEW sleeping AS SELECT sleep(4) AS k",
    "CREATE VIEW sleeping_below AS SELECT k FROM sleeping",
]


@pytest.fixture
def schema(my: Schema) -> Schema:
    my.execute(*SCHEMA)
    return my


async def opened(open_session: Open, schema: Schema, url: str | None = None) -> MysqlSession:
    return await open_session(url or schema.monitor_url)


def everywhere(schema: Schema) -> str:
    """The URL of an account that may read every schema, and names none."""
    return schema.user("PROCESS ON *.*", "SELECT ON *.*").removesuffix(schema.name)


def tables(plan: Plan) -> set[str]:
    return {node.table for node in plan.root.walk() if node.table}


TEXTS = [
    ("SELECT * FROM `orders` WHERE STATUS = ? ORDER BY `created_at` DESC LIMIT ? OFFSET ?", "custom"),
    ("SELECT * FROM `orders` WHERE `created_at` >= DATE ? AND `total` < ?", "custom"),
    ("SELECT DATE ( `created_at` ) , SUM ( `total` ) FROM `orders` WHERE `id` IN (...) GROUP BY ?", "custom"),
    ("SELECT * FROM `orders` WHERE ( `customer_id` , STATUS ) IN ( (...) /* , ... */ )", "custom"),
    ("SELECT * FROM `orders` WHERE ( `customer_id` , `id` ) > (...)", "custom"),
    ("SELECT `customers` . * FROM `customers` WHERE `email` LIKE ?", "custom"),
    ("SELECT * FROM `customers` WHERE LOWER ( `email` ) = ?", "custom"),
    ("SELECT * FROM `customers` WHERE `token` = ?", "custom"),
    ("SELECT SUBSTRING ( `email` , ?, ... ) , IF ( `id` > ?, ... ) , `concat` ( ?, ... ) FROM `customers`", "custom"),
    ("WITH `x` AS ( SELECT * FROM `orders` WHERE STATUS = ? ) SELECT COUNT ( * ) FROM `x` WHERE `total` > ?", "custom"),
    ("UPDATE `orders` SET STATUS = ? WHERE `customer_id` = ? LIMIT ?", "custom"),
    (
        "DELETE `o` FROM `orders` `o` JOIN `customers` `c` ON `c` . `id` = `o` . `customer_id` WHERE `country` = ?",
        "custom",
    ),
    ("SELECT * FROM `orders` WHERE `id` = ? FOR UPDATE", "custom"),
    ("SELECT `id` FROM `orders` WHERE `total` = ? LOCK IN SHARE MODE", "custom"),
    ("INSERT INTO `victim` ( `id` , `v` ) SELECT `id` , ? FROM `orders` WHERE `total` = ?", "custom"),
    ("INSERT INTO `victim` VALUES (...) /* , ... */ ON DUPLICATE KEY UPDATE `v` = VALUES ( `v` ) + ?", "literal"),
    ("REPLACE INTO `victim` SET `id` = ? , `v` = ?", "literal"),
    ("SELECT * FROM EVENT WHERE SYSTEM_USER = ? AND SQL_TSI_DAY > ?", "custom"),
    ("SELECT COUNT ( * ) , `round` ( AVG ( `total` ) , ? ) FROM `orders` GROUP BY STATUS WITH ROLLUP", "generic"),
    ("SELECT @? , NOW ( ) - INTERVAL ? SQL_TSI_DAY , CHARACTER ( ? ) FROM `victim`", "generic"),
    ("SELECT `id` FROM `orders` WHERE SQL_TSI_MONTH ( `created_at` ) = ?", "generic"),
    ("SELECT count(*) FROM orders", "literal"),
    ("SELECT count(*) FROM orders WHERE status = 'a;b--c' -- comment\n;", "literal"),
    ("SELECT 5--1, id FROM victim # comment", "literal"),
    ("( SELECT `id` FROM `orders` LIMIT ? ) UNION ALL ( SELECT `id` FROM `victim` LIMIT ? ) ORDER BY `id`", "generic"),
    ("SELECT /*+ NO_INDEX_MERGE ( `orders` ) */ * FROM `orders` USE INDEX ( `k_created` ) WHERE `total` = ?", "custom"),
]


async def test_digests_are_planned_by_a_role_that_only_watches(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    for statement, mode in TEXTS:
        plan = await session.explain(statement)
        assert plan.mode == mode, statement
        assert plan.cost > 0 or mode == "literal", statement
        assert all("Message" not in node.extra or mode == "literal" for node in plan.root.walk()), statement
        assert plan.statement == statement
        shown = await session.explain(as_written(statement))
        assert (shown.mode, shown.hash) == (mode, plan.hash), as_written(statement)
    assert await session.fetch("SELECT DATABASE()") == [("information_schema",)]
    assert await session.fetch(
        "SELECT @@session.transaction_read_only" if schema.flavour == "MySQL" else "SELECT @@session.tx_read_only"
    ) == [(1,)]


async def test_writes_are_planned_by_what_they_read(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    update = await session.explain("UPDATE orders SET total = 1 WHERE note = 'x'")
    assert (update.root.kind, update.root.table, update.root.extra["Operation"]) == ("ModifyTable", "orders", "Update")
    assert update.root.children[0].kind == "Seq Scan"
    delete = await session.explain(
        "DELETE FROM orders USING orders JOIN customers c ON c.id = customer_id WHERE c.id = 5"
    )
    assert delete.root.extra["Operation"] == "Delete" and tables(delete) == {"orders", "customers"}
    insert = await session.explain("INSERT INTO victim VALUES (9, 9)")
    assert [node.kind for node in insert.root.walk()] == ["ModifyTable", "Result"] and insert.cost == 0


async def test_a_range_is_estimated_about_as_it_really_is(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    plan = await session.explain("SELECT * FROM `orders` WHERE `total` >= ? AND `total` < ?")
    low, high = plan.parameters
    real = schema.fetch(f"SELECT count(*) FROM orders WHERE total >= {low} AND total < {high}")[0][0]
    assert float(low) < float(high) and plan.mode == "custom"
    assert plan.root.rows == pytest.approx(real, rel=0.35)


async def test_filters_without_an_index_are_estimated_from_the_columns(open_session: Open, schema: Schema) -> None:
    """MariaDB says that such a condition keeps all rows, MySQL guesses a tenth."""
    session = await opened(open_session, schema)
    for condition in ("customer_id = 5", "note = 'never'", "customer_id BETWEEN 1 AND 90", "created_at IS NULL"):
        plan = await session.explain(f"SELECT total FROM orders WHERE {condition}")
        real = schema.fetch(f"SELECT count(*) FROM orders WHERE {condition}")[0][0]
        assert plan.root.rows == pytest.approx(max(1, real), rel=0.6, abs=2), condition


KEPT = "SELECT DISTINCTROW `id` , `note` FROM `orders` WHERE `customer_id` = ? AND `note` LIKE ? LIMIT ?"


async def test_the_text_that_mysql_keeps_is_planned_and_not_shown(open_session: Open, mysql: Schema) -> None:
    mysql.execute(
        *SCHEMA, "SELECT DISTINCT id, note FROM orders WHERE customer_id = 77 AND note LIKE 'canary%' LIMIT 3"
    )
    for digest in (KEPT, as_written(KEPT)):
        session = await opened(open_session, mysql, everywhere(mysql))
        plan = await session.explain(digest)
        assert (plan.mode, plan.parameters, plan.statement) == ("custom", (), digest)
        said = json.dumps([plan.document, [dict(node.conditions) for node in plan.root.walk()]], default=str)
        assert "canary" not in said and not re.search(r"\b77\b", said)
        scan = next(node for node in plan.root.walk() if node.table == "orders")
        assert scan.schema == mysql.name
        assert {(one.column, one.kind, one.value) for one in session.predicates(plan)} == {
            ("customer_id", "eq", None),
            ("note", "like-prefix", None),
        }


async def test_a_statement_of_two_schemas_is_planned_where_it_ran(open_session: Open, my: Schema) -> None:
    """A schema a customer: the same text, other indexes, and values that the other must not be planned with."""
    other = f"{my.name}_b"
    ran = "SELECT a FROM tenant WHERE b = 7"
    try:
        my.execute(
            "CREATE TABLE tenant (a int PRIMARY KEY, b int)",
            f"CREATE DATABASE {other}",
            f"CREATE TABLE {other}.tenant (a int PRIMARY KEY, b int, KEY only_there (b))",
            *(f"INSERT INTO {name}.tenant VALUES (1, 1), (2, 7), (3, 7)" for name in (my.name, other)),
            ran,
            *(f"USE {other}", *(ran,) * 20),
        )
        (digest,) = {
            text
            for (text,) in my.fetch(
                "SELECT DIGEST_TEXT FROM performance_schema.events_statements_summary_by_digest "
                "WHERE SCHEMA_NAME = %s AND DIGEST_TEXT LIKE 'SELECT%%tenant%%'",
                (other,),
            )
        }
        narrow = await opened(open_session, my)
        wide = await opened(open_session, my, everywhere(my))
        for plan in (await narrow.explain(digest), await wide.explain(digest, database=my.name)):
            (scan,) = (node for node in plan.root.walk() if node.table == "tenant")
            assert (scan.schema, scan.kind) == (my.name, "Seq Scan")
        plan = await wide.explain(digest, database=other)
        assert {(node.schema, node.index) for node in plan.root.walk() if node.table} == {(other, "only_there")}
    finally:
        my.execute(f"DROP DATABASE IF EXISTS {other}")


async def test_the_schema_is_that_in_which_the_tables_are(open_session: Open, my: Schema) -> None:
    my.execute("CREATE TABLE only_here (a int PRIMARY KEY)", "INSERT INTO only_here VALUES (1), (2)")
    session = await opened(open_session, my, everywhere(my))
    plan = await session.explain("SELECT * FROM only_here WHERE a > 1")
    assert {node.schema for node in plan.root.walk() if node.table} == {my.name}
    assert (await session.explain("SELECT * FROM only_here", search_path=my.name)).root.table == "only_here"
    with pytest.raises(EngineError):
        await session.explain("SELECT * FROM nowhere_at_all")


CORPUS = [
    "SELECT 1; DROP TABLE victim",
    "SELECT 1; DELETE FROM victim; COMMIT",
    "SELECT 1 /* */; DROP TABLE victim --",
    "SELECT 1\x00; DROP TABLE victim",
    "SELECT '\\'; DROP TABLE victim; --'; DROP TABLE victim",
    "SELECT 1 /*!50000 ; DROP TABLE victim */",
    "SELECT 1 /*!, sleep(3) */ FROM victim",
    "SELECT 1 /*M!100000 , sleep(3) */ FROM victim",
    "SELECT 1 --sleep(3)\n FROM victim",
    "COMMIT; DROP TABLE victim",
    "DROP TABLE victim",
    "TRUNCATE victim",
    "ALTER TABLE victim ADD x int",
    "CREATE TABLE x AS SELECT 1",
    "EXPLAIN ANALYZE SELECT * FROM victim",
    "ANALYZE SELECT * FROM victim",
    "ANALYZE FORMAT=JSON DELETE FROM victim",
    "FORMAT=TREE SELECT 1",
    "PREPARE x FROM 'DELETE FROM victim'",
    "EXECUTE x",
    "EXECUTE IMMEDIATE 'DELETE FROM victim'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE victim",
    "CALL something()",
    "DO sleep(3)",
    "HANDLER victim OPEN",
    "SET SESSION transaction_read_only = 0",
    "START TRANSACTION READ WRITE",
    "LOCK TABLES victim WRITE",
    "KILL 1",
    "SELECT * FROM victim INTO OUTFILE '{out}'",
    "SELECT * INTO DUMPFILE '{out}' FROM victim",
    "SELECT id INTO @x FROM victim LIMIT 1",
    "(SELECT * FROM victim) UNION SELECT 1, 2 INTO OUTFILE '{out}'",
    "SELECT * FROM victim PROCEDURE ANALYSE()",
    "SELECT sleep(3)",
    "SELECT * FROM (SELECT sleep(3)) d",
    "SELECT * FROM (SELECT `sleep`(3)) d",
    "SELECT * FROM (SELECT sleep /* */ (3)) d",
    "SELECT * FROM (SELECT benchmark(300000000, sha1('a'))) d",
    "SELECT * FROM (SELECT get_lock('{lock}', 0) g) d WHERE g = 1",
    "SELECT * FROM victim WHERE id = get_lock('{lock}', 0)",
    "SELECT * FROM (SELECT load_file('/etc/passwd') h) d",
    "SELECT * FROM victim WHERE id = (SELECT destroy())",
    "SELECT destroy()",
    "SELECT * FROM victim WHERE id = lying()",
    "SELECT * FROM victim WHERE id = `lying`()",
    "SELECT * FROM victim WHERE id = {schema}.lying()",
    "SELECT * FROM victim WHERE id = {schema} . `destroy` ()",
    "SELECT * FROM (SELECT kind(3) k) d",
    "SELECT * FROM sleeping",
    "SELECT * FROM calling",
    "SELECT * FROM sleeping_below",
    "SELECT * FROM Sleeping",
    "SELECT * FROM (sleeping)",
    "SELECT * FROM victim JOIN (sleeping, orders)",
    "SELECT (SELECT max(k) FROM sleeping) FROM victim",
    "WITH victim AS (SELECT * FROM sleeping) SELECT * FROM victim",
    "TABLE sleeping",
    "WITH sleeping AS (SELECT * FROM sleeping) SELECT * FROM sleeping",
    "WITH sleeping AS (SELECT 1 AS k) SELECT * FROM {schema}.sleeping",
    "SELECT * FROM {OJ sleeping LEFT JOIN victim ON victim.id = k}",
    "SELECT * FROM victim, LATERAL (SELECT * FROM sleeping) l",
    "SELECT * FROM victim STRAIGHT_JOIN sleeping",
    "SELECT * FROM victim NATURAL JOIN sleeping",
    "SELECT * FROM ((sleeping))",
    "SELECT * FROM ((SELECT * FROM sleeping)) c",
    "(SELECT * FROM sleeping)",
    "SELECT 1 UNION TABLE sleeping",
    "SELECT 1 UNION (TABLE sleeping)",
    "SELECT * FROM victim WHERE id IN (TABLE sleeping)",
    "SELECT * FROM victim WHERE id = unknown_udf(1)",
    "WITH destroy (a) AS (SELECT 1) SELECT destroy(), a FROM destroy",
    "SELECT NEXTVAL(s)",
    "SELECT NEXT VALUE FOR s",
    "DELETE FROM victim",
    "DELETE FROM victim WHERE id = ?",
    "DELETE FROM victim RETURNING id",
    "UPDATE victim SET v = 3",
    "UPDATE victim SET v = (SELECT sleep(3)) WHERE id = 1",
    "INSERT INTO victim VALUES (7, 7)",
    "INSERT INTO victim VALUES (sleep(3), destroy())",
    "INSERT INTO victim SELECT 8, 8",
    "REPLACE INTO victim SELECT id, 9 FROM orders",
    "SELECT * FROM victim WHERE id = 1 FOR UPDATE",
    "SELECT * FROM (SELECT * FROM victim WHERE id = 1 FOR UPDATE) d LOCK IN SHARE MODE",
    "SELECT /*+ SET_VAR(max_execution_time=1) */ * FROM victim",
    "SELECT /*+ MAX_EXECUTION_TIME(0) SET_VAR(sql_mode='ANSI_QUOTES') */ * FROM victim",
    "ＳＥＬＥＣＴ 1",
    "SELECT\u00a01 FROM victim",
    "SELECT 1；DROP TABLE victim",
    "SELECT ‘a’",
    "SELECT 'a",
    'SELECT "\\" FROM victim',
    "SELECT `a FROM victim",
    "SELECT 1 /* FROM victim",
    "SELECT ((((((1",
    "",
    ";",
    "--",
    "# SELECT 1",
]
ALLOWED = (
    "DELETE",
    "UPDATE",
    "INSERT",
    "REPLACE",
    "SELECT 1 --sleep",
    "SELECT * FROM victim WHERE id = 1 FOR",
    "SELECT * FROM (SELECT * FROM victim WHERE",
    "SELECT /*+",
)


async def test_whatever_is_explained_the_victim_survives(open_session: Open, schema: Schema) -> None:
    """As a role that only watches and as one that may do everything."""
    schema.execute(*([] if schema.flavour == "MariaDB" else ["SET GLOBAL log_bin_trust_function_creators = 1"]))
    for function in FUNCTIONS:
        if not ("any_value" in function and schema.flavour == "MySQL"):
            schema.execute(function)
    out = schema.fetch("SELECT concat(@@datadir, 'owned.txt')")[0][0]
    before = schema.fetch("SELECT * FROM victim"), schema.fetch("SELECT * FROM victim_m")
    variables = schema.fetch("SHOW GLOBAL VARIABLES")
    for url in (schema.monitor_url, schema.socket_url):
        session = await open_session(url, limits=Limits(call_s=2.5))
        for text in CORPUS:
            text = text.replace("{out}", str(out)).replace("{schema}", schema.name).replace("{lock}", schema.name)
            for mode in (None, "generic", "custom"):
                try:
                    await session.explain(text, mode)  # type: ignore[arg-type]
                except Refused:
                    continue
                except EngineError as error:
                    assert not error.transient, text  # a deadline would mean that something ran
                else:
                    assert text.startswith(ALLOWED), text
        assert session.wire.gone is None
        assert await session.fetch("SELECT DATABASE(), IS_USED_LOCK(%s)", (schema.name,)) == [
            ("information_schema", None)
        ]
        assert (await session.explain("SELECT * FROM victim")).cost > 0
    assert (schema.fetch("SELECT * FROM victim"), schema.fetch("SELECT * FROM victim_m")) == before
    assert schema.fetch("SHOW GLOBAL VARIABLES") == variables
    assert schema.fetch(f"SELECT load_file('{out}')") == [(None,)]


async def test_a_stored_function_named_like_another_servers_built_in_is_not_run(
    open_session: Open, mariadb: Schema
) -> None:
    mariadb.execute(*SCHEMA, *FUNCTIONS)
    session = await opened(open_session, mariadb, mariadb.owner_url)
    with pytest.raises(Refused, match="any_value"):
        await session.explain("SELECT * FROM (SELECT any_value(3) k) d")


async def test_modes_that_do_not_fit_are_refused(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    with pytest.raises(Refused):
        await session.explain("SELECT * FROM orders WHERE id = ?", "literal")
    with pytest.raises(Refused):
        await session.explain("SELECT * FROM orders", "generic")
    schema.execute("CREATE TABLE fresh (a int, b varchar(9))")
    with pytest.raises(Refused, match="sample values"):
        await session.explain("SELECT * FROM fresh WHERE b = ?", "custom")
    assert (await session.explain("SELECT * FROM fresh WHERE b = ?")).mode == "generic"
    assert (await session.explain("SELECT * FROM orders WHERE total = ?", "generic")).mode == "generic"


async def test_a_view_is_seen_through_by_who_may_see_it(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    with pytest.raises(PermissionDenied) as denied:
        await session.explain("SELECT * FROM open_orders WHERE cust = ?")
    assert denied.value.fix is not None and "SHOW VIEW" in denied.value.fix
    session = await opened(open_session, schema, schema.owner_url)
    plan = await session.explain("SELECT * FROM `open_orders` WHERE `cust` = ? AND `st` = ?")
    assert plan.mode == "custom" and tables(plan) == {"orders"}
    assert plan.parameters[1] in ("'done'", "'new'", "'pending'")


async def test_the_shape_hash_stays_while_only_figures_change(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    one = await session.explain("SELECT * FROM orders WHERE note = 'a'")
    other = await session.explain("SELECT * FROM orders WHERE note = 'b'")
    assert one.hash == other.hash
    assert one.hash != (await session.explain("SELECT * FROM orders WHERE id = 1")).hash


async def test_column_statistics(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    found = {one.column: one for one in await session.column_statistics(schema.name, "orders")}
    assert found["status"].common_values[0] == "done"
    assert found["status"].common_frequencies[0] == pytest.approx(0.85, abs=0.05)
    assert found["id"].distinct == -1 and found["id"].correlation == pytest.approx(1, abs=0.01)
    assert found["total"].distinct == pytest.approx(97, rel=0.1) and found["total"].type == "decimal(10,2)"
    assert found["created_at"].distinct < -0.9 and len(found["created_at"].histogram) > 50
    assert found["customer_id"].distinct == pytest.approx(900, rel=0.5) or found["customer_id"].distinct < -0.03
    assert await session.column_statistics(schema.name, "nothing") == ()
    assert await session.column_statistics(schema.name, "open_orders") == ()
    before = session.wire.statements
    await session.column_statistics(schema.name, "orders")
    assert session.wire.statements == before  # looked at once a session


async def test_histograms_are_taken_where_somebody_made_them(open_session: Open, my: Schema) -> None:
    """Of 12,000 rows a sample cannot count the values of all: the server did."""
    made = {
        "MySQL": ["ANALYZE TABLE big UPDATE HISTOGRAM ON a, b WITH 16 BUCKETS"],
        "MariaDB": ["SET histogram_type = JSON_HB", "ANALYZE TABLE big PERSISTENT FOR COLUMNS (a, b) INDEXES ()"],
    }
    my.execute("CREATE TABLE big (id int PRIMARY KEY, a varchar(9), b int)")
    with my.connect() as connection, connection.cursor() as cursor:
        cursor.execute(filled("big", 12_000, "n, if(n % 4 = 3, NULL, elt(1 + n % 4, 'x', 'y', 'y')), n DIV 4"))
        cursor.execute("ANALYZE TABLE big")
        for statement in made[my.flavour]:
            cursor.execute(statement)
    url = my.user("PROCESS ON *.*", f"SELECT ON {my.name}.*", "SELECT ON performance_schema.*")
    session = await open_session(url)
    user = session.facts.user
    unseen = {one.column: one for one in await session.column_statistics(my.name, "big")}
    if my.flavour == "MariaDB":
        my.execute(f"GRANT SELECT ON mysql.column_stats TO '{user}'@'%'")
        session = await open_session(url)
        told = {one.column: one for one in await session.column_statistics(my.name, "big")}
        assert told["b"].distinct == pytest.approx(3_000, rel=0.05) != unseen["b"].distinct
    else:
        told = unseen
    assert dict(zip(told["a"].common_values, told["a"].common_frequencies, strict=True)) == pytest.approx(
        {"y": 0.5, "x": 0.25}
    )
    assert told["a"].null_fraction == pytest.approx(0.25) and told["a"].distinct == 2


def test_a_histogram_of_long_ago_is_left_aside() -> None:
    """The sample shows rows that it does not know: other shares, or values beyond its ends."""
    sampled = ColumnStatistics("a", "int", 0.0, 50.0, 4, ("7", "8"), (0.5, 0.1))
    now = Told(0.0, 40.0, (("7", 0.4), ("8", 0.1)))
    assert with_told(sampled, now, int).distinct == 40.0
    assert with_told(sampled, Told(0.0, 40.0, (("9", 0.9), ("7", 0.1))), int) is sampled
    spread = ColumnStatistics("a", "int", 0.0, -1.0, 4, histogram=tuple(map(str, range(0, 1000, 10))))
    assert with_told(spread, Told(0.0, None, ends=("0", "500", "990")), int).histogram == ("0", "500", "990")
    assert with_told(spread, Told(0.0, None, ends=("0", "200", "500")), int) is spread


async def test_a_sample_reads_no_more_than_it_says(open_session: Open, schema: Schema) -> None:
    """Some rows of a large table, in a few statements, whatever its key."""
    schema.execute(
        "CREATE TABLE words (word varchar(20), n int, PRIMARY KEY (word, n))",
        "INSERT INTO words SELECT concat('w', id), id FROM orders",
        "CREATE TABLE keyless (a int, b text, c json, d bit(3), e time)",
        "INSERT INTO keyless SELECT id, note, '{}', 5, '12:00:01' FROM orders",
        "ANALYZE TABLE words, keyless",
    )
    session = await opened(open_session, schema)
    for table in ("orders", "words", "keyless"):
        before = session.wire.statements
        found = await session.column_statistics(schema.name, table)
        assert found and session.wire.statements - before <= 5
    keyless = {one.column: one for one in found}
    if schema.flavour == "MySQL":  # MariaDB's are long texts
        assert keyless["c"].distinct == 0 and keyless["c"].null_fraction == 0  # documents are not read
    assert keyless["d"].common_values == ("5",) and keyless["e"].common_values == ("12:00:01",)


async def test_a_server_set_up_otherwise_plans_all_the_same(
    open_session: Open, private_my: Callable[..., Schema]
) -> None:
    """Without performance_schema, with quotes around names by default, and with table names in any case."""
    schema = private_my("MariaDB", {**PFS_OFF, **ANSI_QUOTES}, lower_case_table_names=1)
    schema.execute(*SCHEMA)
    session = await opened(open_session, schema)
    plan = await session.explain('SELECT * FROM `Orders` WHERE `customer_id` = ? AND status = "done"')
    assert plan.mode == "custom" and plan.root.table == "orders"
    assert plan.root.extra["Rows"] == "from column statistics"
    assert {(one.table, one.column) for one in session.predicates(plan)} == {
        ("orders", "customer_id"),
        ("orders", "status"),
    }
    assert (await session.explain("SELECT * FROM EVENT e WHERE e.id = ?")).root.table == "event"


async def test_texts_with_bytes_of_no_encoding_end_in_words(open_session: Open, schema: Schema) -> None:
    session = await opened(open_session, schema)
    for text in (
        "SELECT '\ud800' FROM victim",
        "SELECT `\ud800` FROM victim WHERE id = ?",
        "SELECT '\x00' FROM victim",
    ):
        with pytest.raises(EngineError):
            await session.explain(text)
    assert session.wire.gone is None
    plan = await session.explain("SELECT * FROM orders WHERE note = 'it''s \\'é\\\\' AND status = \"a\\\\b\"")
    assert plan.root.table == "orders" and plan.cost > 0


async def test_a_walk_in_order_is_priced_until_it_has_found_enough(open_session: Open, schema: Schema) -> None:
    """MariaDB takes it that the first rows of an index all meet the condition, and calls the walk nearly free."""
    session = await opened(open_session, schema)
    walked = await session.explain(
        "SELECT id, note FROM orders WHERE customer_id = 5 ORDER BY created_at DESC LIMIT 10"
    )
    whole = await session.explain("SELECT id, note FROM orders WHERE customer_id = 5")
    assert walked.cost > 0.5 * whole.cost
    few = await session.explain("SELECT id, note FROM orders ORDER BY created_at DESC LIMIT 10")
    assert few.cost < 0.1 * whole.cost
