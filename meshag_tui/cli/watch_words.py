"""The words of the commands that watch and tell: health, its limits, alerts, reports, webhooks."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from meshag_tui.cli import values

RULES = ("critical", "health-drop", "blocked", "regression", "plan-flip", "run-failed", "budget")
"""Those of `store.alerts`, written again because that module is not loaded for --help."""

_ABOUT_WEBHOOKS = """\
The address is read from standard input, never from the command line: with many services it is the secret. A second
line is a key that each document is signed with (HMAC-SHA256 of the body, in the header X-Meshag-Signature):
  meshag webhooks add oncall < address.txt
"""


def add(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    """Add the commands. `command` and `group` make one, or a group of them, as in `parser`."""
    health = command(commands, "health", "health:health", "how connections fare: a score, and what each item takes")
    health.add_argument("names", metavar="NAME", nargs="*", help="these connections (all)")
    health.add_argument("--history", type=values.span_ms, metavar="TIME", help="the scores kept of the last 24h, 7d")

    limits = command(commands, "limits", "health:limits", "from when a figure is a warning, and critical")
    limits.add_argument("name", metavar="NAME")
    limits.add_argument(
        "measure", metavar="MEASURE", nargs="?", help="lag, connections, …: as `meshag health` has them"
    )
    limits.add_argument("warning", metavar="WARNING", nargs="?", help="30s, 80%%, 5")
    limits.add_argument("critical", metavar="CRITICAL", nargs="?")
    limits.add_argument("--usual", action="store_true", help="the usual limits again, of this measure or of all")

    alerts = command(commands, "alerts", "alerts:listing", "what somebody should know, the open ones first")
    alerts.add_argument("name", metavar="NAME", nargs="?", help="a connection (all); with --note the id of an alert")
    alerts.add_argument("--open", action="store_true", help="only those whose cause lasts")
    alerts.add_argument("--limit", type=values.count, default=50, metavar="N")
    alerts.add_argument("--note", action="store_true", help="take note of the alert named, which is counted no more")

    report = command(commands, "report", "report:report", "a window of a connection as a page to read or to send")
    report.add_argument("name", metavar="NAME")
    report.add_argument("--window", type=values.span_ms, default=86_400_000, metavar="TIME", help="15m, 24h, 7d (24h)")
    report.add_argument("--end", metavar="TIME", help="03:12, or 2026-09-21 03:12 (the last sync)")
    report.add_argument("--against", choices=("before", "yesterday", "last-week"), default="before", help="(before)")
    report.add_argument("--format", choices=("md", "html"), help="Markdown or HTML (by the file's name, else Markdown)")
    report.add_argument("--out", metavar="FILE", help="write it to a new file instead of printing it")

    settings = command(commands, "settings", "structure:settings", "the server's settings, judged one by one, and why")
    settings.add_argument("name", metavar="NAME")
    schema = command(commands, "schema", "structure:schema", "what changed of tables, columns, indexes, constraints")
    schema.add_argument("name", metavar="NAME")
    schema.add_argument("--limit", type=values.count, default=20, metavar="N", help="versions (20)")
    record = command(commands, "record", "replay:record", "copy the store for a colleague: what was seen, no secrets")
    record.add_argument("file", metavar="FILE", help="a new file")
    replay = command(commands, "replay", "replay:replay", "the screens on a copied store, at moments that have passed")
    replay.add_argument("file", metavar="FILE", help="of meshag record or meshag store backup; it stays as it is")
    replay.add_argument("--from", dest="start", metavar="TIME", help="03:12 (an hour before its end)")
    replay.add_argument("--speed", type=values.count, default=1, metavar="N", help="times the speed of life (1)")

    serve = command(commands, "serve", "serve:serve", "the screens in a browser, on this machine, with a key")
    serve.add_argument("--host", default="127.0.0.1", metavar="NAME", help="to listen on (127.0.0.1)")
    serve.add_argument("--port", type=values.count, default=8000, metavar="N", help="(8000)")
    serve.add_argument("--public-url", metavar="URL", help="how a proxy before it is reached: https://…")
    serve.add_argument("--key-stdin", action="store_true", help="read the key from standard input (else a new one)")
    serve.add_argument(
        "--access-keys", action="store_true", help="ask for an access key of the store instead; a page acts by it"
    )

    shells = ("bash", "zsh", "fish")
    complete = command(commands, "completion", "completion:completion", "a script that has a shell complete commands")
    complete.add_argument("shell", choices=shells, nargs="?", help=", ".join(shells))
    complete.add_argument("--names", action="store_true", help="only the names of connections, one a line")

    command(commands, "stats", "stats:stats", "the whole installation in a few figures: runs of today, budgets, agents")

    hooks = group(commands, "webhooks", "where alerts are sent")
    made = command(hooks, "add", "alerts:add_webhook", "add a webhook", epilog=_ABOUT_WEBHOOKS)
    made.add_argument("name", metavar="NAME")
    whose = made.add_mutually_exclusive_group()
    whose.add_argument("--connection", metavar="NAME", help="only of this connection (of all)")
    whose.add_argument("--project", metavar="NAME", help="only of the connections of this project")
    _webhook_options(made)
    command(hooks, "list", "alerts:webhooks", "all webhooks")
    edit = command(hooks, "edit", "alerts:edit_webhook", "change which alerts go there, and when none do")
    edit.add_argument("name", metavar="NAME")
    state = edit.add_mutually_exclusive_group()
    state.add_argument("--off", action="store_true", help="send nothing there")
    state.add_argument("--on", action="store_true", help="send there again")
    _webhook_options(edit)
    test = command(hooks, "test", "alerts:test_webhook", "send a test document there now")
    test.add_argument("name", metavar="NAME")
    remove = command(hooks, "remove", "alerts:remove_webhook", "forget a webhook and its address")
    remove.add_argument("name", metavar="NAME")


def _webhook_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rule", metavar="RULE", action="append", choices=RULES, help=f"only {', '.join(RULES)} (all)")
    parser.add_argument("--quiet", metavar="HOURS", help="when nothing is sent: 22:00-07:00, or none")
