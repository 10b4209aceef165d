"""`meshag completion SHELL`: what a shell needs to complete commands, options and names of connections.

The words are those of the parser itself, so that nothing is offered that is not there. Names of connections are asked
for when they are completed, by `meshag completion --names`, which says nothing where there is no store yet.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

from meshag_tui.cli.output import Output
from meshag_tui.types import UsageError

SHELLS = ("bash", "zsh", "fish")
_NAMED = frozenset({"name", "names"})
"""What a parser calls an argument that is a connection's name."""


def completion(args: argparse.Namespace, output: Output) -> None:
    if args.names:
        _names(args, output)
        return
    if args.shell is None:
        raise UsageError(f"Which shell? meshag completion {' | '.join(SHELLS)}")
    from meshag_tui.cli import parser

    found = list(commands(parser.build(["completion"])))
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](found)
    output.answer({"shell": args.shell, "script": script}, lambda: [script.rstrip("\n")])


class Command(NamedTuple):
    """A command: its words ("connections add"), its options, whether it takes a connection, (sub-command, help)."""

    words: str
    options: tuple[str, ...]
    names: bool
    below: tuple[tuple[str, str], ...]


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """A parser and all below it."""
    options: list[str] = []
    names, below = False, list[tuple[str, Any, str]]()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            below = [(name, made, helps.get(name, "")) for name, made in action.choices.items()]
        elif action.option_strings:
            options += [each for each in action.option_strings if each.startswith("--")]
        else:
            names = names or action.dest in _NAMED
    takes = names and words[:1] not in (("providers",), ("budget",), ("webhooks",)) and words != ("connections", "add")
    yield Command(" ".join(words), tuple(sorted(set(options))), takes, tuple((name, said) for name, _, said in below))
    for name, made, _ in below:
        yield from commands(made, (*words, name))


def _names(args: argparse.Namespace, output: Output) -> None:
    from pathlib import Path

    from meshag_tui.store import place

    location = place.locate(args.settings.store_url)
    if location.path is not None and not Path(location.path).exists():
        return
    from meshag_tui.store.connections import listing
    from meshag_tui.store.database import Store

    store = Store.open(args.settings.store_url, migrate=False)
    try:
        for info in store.run(listing):
            output.line(info.name)
    finally:
        store.close()


def _cases(found: list[Command]) -> Iterator[str]:
    for each in found:
        words = " ".join([*(name for name, _ in each.below), *each.options])
        yield f"        '{each.words}') words='{words}'; names={int(each.names)} ;;"


def _bash(found: list[Command]) -> str:
    cases = "\n".join(_cases(found))
    return f"""# meshag: eval "$(meshag completion bash)", or keep it in bash_completion.d
_meshag() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} said='' words='' names=0 word at
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${{COMP_WORDS[at]}}
        case $word in -*) continue ;; esac
        case "${{said:+$said }}$word" in
{_known(found)}
                said=${{said:+$said }}$word ;;
        esac
    done
    case $said in
{cases}
    esac
    COMPREPLY=()
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$words" -- "$current")
    if [ "$names" = 1 ] && [[ $current != -* ]]; then
        while IFS= read -r word; do
            [[ $word == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
        done < <(meshag completion --names 2>/dev/null)
    fi
}}
complete -o default -F _meshag meshag
"""


def _known(found: list[Command]) -> str:
    words = "|".join(f"'{each.words}'" for each in found if each.words)
    return f"            {words})"


def _zsh(found: list[Command]) -> str:
    return f"""#compdef meshag
# meshag: eval "$(meshag completion zsh)" after compinit
autoload -Uz bashcompinit && bashcompinit
{_bash(found)}"""


def _fish(found: list[Command]) -> str:
    lines = ["# meshag: meshag completion fish | source", "complete -c meshag -f"]
    for each in found:
        words = each.words.split()
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words) or "__fish_use_subcommand"
        for name, said in each.below:
            free = seen if not words else f"{seen}; and not __fish_seen_subcommand_from {_others(each)}"
            lines.append(f"complete -c meshag -n '{free}' -a {name} -d '{_quoted(said)}'")
        lines += [f"complete -c meshag -n '{seen}' -l {option[2:]}" for option in each.options]
        if each.names:
            lines.append(f"complete -c meshag -n '{seen}' -a '(meshag completion --names 2>/dev/null)'")
    return "\n".join(lines) + "\n"


def _others(each: Command) -> str:
    return " ".join(name for name, _ in each.below)


def _quoted(said: str) -> str:
    return said.replace("%%", "%").replace("\\", "\\\\").replace("'", "\\'")
