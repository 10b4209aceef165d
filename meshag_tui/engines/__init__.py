"""One folder for each kind of database; `engine_for` is the only door. Drivers are imported when first used.

`words_for` says how a server that was read calls things, without a session, `KINDS` what can be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from meshag_tui.types import DbType

if TYPE_CHECKING:
    from meshag_tui.engines.base import Engine
    from meshag_tui.engines.reviewing import Figures, Judged
    from meshag_tui.engines.words import Words


def engine_for(db_type: DbType) -> Engine:
    """The engine of a kind of database."""
    if db_type is DbType.MYSQL:
        from meshag_tui.engines.mysql import MysqlEngine

        return MysqlEngine()
    from meshag_tui.engines.postgres import PostgresEngine

    return PostgresEngine()


KINDS: Mapping[str, DbType] = {kind.label: kind for kind in DbType}
"""The kinds of databases, by the name each is chosen by."""
SERVERS = "PostgreSQL, MySQL and MariaDB"
"""All servers that can be read."""


def reviewed_settings(server: str, given: Mapping[str, str], figures: Figures) -> tuple[Judged, ...]:
    """The settings of a server judged one by one, those that were read; `server` as for `words_for`."""
    from meshag_tui.engines.reviewing import review

    if server in ("PostgreSQL", DbType.POSTGRES):
        from meshag_tui.engines.postgres.settings_review import RULES as rules
    else:
        from meshag_tui.engines.mysql.settings_review import RULES as rules
    return tuple(review(rules, given, figures))


def words_for(server: str) -> Words:
    """The words of a server by its name in `ServerFacts.engine`, or by its kind before it was read."""
    if server in ("PostgreSQL", DbType.POSTGRES):
        from meshag_tui.engines.postgres.words import WORDS

        return WORDS
    from meshag_tui.engines.mysql.words import words_of

    return words_of(server)
