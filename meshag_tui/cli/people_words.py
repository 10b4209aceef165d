"""The words of the commands about people and records: the activity log, users, access keys, projects."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from meshag_tui.cli import values

_ABOUT_CHAIN = """\
Each entry has the hash of the one before. That shows an entry that was altered, taken out, put in or moved; it does
not stop one who may write the store from writing the whole log anew. To rule that out, keep the hash that this prints
in another place, and say it again with --known.
"""

_ABOUT_ROLES = """\
viewer sees; operator also syncs, looks for advice, asks models, rehearses, and applies what an approver agreed to;
approver also agrees; admin also changes connections, providers, budgets, agents, webhooks, people and keys. Roles count
on a PostgreSQL store from the second person on. They keep colleagues from mistakes: whoever holds the store's password
can do everything with another program, and the name of an account can be pretended.
"""
_ABOUT_KEYS = """\
A command acts by the key in the environment variable MESHAG_ACCESS_KEY: never on the command line, where others see
it. A key may what it was given and its owner's role allows; it cannot agree to changes. One that was revoked ends at
once.
"""
ROLES = ("viewer", "operator", "approver", "admin")
GIVEN = ("read", "collect", "analyze", "llm", "sandbox", "apply", "admin")
COLOURS = ("none", "red", "yellow", "green", "cyan", "blue", "magenta")
THEMES = ("none", "dark", "light", "high-contrast", "ansi-dark", "ansi-light")
WAYS = ("toast", "bell", "osc9", "webhook")
"""Those of `store.people`, `access_keys` and `projects`, written again because they are not loaded for --help."""


def add(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    """Add the commands. `command` and `group` make one, or a group of them, as in `parser`."""
    log = group(commands, "activity", "what people and MeshAG did")
    listed = command(log, "list", "activity:listing", "the last entries, newest first")
    listed.add_argument("-n", type=values.count, default=10, metavar="N", help="(10)")
    _filters(listed)
    verify = command(
        log, "verify", "activity:verify", "whether an entry was altered, removed or moved", epilog=_ABOUT_CHAIN
    )
    verify.add_argument("--known", metavar="HASH", help="an end printed before, which must still be in the log")
    export = command(log, "export", "activity:export", "write entries to a new file, oldest first")
    export.add_argument("file", metavar="FILE", help=".json (which another store can bring in) or .csv")
    _filters(export)
    bring = command(log, "bring", "activity:bring", "append another store's exported entries, each once")
    bring.add_argument("file", metavar="FILE", help="of meshag activity export, whole and unchanged")
    command(log, "kinds", "activity:kinds", "every kind of entry there is, and what happened then")
    note = command(commands, "note", "activity:note", "write a line into the activity log")
    note.add_argument("text", metavar="TEXT")
    note.add_argument("--run", metavar="ID", help="the run (exec_…) it is about, which shows it from then on")

    _people(commands, command, group)
    _access(commands, command, group)
    _projects(commands, command, group)


def _people(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    users = group(commands, "user", "who shares the store, in which role")
    made = command(users, "add", "people:add", "add somebody to a shared store", epilog=_ABOUT_ROLES)
    made.add_argument("--email", required=True, metavar="ADDRESS")
    made.add_argument("--name", required=True, metavar="NAME")
    made.add_argument("--role", required=True, choices=ROLES)
    made.add_argument("--account", metavar="NAME", help="of the operating system (the e-mail's part before the @)")
    command(users, "list", "people:listing", "all people")
    edit = command(users, "set", "people:edit", "change somebody's e-mail, name, role or account", epilog=_ABOUT_ROLES)
    edit.add_argument("user", metavar="USER", help="e-mail, account, name or usr_…")
    for option in ("--email", "--name", "--account"):
        edit.add_argument(option, metavar=option[2:].upper())
    edit.add_argument("--role", choices=ROLES)
    remove = command(users, "remove", "people:remove", "remove somebody with their access keys")
    remove.add_argument("user", metavar="USER", help="e-mail, account, name or usr_…")
    remove.add_argument("--yes", action="store_true", help="do not ask for the e-mail")


def _access(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    keys = group(commands, "access", "keys that commands without a person act by")
    made = command(keys, "add", "people:add_key", "make a key; its secret is shown once", epilog=_ABOUT_KEYS)
    made.add_argument("name", metavar="NAME")
    made.add_argument("--may", required=True, metavar="WORDS", help=f"with commas between: {', '.join(GIVEN)}")
    made.add_argument("--user", metavar="USER", help="whose it is (yours)")
    made.add_argument("--expires", type=values.span_ms, metavar="TIME", help="30d; without it, it does not end")
    made.add_argument("--rate", type=values.count, metavar="N", help="steps a minute at most")
    command(keys, "list", "people:keys", "all keys, the newest first")
    rotate = command(keys, "rotate", "people:rotate_key", "make a key in the place of one")
    rotate.add_argument("key", metavar="KEY", help="name, mk_… or key_…")
    rotate.add_argument("--overlap", type=values.span_ms, default=86_400_000, metavar="TIME", help="both work (24h)")
    for word, summary in (("revoke", "let a key do nothing from now on"), ("allow", "let a revoked key work again")):
        one = command(keys, word, f"people:{word}_key", summary)
        one.add_argument("key", metavar="KEY", help="name, mk_… or key_…")


def _projects(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    projects = group(commands, "project", "connections that belong together, with settings of their own")
    made = command(projects, "add", "people:add_project", "make a project")
    made.add_argument("name", metavar="NAME")
    _settings(made)
    command(projects, "list", "people:projects", "all projects")
    show = command(projects, "show", "people:project", "a project with its settings and what models cost it")
    show.add_argument("name", metavar="NAME")
    show.add_argument(
        "--include", metavar="WORDS", default="", help="connections, agents, costs, activities; commas between"
    )
    edit = command(projects, "set", "people:edit_project", "change a project's name or settings")
    edit.add_argument("name", metavar="NAME")
    edit.add_argument("--name", dest="new_name", metavar="NEW")
    _settings(edit)
    remove = command(projects, "remove", "people:remove_project", "forget a project with all its connections")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask for its name")


def _settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cloud", choices=("on", "off"), help="off: nothing of it leaves this machine")
    parser.add_argument("--colour", choices=COLOURS, help="how its name is marked")
    parser.add_argument("--theme", choices=THEMES, help="the look of the screens while it is looked at")
    parser.add_argument("--path", metavar="DIR", help="folder its reports, exports and migrations go to; none: here")
    parser.add_argument("--notify", choices=("on", "off"), help="tell its alerts, in every way that is not named here")
    for way in WAYS:
        heard = ("--voice",) if way == "bell" else ()  # what can be heard over a line is the terminal's bell
        parser.add_argument(f"--{way}", *heard, choices=("on", "off"), help=f"tell its alerts by {way}")
    parser.add_argument("--quiet", metavar="HOURS", help="tell none of its alerts then: 22:00-07:00, or none")
    parser.add_argument("--rate", metavar="N", help="tell at most so many of its alerts an hour; none: all")


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", metavar="KIND", help="change.applied, or all that begins so: change")
    parser.add_argument("--actor", metavar="NAME", help="who did it")
    parser.add_argument("--connection", metavar="NAME")
    parser.add_argument("--project", metavar="NAME")
    parser.add_argument("--since", metavar="TIME", help="03:12, or 2026-09-21 03:12")
    parser.add_argument("--until", metavar="TIME")
    parser.add_argument("--text", metavar="WORDS", help="in what was said")
