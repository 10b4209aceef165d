"""What tables and indexes did, summed by hour and by day as that of statements is; also of what is there. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, IntegerField, Model, SqliteDatabase


class Record(Model):
    class Meta:
        legacy_table_names = False


class TableDigest(Record):
    digest_id = BigIntegerField()
    table_id = IntegerField()
    seq_scan = BigIntegerField(null=True)
    seq_rows = BigIntegerField(null=True)
    index_scan = BigIntegerField(null=True)
    index_rows = BigIntegerField(null=True)
    inserts = BigIntegerField(null=True)
    updates = BigIntegerField(null=True)
    hot_updates = BigIntegerField(null=True)
    deletes = BigIntegerField(null=True)
    blocks_read = BigIntegerField(null=True)
    blocks_hit = BigIntegerField(null=True)
    first_bytes = BigIntegerField(null=True)
    size_bytes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("digest_id", "table_id")


class IndexDigest(Record):
    digest_id = BigIntegerField()
    index_id = IntegerField()
    scans = BigIntegerField(null=True)
    rows_read = BigIntegerField(null=True)
    rows_fetched = BigIntegerField(null=True)
    first_bytes = BigIntegerField(null=True)
    size_bytes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("digest_id", "index_id")


def up(migrator: Any, db: Any) -> None:
    made: tuple[tuple[type[Record], str, str], ...] = (
        (TableDigest, "table_access", "table_id"),
        (IndexDigest, "index_usage", "index_id"),
    )
    for model, _, _ in made:
        model._meta.without_rowid = isinstance(db, SqliteDatabase)
    db.bind([model for model, _, _ in made])
    digests = db.execute_sql("SELECT id, connection_id, width_s, end_at FROM digest").fetchall()
    for model, source, key in made:
        model.create_table(safe=False)
        filling = _filling(model._meta.table_name, source, key, model, db.param)
        for digest_id, connection_id, width_s, end_at in digests:  # one at a time: all at once would be sorted on disk
            db.execute_sql(filling, (digest_id, connection_id, end_at - width_s * 1000, end_at))


def _filling(table: str, source: str, key: str, model: Any, mark: str) -> str:
    counters = [name for name in model._meta.columns if name not in ("digest_id", key, "first_bytes", "size_bytes")]
    return f"""
        INSERT INTO {table} (digest_id, {key}, {", ".join(counters)}, first_bytes, size_bytes)
        SELECT {mark}, {key}, {", ".join(f"SUM({name})" for name in counters)},
            MAX(CASE WHEN from_first = 1 THEN size_bytes END), MAX(CASE WHEN from_last = 1 THEN size_bytes END)
        FROM (
            SELECT s.*,
                ROW_NUMBER() OVER (PARTITION BY s.{key} ORDER BY (s.size_bytes IS NULL), i.end_at) AS from_first,
                ROW_NUMBER() OVER (PARTITION BY s.{key} ORDER BY (s.size_bytes IS NULL), i.end_at DESC) AS from_last
            FROM "interval" i CROSS JOIN {source} s
            WHERE i.connection_id = {mark} AND i.resolution_s IN (0, 600, 3600, 86400)
                AND i.end_at > {mark} AND i.end_at <= {mark} AND s.interval_id = i.id
        ) each_row GROUP BY {key}
    """  # noqa: S608
