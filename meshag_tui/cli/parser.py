"""The words of the `meshag` command and their help. Imports argparse alone, so that `--help` and `--version` are quick.

Every command names its function as "module:function" under `meshag_tui.cli`; `command` imports it when it is called.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from meshag_tui import __version__
from meshag_tui.cli import agent_words, model_words, people_words, store_words, values, watch_words
from meshag_tui.cli.alone import ALONE, WrongWords

SORTS = (
    "total_time",
    "mean",
    "calls",
    "rows",
    "rows_per_call",
    "shared_read",
    "hit_ratio",
    "rows_examined",
    "examined_per_call",
    "no_index_share",
    "tmp_tables",
    "tmp_disk_tables",
    "sort_merge_passes",
    "lock_time",
    "stddev",
    "spread",
    "temp",
    "io",
    "wal",
    "max",
    "last_seen",
    "text",
    "change",
)
"""What `store.history` can sort statements by, written again because that module is not loaded for --help."""

STAGES = ("production", "staging", "test", "development", "none")
"""Those of `store.connections`, and none, written again for the same reason."""

RUN_STATES = ("ready", "running", "done", "failed", "cancelled", "interrupted")
"""Those of `types.ExecutionState`, likewise."""

_ALONE = frozenset({"--version", "--plain", "--json", "--read-only"})
"""What may be said without a command."""

_HOUR = 3_600_000
_DAY = 24 * _HOUR
_MONTH = 30 * _DAY

_EPILOG = """\
exit codes: 0 done · 1 failed, with one line that says what to do · 2 wrong usage · 77 the access key is refused
environment: MESHAG_HOME (folder of configuration, key and log), MESHAG_STORE (file or postgresql:// URL),
MESHAG_PASSWORD (password of a connection being added), MESHAG_ACCESS_KEY (key to act by), MESHAG_LOG (level),
MESHAG_PLAIN (as --plain), NO_COLOR
"""

_ABOUT_SECRETS = """\
The password may stand in the URL, but other users of this machine can then see it while the command runs, and the
shell remembers it. Better: --password-stdin, or the environment variable MESHAG_PASSWORD.
"""


_ACCEPT: dict[str, Any] = {
    **{"action": "append", "default": [], "metavar": "GATE"},
    "help": 'go on although this gate\'s value is not known ("free disk"); --yes alone never does',
}
_ABOUT_SANDBOX = """\
Rows of the tables that the statements read are copied to a private server on this machine, within the limits of
[rehearsal] in config.toml, and are gone with it. The exact statements that read them are shown first.
"""


class _Parser(argparse.ArgumentParser):
    """argparse, but what was typed is never repeated with a password in it, and whoever parses says what is wrong."""

    def error(self, message: str) -> NoReturn:
        from meshag_tui.text import mask_secrets, one_line

        raise WrongWords(f"{self.prog}: {one_line(mask_secrets(message))}", self.format_usage())


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Arguments in which an option whose value may be left out has one: else argparse takes what comes next for it."""
    return [f"{each}=all" if each == "--internal" else each for each in arguments]


def build(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser. Its result has `command` ("module:function") and the command's own values.

    Args:
        arguments: what will be parsed; the commands are left out, which saves their making, where these ask for none.
    """
    parser = _Parser(
        prog="meshag",
        description="Shows what is slow in a database, why, and what would help; alone, it opens the terminal screens.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"meshag {__version__}")
    parser.add_argument("--plain", action="store_true", help="the screens as lines of words, for a screen reader")
    _common(parser)
    parser.set_defaults(**ALONE)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    if not _ALONE.issuperset(arguments):
        _connections(commands)
        _collecting(commands)
        _reading(commands)
        _advice(commands)
        model_words.add(commands, _add, _group)
        watch_words.add(commands, _add, _group)
        agent_words.add(commands, _add, _group)
        people_words.add(commands, _add, _group)
        _upkeep(commands)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    """The options every command takes, before or after its name."""
    group = parser.add_argument_group("everywhere")
    group.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="one JSON document and nothing else on stdout",
    )
    group.add_argument("--store", metavar="URL", default=argparse.SUPPRESS, help="SQLite file or postgresql:// URL")
    group.add_argument(
        "--read-only", action="store_true", default=argparse.SUPPRESS, help="nothing can change a monitored database"
    )


def _add(commands: Any, name: str, command: str, summary: str, **more: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **more,
    )
    parser.set_defaults(command=command)
    _common(parser)
    return parser


def _group(commands: Any, name: str, summary: str) -> Any:
    parser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
    )
    return parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)


def _connections(commands: Any) -> None:
    group = _group(commands, "connections", "the monitored databases and how to reach them")

    add = _add(group, "add", "connections:add", "test and save a connection", epilog=_ABOUT_SECRETS)
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "url",
        metavar="URL",
        help="postgresql://user@host:5432/database[?sslmode=…&sslrootcert=…&proxy=…], or service=NAME; mysql:// and "
        "mariadb:// alike, where the database may be left out: then all are watched",
    )
    add.add_argument("--no-test", action="store_true", help="save it without connecting first")
    add.add_argument("--again", action="store_true", help="also if the same user of this database is there already")
    _connection_options(add)

    _add(group, "list", "connections:listing", "all connections with their state")

    test = _add(group, "test", "connections:test", "connect now and say what works")
    test.add_argument("name", metavar="NAME")

    edit = _add(group, "edit", "connections:edit", "change what is given of a connection", epilog=_ABOUT_SECRETS)
    edit.add_argument("name", metavar="NAME")
    edit.add_argument("--name", dest="new_name", metavar="NEW", help="new name")
    edit.add_argument("--url", help="new address; without a password in it the old one is kept if it still fits")
    edit.add_argument("--no-test", action="store_true", help="save it without connecting first")
    state = edit.add_mutually_exclusive_group()
    state.add_argument("--pause", action="store_true", help="stop syncing it (INACTIVE)")
    state.add_argument("--resume", action="store_true", help="sync it again")
    _connection_options(edit, editing=True)

    remove = _add(group, "remove", "connections:remove", "forget a connection and all its history")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask")

    sql = _add(group, "setup-sql", "connections:setup_sql", "the SQL that makes a role with least rights")
    sql.add_argument("url", metavar="URL", help="the connection as it will be added")


def _connection_options(parser: argparse.ArgumentParser, editing: bool = False) -> None:
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--interval", type=values.seconds, metavar="TIME", help="between two syncs: 10s, 1m, 5m")
    parser.add_argument(
        "--slow", type=values.span_or_ms, metavar="TIME", help="a query is slow from this mean time: 100ms"
    )
    parser.add_argument(
        "--slow-by", choices=("mean", "call"), help="by its mean alone, or also by one call that took as long"
    )
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--other-databases",
        action="store_true",
        default=None,
        help="keep what runs in other databases of the server, too: set aside, neither explained nor advised on",
    )
    others.add_argument("--this-database", dest="other_databases", action="store_false", help="only count it")
    parser.add_argument("--project", metavar="NAME", help="the project it belongs to")
    if editing:
        parser.add_argument("--writable", action="store_true", help="allow changes to it again")
        worse = parser.add_mutually_exclusive_group()
        worse.add_argument(
            "--undo-worse",
            action="store_true",
            default=None,
            help="undo a change by itself when it is measured to make things worse (off unless given)",
        )
        worse.add_argument("--keep-worse", dest="undo_worse", action="store_false", help="only advise to take it back")
        cloud = parser.add_mutually_exclusive_group()
        cloud.add_argument(
            "--no-cloud",
            action="store_true",
            default=None,
            help="send nothing of its whole project to a model that is not on this machine",
        )
        cloud.add_argument("--cloud", dest="no_cloud", action="store_false", help="allow that again, after a preview")
        parser.add_argument("--stage", choices=STAGES, help="what it is for; nobody overlooks production")
    parser.add_argument("--protect", action="store_true", help="mark it read-only: no change can be applied to it")


def _collecting(commands: Any) -> None:
    sync = _add(commands, "sync", "collecting:sync", "read statistics now, from the named connections or from all")
    sync.add_argument("names", metavar="NAME", nargs="*")

    collect = _add(commands, "collect", "collecting:collect", "sync every connection at its interval until stopped")
    collect.add_argument("--once", action="store_true", help="what is due now, then end")
    collect.add_argument("--seconds", type=values.seconds, metavar="N", help="end after this time")

    runs = _add(commands, "runs", "collecting:runs", "what MeshAG did: executions with their phases and errors")
    runs.add_argument("name", metavar="NAME", nargs="?", help="a connection, or the id of one execution")
    runs.add_argument("--limit", type=values.count, default=20, metavar="N")
    runs.add_argument("--state", choices=RUN_STATES, help="only those in this state")
    runs.add_argument("--agent", metavar="NAME", help="only those of this agent")
    runs.add_argument("--project", metavar="NAME", help="only those on connections of this project")
    runs.add_argument("--since", metavar="TIME", help="03:12, or 2026-09-21 03:12")
    runs.add_argument("--before", metavar="ID", help="the page behind the one that ends with this exec_…")
    runs.add_argument("--cancel", action="store_true", help="cancel the execution named")
    runs.add_argument(
        "--approve", action="store_true", help="agree to all that the run named waits for, after it is shown"
    )
    runs.add_argument("--yes", action="store_true", help="with --approve: do not ask")
    runs.add_argument("--refuse", action="store_true", help="agree to nothing of it: the run goes on without")
    runs.add_argument("--resume", action="store_true", help="of an agent: go on behind the last step")


def _reading(commands: Any) -> None:
    queries = _add(commands, "queries", "reading:queries", "the statements of a connection by what they cost")
    queries.add_argument("name", metavar="NAME")
    queries.add_argument("--window", type=values.span_ms, default=_DAY, metavar="TIME", help="15m, 24h, 7d (24h)")
    queries.add_argument(
        "--sort",
        default="total_time",
        choices=SORTS,
    )
    queries.add_argument("--reverse", action="store_true", help="smallest first")
    queries.add_argument("--limit", type=values.count, default=50, metavar="N")
    queries.add_argument("--offset", type=int, default=0, metavar="N")
    queries.add_argument(
        "--text", metavar="WORDS", help="only statements that contain this; ~ before a regular expression, ! before not"
    )
    queries.add_argument(
        "--internal",
        type=values.kinds_aside,
        nargs="?",
        const=True,
        default=False,
        metavar="=KINDS",
        help="also what is set aside: all of it, or after = some kinds of it, as own,utility,catalogue,elsewhere",
    )

    compare = _add(
        commands, "compare", "compare:compare", "what changed: this window's statements beside an earlier one"
    )
    compare.add_argument("name", metavar="NAME")
    compare.add_argument("--window", type=values.span_ms, default=_HOUR, metavar="TIME", help="15m, 1h, 24h (1h)")
    compare.add_argument(
        "--against", choices=("before", "yesterday", "last-week"), default="before", help="the earlier window (before)"
    )
    compare.add_argument("--limit", type=values.count, default=50, metavar="N")
    compare.add_argument("--text", metavar="WORDS", help="only statements that contain this, as for queries")

    indexes = _add(commands, "indexes", "reading:indexes", "indexes with their use, size and twins")
    indexes.add_argument("name", metavar="NAME")
    indexes.add_argument("--window", type=values.span_ms, default=_MONTH, metavar="TIME", help="15m, 24h, 30d (30d)")
    indexes.add_argument("--unused", action="store_true", help="only those without a scan in the window")

    sessions = _add(commands, "sessions", "sessions:sessions", "what sessions do now, or did at a moment")
    sessions.add_argument("name", metavar="NAME")
    sessions.add_argument("--at", metavar="TIME", help="03:12, or 2026-09-21 03:12: what was kept of that moment")
    sessions.add_argument("--idle", action="store_true", help="sessions that do nothing too")

    tables = _add(commands, "tables", "reading:tables", "tables with their size, rows and access")
    tables.add_argument("name", metavar="NAME")
    tables.add_argument("--window", type=values.span_ms, default=_DAY, metavar="TIME", help="15m, 24h, 7d (24h)")

    explain = _add(commands, "explain", "reading:explain", "the plan of a query, without executing it")
    explain.add_argument("id", metavar="QUERY", help="qry_…, as `meshag queries` shows it")


def _advice(commands: Any) -> None:
    why = _add(commands, "why", "reasons:why", "why a query gets an index suggestion, or none: each candidate judged")
    why.add_argument("id", metavar="QUERY", help="qry_…, as `meshag queries` shows it")
    why.add_argument("--budget", type=values.budget_bytes, metavar="SIZE", help="as for suggest")
    why.add_argument("--window", type=values.span_ms, metavar="TIME", help="as for suggest")

    suggest = _add(commands, "suggest", "advice:suggest", "look for improvements now and print the open ones")
    suggest.add_argument("name", metavar="NAME")
    suggest.add_argument("--no-llm", action="store_true", help="rules and the planner only")
    suggest.add_argument(
        "--budget",
        type=values.budget_bytes,
        metavar="SIZE",
        help="make the best of this much disk for new indexes: 500MB, or unlimited; without it few and plain ones",
    )
    suggest.add_argument("--window", type=values.span_ms, metavar="TIME", help="workload to judge by: 24h, 7d")
    suggest.add_argument(
        "--time-limit", type=values.seconds, metavar="TIME", help="take the best indexes found in this time (15s)"
    )
    suggest.add_argument(
        "--preview", action="store_true", help="print the exact text a model would be sent, and send nothing"
    )
    suggest.add_argument("--consent", action="store_true", help="agree to sending such texts to the configured models")
    suggest.add_argument("--model", metavar="NAME[/MODEL]", help="ask this provider alone, not all in their order")
    suggest.add_argument("--fresh", action="store_true", help="ask a model although its answer to this is kept")

    suggestions = _add(
        commands, "suggestions", "advice:suggestions", "the stored suggestions; open ones unless asked otherwise"
    )
    suggestions.add_argument("name", metavar="NAME", nargs="?")
    suggestions.add_argument("--status", type=str.upper, choices=("NEW", "REVIEWED", "APPLIED", "DISMISSED"))
    suggestions.add_argument("--priority", type=str.upper, choices=("HIGH", "MEDIUM", "LOW"))
    suggestions.add_argument("--rule", metavar="RULE")
    suggestions.add_argument("--all", action="store_true", help="of every status, and what was no longer found")
    suggestions.add_argument("--limit", type=values.count, default=2_000, metavar="N", help="the most urgent (2000)")

    benchmark = _add(
        commands,
        "benchmark",
        "benchmark:benchmark",
        "try a suggestion out in a sandbox with data, and measure what it does",
        epilog=_ABOUT_SANDBOX,
    )
    benchmark.add_argument("id", metavar="ID", help="sug_…; reh_… shows one that was measured before")
    benchmark.add_argument("--dry-run", action="store_true", help="show what would be read, and read nothing")
    benchmark.add_argument("--yes", action="store_true", help="read those rows without asking")
    benchmark.add_argument("--samples", action="store_true", help="with reh_… and --json: every single run too")

    apply = _add(commands, "apply", "advice:apply", "show a suggestion's statement, gates and undo, then run it")
    apply.add_argument("ids", metavar="ID", nargs="*", help="sug_…; several run one after the other, in a safe order")
    apply.add_argument("--rest", metavar="NAME", help="what was not begun of the last run of several on a connection")
    apply.add_argument("--dry-run", action="store_true", help="show, and run nothing")
    apply.add_argument("--yes", action="store_true", help="run it without asking, whatever the gates warn of")
    apply.add_argument("--accept", **_ACCEPT)

    migration = _add(
        commands, "migration", "migration:migration", "write suggestions as an up and a down file for psql or mysql"
    )
    migration.add_argument("ids", metavar="ID", nargs="+", help="sug_…")
    migration.add_argument("--out", metavar="NAME", help="write NAME.up.sql and NAME.down.sql instead of printing them")

    dismiss = _add(commands, "dismiss", "advice:dismiss", "put a suggestion aside, with the reason")
    dismiss.add_argument("id", metavar="ID", help="sug_…")
    dismiss.add_argument("--reason", required=True, metavar="TEXT")

    review = _add(commands, "review", "advice:review", "mark a suggestion as reviewed")
    review.add_argument("id", metavar="ID", help="sug_…")

    undo = _add(commands, "undo", "advice:undo", "put back what an applied suggestion changed")
    undo.add_argument("id", metavar="ID", help="sug_… or chg_…")
    undo.add_argument("--yes", action="store_true", help="run it without asking, whatever the gates warn of")
    undo.add_argument("--accept", **_ACCEPT)

    changes = _add(commands, "changes", "changes:changes", "what was applied, and what each change was measured to buy")
    changes.add_argument("name", metavar="NAME", nargs="?")

    verify = _add(commands, "verify", "changes:verify", "compare an applied change with the time before it, now")
    verify.add_argument("id", metavar="ID", help="chg_…")

    _add(commands, "calibration", "changes:calibration", "how often forecasts held, by rule, method and confidence")


def _upkeep(commands: Any) -> None:
    reset = _add(commands, "reset", "resetting:reset", "have a server count statements from nothing; history stays")
    reset.add_argument("name", metavar="NAME")
    reset.add_argument("--dry-run", action="store_true", help="show the statement and run nothing")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    doctor = _add(commands, "doctor", "doctor:doctor", "what is missing, and the exact SQL or step that mends it")
    doctor.add_argument("name", metavar="NAME", nargs="?")

    store_words.add(commands, _add, _group)

    key = _group(commands, "key", "the key that passwords are sealed with")
    _add(key, "rotate", "upkeep:rotate_key", "seal all passwords with a new key")

    demo = _add(commands, "demo", "demo:demo", "a real server with a real workload, and everything switched on")
    demo.add_argument("--headless", action="store_true", help="no screens: print what was found")
    demo.add_argument("--seconds", type=values.seconds, metavar="N", help="with --headless: end after this time (30)")
    demo.add_argument("--engine", choices=("postgresql", "mariadb", "mysql"), default="postgresql")
    demo.add_argument(
        "--server",
        type=Path,
        metavar="PROGRAM",
        help="the server to start: postgres, mariadbd or mysqld",
    )

    _add(commands, "paths", "upkeep:paths", "where configuration, store, key and log are")
