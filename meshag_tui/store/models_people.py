"""People's access keys as the store's models; users and projects are in `models`."""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, ForeignKeyField, IntegerField, JSONField, TextField

from meshag_tui.store.models_basis import Timestamped, User


class AccessKey(Timestamped):
    """What a command without a person acts by. Only a hash of it is here."""

    id = TextField(primary_key=True)  # key_
    name = TextField()
    user = ForeignKeyField(User, on_delete="CASCADE", index=False)
    prefix = TextField(unique=True)  # mk_…, shown in its place
    hashed = TextField()
    permissions = JSONField()
    active = BooleanField(default=True)
    expires_at = BigIntegerField(null=True)
    last_used_at = BigIntegerField(null=True)
    rotated_from = TextField(null=True)  # id of the key it takes the place of
    per_minute = IntegerField(null=True)  # null: as often as it likes
    minute = BigIntegerField(default=0)  # that `calls` are of
    calls = IntegerField(default=0)

    class Meta:
        indexes = ((("user", "active"), False),)
