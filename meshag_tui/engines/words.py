"""How an engine says what all engines have. Imports nothing of ours, so that a screen may speak before it reads."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Words(NamedTuple):
    """How an engine says what all have: for the screens, the command line and the advisor's texts.

    `remedies` are by rule ("stale-statistics", "idle-in-transaction", …): what to do about it here, in a sentence or
    two; names in braces in it are filled in by the rule.
    """

    name: str  # "PostgreSQL", "MySQL or MariaDB"
    dialect: Literal["postgres", "mysql"]  # its language's name in Pygments, which highlights it
    url: str  # examples, short enough for a field
    counters: str  # where the figures of statements come from
    index_uses: str  # what an index's `scans` count, for the head of a column: "scans", "row reads"
    text_forbidden: str  # what lets us see the texts of other users' statements, with {user} in it
    texts_for: str  # who may see them
    text_cut: str  # what cut a statement's text
    no_what_if: str  # why no index can be tried without making it
    figures: tuple[str, ...]  # columns of the list of statements that this server can fill, beside those all have
    statement_findings: tuple[str, ...]  # beginnings of the codes of findings about statements
    no_measure: str  # the measure of health that it has not: "wraparound", "undo"
    replicas: str  # where the server shows who reads from it
    session_id: str  # what the number of a session is called
    no_statement: str  # why no statement of a session that does nothing now is shown
    keyless: str  # what lets us in where no password is given
    home_schema: str | None  # that is left out of names; None: the connection's database
    script_run: str  # how a person runs a {file} of statements
    script_head: tuple[str, ...]  # what such a file begins with
    remedies: Mapping[str, str]
    own_unread: str  # why none of our own statements may be among those that are read
    client: tuple[str, ...]  # a command of the server's own client, with {host} {port} {user} {database} {sql} in it


COUNTED_BY_SOME = frozenset(
    (
        *("hit_ratio", "temp", "io", "shared_read", "wal", "stddev"),
        *("examined_per_call", "rows_examined", "no_index_share"),
        *("tmp_tables", "tmp_disk_tables", "sort_merge_passes", "lock_time", "spread"),
    )
)
"""Columns of the list of statements that not every server can fill: those that one can are in `Words.figures`."""
