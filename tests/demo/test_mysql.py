"""The demo's shop on MySQL and MariaDB has what it promises, works as a shop does, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pymysql
import pytest

from meshag_tui.demo.hosts import MysqlHost
from meshag_tui.demo.run import Demo
from meshag_tui.demo.shop import mysql as shop
from meshag_tui.servers.mysqld import MARIADB, MYSQL, find
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.types import Target
from tests.rig.mysql import Schema, installation
from tests.servers.test_postgres import wait_until

# What the server must show for each planted problem: a query about table and index or columns that is true.
PROOFS = {
    "missing-index": "SELECT NOT EXISTS (SELECT 1 FROM information_schema.statistics WHERE table_schema = 'shop' AND"
    " seq_in_index = 1 AND table_name = %(table)s AND column_name = SUBSTRING_INDEX(%(about)s, ',', 1))",
    "unused-index": "SELECT count_star = 0 FROM performance_schema.table_io_waits_summary_by_index_usage"
    " WHERE object_schema = 'shop' AND object_name = %(table)s AND index_name = %(about)s",
    "duplicate-index": "SELECT COUNT(*) = 2 FROM information_schema.statistics WHERE table_schema = 'shop'"
    " AND table_name = %(table)s AND column_name = 'country' AND seq_in_index = 1",
    "redundant-index": "SELECT COUNT(DISTINCT index_name) = 2 FROM information_schema.statistics WHERE seq_in_index = 1"
    " AND table_schema = 'shop' AND table_name = %(table)s AND column_name = 'order_id'",
    "stale-statistics": "SELECT n_rows BETWEEN 100 AND 300 AND (SELECT COUNT(*) FROM shop.price_history) > 60000"
    " FROM mysql.innodb_table_stats WHERE database_name = 'shop' AND table_name = %(table)s",
    "no-primary-key": "SELECT NOT EXISTS (SELECT 1 FROM information_schema.statistics WHERE table_schema = 'shop'"
    " AND table_name = %(table)s AND index_name = 'PRIMARY')",
    "table-bloat": "SELECT data_free > 4 * data_length FROM information_schema.tables WHERE table_schema = 'shop'"
    " AND table_name = %(table)s",
    "sequence-exhaustion": "SELECT auto_increment > 0.99 * 2147483647 FROM information_schema.tables"
    " WHERE table_schema = 'shop' AND table_name = %(table)s",
    "implicit-cast": "SELECT SUM(sum_no_index_used) > 0 FROM performance_schema.events_statements_summary_by_digest"
    " WHERE schema_name = 'shop' AND digest_text LIKE 'SELECT%%`payments`%%WHERE `receipt` = ?%%'",
}


def account(url: str) -> dict[str, str]:
    target = Target.from_url(url)
    assert target.password
    return {"user": target.user, "password": target.password.reveal()}


@pytest.mark.parametrize("flavour", [MARIADB, pytest.param(MYSQL, marks=pytest.mark.soak)])
def test_the_shop_has_what_was_planted_and_works_as_a_shop_does(flavour: str) -> None:
    try:
        host = MysqlHost(installation(flavour))
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    said: list[str] = []
    demo = Demo(host, rate=120, progress=said.append)
    demo.open()
    try:
        root, everything = host.server.root, Schema(host.server, "shop")
        assert said == [f"starting {flavour} {host.server.installation.version}", "loading the shop"]
        demo.start_workload()
        assert wait_until(lambda: demo.statements > 600, 60), demo.last_error
        assert demo.last_error == ""
        users = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'shop_app'"
        assert everything.fetch(users) == [(9,)]
        slowest = everything.fetch(
            "SELECT digest_text FROM performance_schema.events_statements_summary_by_digest"
            " WHERE schema_name = 'shop' ORDER BY sum_timer_wait DESC LIMIT 5"
        )
        assert any("WHERE `customer_id` = ?" in text for (text,) in slowest), slowest
        assert any("ORDER BY `occurred_at` DESC" in text for (text,) in slowest), slowest
        demo.stop_workload()
        if flavour == MYSQL:  # which else says what it read a day ago
            everything.execute("SET GLOBAL information_schema_stats_expiry = 0")
        assert set(PROOFS) == {planted.rule for planted in shop.PLANTED}
        for planted in shop.PLANTED:
            about = {"table": planted.table, "about": planted.about}
            assert everything.fetch(PROOFS[planted.rule], about) == [(1,)], planted
        # What may be done with the shop by whom.
        with (
            everything.connect(**account(demo.monitor_url)) as connection,
            pytest.raises(pymysql.OperationalError, match="denied"),
        ):
            connection.cursor().execute("DELETE FROM shop.reviews")
        with everything.connect(**account(demo.url)) as connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE shop.orders ADD KEY mine (customer_id), ALGORITHM = INPLACE, LOCK = NONE")
            cursor.execute("ANALYZE TABLE shop.price_history")
            cursor.execute("SELECT COUNT(*) FROM performance_schema.events_statements_summary_by_digest")
    finally:
        demo.close()
    assert not root.exists()


def test_says_what_to_install_where_there_is_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("meshag_tui.servers.mysqld._FOLDERS", ())
    with pytest.raises(ServerUnavailable, match="no MariaDB server on this machine: install mariadb-server"):
        find(MARIADB)
    impostor = tmp_path / "mariadbd"
    impostor.write_text("#!/bin/sh\necho something else\n")
    impostor.chmod(0o755)
    with pytest.raises(ServerUnavailable, match="no MariaDB server"):
        find(MARIADB)
