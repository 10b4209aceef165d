"""The words of the commands about agents, their flows and runs, and threads with models."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from meshag_tui.cli import values

CATEGORIES = ("tuning", "explaining", "reviewing", "other")
"""Those of `agents.profiles`, written again because that module is not loaded for --help."""
_ABOUT_ASKING = """\
The figures of an answer are held against the evidence: those that are not in it are listed. What it proposes is checked
like all advice of models, and only what passes becomes a suggestion. Read what would be sent by --preview, then agree
by --consent, once for each connection.
"""


_ABOUT_FILES = """\
FILE is TOML or JSON: name, category, description, every ("1h"; none: only when asked), flow (the name of a template of
`meshag flow templates`, or a whole document), and of the profile: instructions, context, tools, model, configuration.
"""


def add(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    """Add the commands. `command` and `group` make one, or a group of them, as in `parser`."""
    _threads(commands, command, group)
    _agents(commands, command, group)


def _agents(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    run = command(commands, "run", "agents:run", "run an agent on a connection now, until it is done or waits")
    run.add_argument("agent", metavar="AGENT", help="name or agnt_…")
    run.add_argument("--connection", required=True, metavar="NAME")

    agents = group(commands, "agents", "who looks after databases, with which instructions and tools")
    listing = command(agents, "list", "agents:listing", "the agents, with how they did")
    listing.add_argument("--status", type=str.upper, choices=("ACTIVE", "INACTIVE", "PAUSED", "RUNNING"))
    listing.add_argument("--category", choices=CATEGORIES)
    listing.add_argument("--project", metavar="NAME", help="those that run on its connections alone")
    listing.add_argument("--text", default="", metavar="WORDS", help="in name or description")
    listing.add_argument("--removed", action="store_true", help="those that were removed")
    listing.add_argument("--limit", type=values.count, default=50, metavar="N")
    show = command(agents, "show", "agents:show", "one agent, with what it does")
    show.add_argument("agent", metavar="AGENT")
    for name, summary in (("add", "make an agent"), ("edit", "change what a file says of an agent")):
        made = command(agents, name, f"agents:{name}", summary, epilog=_ABOUT_FILES)
        if name == "edit":
            made.add_argument("agent", metavar="AGENT")
        made.add_argument("-f", "--file", required=True, metavar="FILE", help="- reads standard input")
    status = command(agents, "status", "agents:status", "let an agent run, or not")
    status.add_argument("agent", metavar="AGENT")
    status.add_argument("status", type=str.upper, choices=("ACTIVE", "INACTIVE", "PAUSED"))
    for name, summary in (
        ("remove", "hide an agent; its runs, threads and costs stay"),
        ("restore", "take a removed agent back"),
    ):
        command(agents, name, f"agents:{name}", summary).add_argument("agent", metavar="AGENT")
    purge = command(agents, "purge", "agents:purge", "forget agents that were removed long ago and have no run left")
    purge.add_argument("--days", type=float, default=30, metavar="N", help="removed at least so long ago (30)")

    flow = group(commands, "flow", "what agents do, as documents")
    command(flow, "templates", "agents:templates", "flows to begin with")
    command(flow, "schema", "agents:flow_schema", "the JSON schema of a flow")
    export = command(flow, "export", "agents:export_flow", "what an agent does, as a document")
    export.add_argument("agent", metavar="AGENT")
    export.add_argument("--version", type=int, metavar="N", help="an earlier version")
    read = command(flow, "import", "agents:import_flow", "let an agent do what a document says: another version")
    read.add_argument("agent", metavar="AGENT")
    read.add_argument("file", metavar="FILE", help="- reads standard input")
    read.add_argument("--replace", action="store_true", help="in place of the one it has, without asking")
    differ = command(flow, "diff", "agents:diff_flow", "what one version of a flow has otherwise than another")
    differ.add_argument("agent", metavar="AGENT")
    differ.add_argument("before", type=int, metavar="N", help="version; see agents show for the newest")
    differ.add_argument("after", type=int, nargs="?", metavar="M", help="version (the newest)")
    gone = command(flow, "remove", "agents:remove_flow", "take away what an agent does; runs that were keep theirs")
    gone.add_argument("agent", metavar="AGENT")
    check = command(flow, "check", "agents:check_flow", "say what is wrong with a flow, and keep nothing")
    check.add_argument("file", metavar="FILE", help="- reads standard input")


def _threads(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    ask = command(
        commands,
        "ask",
        "threads:ask",
        "ask a model about a query or a suggestion, with its evidence",
        epilog=_ABOUT_ASKING,
    )
    ask.add_argument("subject", metavar="SUBJECT", help="qry_… or sug_… begins a thread, thrd_… goes on with one")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument("--plan", action="store_true", help="of a query: it is about its plan")
    ask.add_argument("--model", metavar="NAME[/MODEL]", help="ask this provider alone; of a thread, from now on")
    ask.add_argument("--agent", metavar="NAME", help="with its instructions, notes and model, in a thread of its own")
    ask.add_argument("--window", type=values.span_ms, metavar="TIME", help="the span its figures are of: 24h, 7d")
    ask.add_argument("--preview", action="store_true", help="print the exact text that would be sent, and send nothing")
    ask.add_argument("--consent", action="store_true", help="agree to sending such texts to these models")

    threads = group(commands, "threads", "what was said with models, about what")
    listing = command(threads, "list", "threads:listing", "the threads, the newest first")
    listing.add_argument("name", metavar="NAME", nargs="?", help="of one connection")
    listing.add_argument("--about", metavar="ID", help="qry_… or sug_…")
    listing.add_argument("--removed", action="store_true", help="those that were removed")
    listing.add_argument("--limit", type=values.count, default=50, metavar="N")
    show = command(threads, "show", "threads:show", "one thread, with its evidence, as Markdown")
    show.add_argument("id", metavar="ID", help="thrd_…")
    edit = command(threads, "edit", "threads:edit", "change name, model or instructions of a thread")
    edit.add_argument("id", metavar="ID", help="thrd_…")
    edit.add_argument("--name", metavar="NEW")
    edit.add_argument("--model", metavar="NAME[/MODEL]", help="empty: in the order of providers again")
    edit.add_argument("--instructions", metavar="TEXT", help="what the model is told beside the usual")
    remove = command(threads, "remove", "threads:remove", "hide a thread; what it cost stays in the ledger")
    remove.add_argument("id", metavar="ID", help="thrd_…")
    restore = command(threads, "restore", "threads:restore", "take a removed thread back")
    restore.add_argument("id", metavar="ID", help="thrd_…")
