"""People and their access keys, budgets of one person. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, BooleanField, ForeignKeyField, IntegerField, JSONField, Model, TextField


class Record(Model):
    class Meta:
        legacy_table_names = False


class User(Record):
    id = TextField(primary_key=True)

    class Meta:
        table_name = "users"


class AccessKey(Record):
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    id = TextField(primary_key=True)
    name = TextField()
    user = ForeignKeyField(User, on_delete="CASCADE", index=False)
    prefix = TextField(unique=True)
    hashed = TextField()
    permissions = JSONField()
    active = BooleanField(default=True)
    expires_at = BigIntegerField(null=True)
    last_used_at = BigIntegerField(null=True)
    rotated_from = TextField(null=True)
    per_minute = IntegerField(null=True)
    minute = BigIntegerField(default=0)
    calls = IntegerField(default=0)

    class Meta:
        indexes = ((("user", "active"), False),)


def up(migrator: Any, db: Any) -> None:
    db.bind((User, AccessKey))
    AccessKey.create_table(safe=False)
    # Not by Peewee's migrator: on SQLite it would make the tables anew, and dropping the old ones would cascade.
    db.execute_sql("ALTER TABLE users ADD COLUMN account TEXT")
    db.execute_sql("CREATE UNIQUE INDEX users_account ON users (account)")
    db.execute_sql("ALTER TABLE subscription ADD COLUMN user_id TEXT REFERENCES users (id) ON DELETE CASCADE")
    db.execute_sql("CREATE INDEX subscription_user_id ON subscription (user_id)")
