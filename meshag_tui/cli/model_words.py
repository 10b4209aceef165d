"""The words of the commands about models: providers, ledger, prices, invoices, budget, cache."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from meshag_tui.cli import values

_DAY = 86_400_000
KINDS = ("openai", "gemini", "deepseek", "anthropic", "ollama", "vllm", "llamacpp", "other")
"""The kinds of `agents.presets`, written again because that module is not loaded for --help."""
PIVOTS = ("provider", "model", "purpose", "connection", "project", "user", "agent", "outcome", "day")
"""What `store.ledger` sums by, written again for the same reason."""

_ABOUT_KEYS = """\
A key is read from standard input, never from the command line:
  meshag providers add work gemini --model NAME --key-stdin < key.txt
The endpoint of [llm] in config.toml is the provider `config`, always the first; it is changed there.
"""


def add(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    """Add the commands. `command` and `group` make one, or a group of them, as in `parser`."""
    _providers(
        group(commands, "providers", "the language models that may be asked, in the order they are tried"), command
    )
    _money(commands, command, group)


def _providers(group: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    add_ = command(group, "add", "providers:add", "add a provider", epilog=_ABOUT_KEYS)
    add_.add_argument("name", metavar="NAME")
    add_.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    add_.add_argument("--model", metavar="NAME", action="append", required=True, help="a model; the first is asked")
    _provider_options(add_)

    command(group, "list", "providers:listing", "all providers in their order, with how they did last")
    command(group, "kinds", "providers:kinds", "the kinds, with their usual address and what they support")

    edit = command(group, "edit", "providers:edit", "change a provider", epilog=_ABOUT_KEYS)
    edit.add_argument("name", metavar="NAME")
    edit.add_argument("--name", dest="new_name", metavar="NEW")
    edit.add_argument("--model", metavar="NAME", action="append", help="in place of those it has; the first is asked")
    edit.add_argument("--no-key", action="store_true", help="forget its key")
    state = edit.add_mutually_exclusive_group()
    state.add_argument("--off", action="store_true", help="ask it no more")
    state.add_argument("--on", action="store_true", help="ask it again")
    _provider_options(edit)

    test = command(group, "test", "providers:test", "ask for a word now; it is in the ledger like any call")
    test.add_argument("name", metavar="NAME[/MODEL]")

    remove = command(group, "remove", "providers:remove", "forget a provider and its key; the ledger stays")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask")

    order = command(group, "order", "providers:order", "try these first, in this order")
    order.add_argument("names", metavar="NAME", nargs="+")

    score = command(group, "score", "providers:score", "try a model on seven planted cases, and keep the score")
    score.add_argument("name", metavar="NAME[/MODEL]")
    scores = command(group, "scores", "providers:scores", "how models did on the planted cases, the newest first")
    scores.add_argument("--cases", action="store_true", help="case by case, models and releases beside each other")

    compare = command(group, "compare", "providers:compare", "ask two models about one statement, side by side")
    compare.add_argument("names", metavar="NAME[/MODEL]", nargs=2)
    compare.add_argument("query", metavar="QUERY", help="qry_…, as `meshag queries` shows it")
    compare.add_argument("--preview", action="store_true", help="print exactly what would be sent, and send nothing")
    compare.add_argument("--consent", action="store_true", help="agree to sending such texts to these models")


def _provider_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="its address, where it is not the usual one of its kind")
    parser.add_argument("--supports", choices=("json_schema", "json_object", "text"), help="the best form it keeps to")
    parser.add_argument("--key-stdin", action="store_true", help="read its key from standard input")


def _money(commands: Any, command: Callable[..., argparse.ArgumentParser], group: Callable[..., Any]) -> None:
    ledger = group(commands, "ledger", "what calls to models cost, call by call and in sums")
    calls = command(ledger, "list", "ledger:listing", "the newest calls, whatever came of them")
    calls.add_argument("--limit", type=values.count, default=50, metavar="N")
    sums = command(ledger, "sums", "ledger:sums", "calls, tokens and cost by one thing")
    sums.add_argument("--by", choices=PIVOTS, default="model")
    sums.add_argument("--window", type=values.span_ms, default=30 * _DAY, metavar="TIME", help="24h, 7d, 30d (30d)")
    sent = command(ledger, "sent", "ledger:sent", "exactly what was sent to a model, byte for byte")
    sent.add_argument("id", metavar="ID", help="use_… of the ledger, or sug_… of a model's suggestion")
    read = command(ledger, "import", "ledger:take_in", "read a provider's invoice, CSV or JSON: all of it or nothing")
    read.add_argument("provider", metavar="PROVIDER")
    read.add_argument("file", metavar="FILE", help="columns external_id, date, amount; model, currency, description")
    read.add_argument("--currency", default="USD", metavar="CODE", help="of lines that do not say it (USD)")
    read.add_argument("--preview", action="store_true", help="say what it holds, and import nothing")
    check = command(ledger, "reconcile", "ledger:reconcile", "the ledger beside the invoices, by model")
    check.add_argument("provider", metavar="PROVIDER")
    check.add_argument("--window", type=values.span_ms, default=30 * _DAY, metavar="TIME", help="30d")
    enter = command(ledger, "enter", "ledger:enter", "enter an amount that no call of ours reports")
    enter.add_argument("provider", metavar="PROVIDER")
    enter.add_argument("amount", metavar="AMOUNT")
    enter.add_argument("--currency", default="USD", metavar="CODE")
    enter.add_argument("--description", metavar="TEXT")

    prices = group(commands, "prices", "what models cost: your own table, none is shipped")
    command(prices, "list", "ledger:prices", "all prices, by day")
    put = command(prices, "set", "ledger:set_price", "what a million tokens cost from a day on")
    put.add_argument("provider", metavar="PROVIDER")
    put.add_argument("model", metavar="MODEL", help="or * for all of the provider that have none of their own")
    put.add_argument("--input", required=True, metavar="AMOUNT")
    put.add_argument("--output", required=True, metavar="AMOUNT")
    put.add_argument("--cached", metavar="AMOUNT", help="of tokens the provider had cached (as input)")
    put.add_argument("--currency", default="USD", metavar="CODE")
    put.add_argument("--from", dest="valid_from", metavar="DAY", help="2026-01-31, UTC (today)")
    put.add_argument("--source", metavar="TEXT", help="where the figure is from")
    gone = command(prices, "remove", "ledger:remove_price", "forget a price")
    gone.add_argument("id", metavar="ID", help="prc_…")

    budget = group(commands, "budget", "what may be spent on models")
    command(budget, "list", "budget:listing", "the plans in force and how they stand")
    command(budget, "plans", "budget:plans", "all plans")
    plan = command(budget, "plan", "budget:plan", "make a plan, or change the one of this name")
    plan.add_argument("name", metavar="NAME")
    plan.add_argument("--cap", metavar="AMOUNT", help="a month or year, or none (none)")
    plan.add_argument("--currency", metavar="CODE", help="(USD)")
    plan.add_argument("--period", choices=("month", "year"), help="(month)")
    plan.add_argument("--allow", metavar="PROVIDER", action="append", help="only these providers")
    plan.add_argument("--local-only", action="store_true", default=None, help="only models on this machine")
    plan.add_argument("--feature", metavar="TEXT", action="append", help="words about it")
    active = plan.add_mutually_exclusive_group()
    active.add_argument("--retire", action="store_true", help="give it out no more; what is in force stays")
    active.add_argument("--reinstate", action="store_true", help="give it out again")
    forget = command(budget, "forget", "budget:forget", "forget a plan that nothing ever used")
    forget.add_argument("name", metavar="NAME")
    command(budget, "seed", "budget:seed", "make the usual plans: Local only, Team, Unlimited")
    subscribe = command(budget, "subscribe", "budget:subscribe", "put a plan in force")
    subscribe.add_argument("plan", metavar="PLAN")
    subscribe.add_argument("--project", metavar="NAME", help="for this project (for everything)")
    subscribe.add_argument("--user", metavar="NAME", help="for what this user spends")
    subscribe.add_argument("--until", metavar="DAY", help="2026-12-31, UTC; after it only local models are asked")
    subscribe.add_argument("--replace", action="store_true", help="in place of the one in force there")
    cancel = command(budget, "cancel", "budget:cancel", "end a subscription now")
    cancel.add_argument("id", metavar="ID", help="sub_…")
    override = command(budget, "override", "budget:override", "let calls through for a while, whatever the budget says")
    override.add_argument("id", metavar="ID", help="sub_…")
    override.add_argument("--for", dest="span", type=values.span_ms, default=3_600_000, metavar="TIME", help="1h")
    override.add_argument("--reason", required=True, metavar="TEXT")

    cache = group(commands, "cache", "answers of models that are kept, so that none is bought twice")
    kept = command(cache, "list", "budget:cache", "what is kept, what was used last first")
    kept.add_argument("--limit", type=values.count, default=200, metavar="N")
    clear = command(cache, "clear", "budget:clear_cache", "forget kept answers")
    clear.add_argument("name", metavar="NAME", nargs="?", help="of this connection (of all)")
    only = command(cache, "only", "budget:cache_only", "use kept answers alone and ask nobody, or ask again")
    only.add_argument("state", choices=("on", "off"))
