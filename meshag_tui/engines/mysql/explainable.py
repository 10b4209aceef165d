"""What may be planned, and the text that is sent for it: always one SELECT that only reads.

In: a statement as a server, a user or a model gave it. Out: its reading part as tokens. The servers refuse EXPLAIN of a
write in a read-only transaction, so of UPDATE and DELETE the rows they find are planned, of INSERT … SELECT its query.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import parse
from meshag_tui.engines.mysql.functions import BEFORE_BRACKETS, EFFECTS, OF_GRAMMAR, PURE
from meshag_tui.engines.mysql.keywords import KEYWORDS
from meshag_tui.engines.mysql.lexer import MORE_ROWS, Token, is_executable, is_hint, joined, tokens
from meshag_tui.engines.mysql.named import Relation, named

Operation = Literal["Select", "Insert", "Update", "Delete"]
_OPERATIONS: dict[str, Operation] = {"insert": "Insert", "replace": "Insert", "update": "Update", "delete": "Delete"}
_READS = frozenset(("select", "values", "table"))
_MODIFIERS = frozenset(("low_priority", "high_priority", "delayed", "quick", "ignore"))
_HINTS = frozenset(
    re.findall(
        r"\w+",
        """
        bka bnl derived_condition_pushdown group_index hash_join index index_merge join_fixed_order
        join_index join_order join_prefix join_suffix merge mrr no_bka no_bnl no_derived_condition_pushdown
        no_group_index no_hash_join no_icp no_index no_index_merge no_join_index no_merge no_mrr
        no_order_index no_range_optimization no_semijoin no_skip_scan order_index qb_name semijoin skip_scan
        subquery
        """,
    )
)
"""Hints that only choose among plans. SET_VAR and MAX_EXECUTION_TIME would undo the limits of our session."""
_HINT_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(([^()]*)\)")
_SELECT = Token("name", "SELECT"), Token("symbol", "*"), Token("name", "FROM")


@dataclass(frozen=True, slots=True)
class Explainable:
    """A statement that may be planned. `words` are of its reading part, empty where it reads nothing (INSERT … VALUES).

    `target` is what a write writes to. `whole` are all its words, harmless hints among them.
    """

    text: str
    operation: Operation
    words: tuple[Token, ...]
    target: Relation | None = None
    whole: tuple[Token, ...] = ()


def explainable(statement: str) -> Explainable:
    """Check a statement and find what of it is planned.

    Raises:
        Refused: it is not exactly one SELECT, INSERT, REPLACE, UPDATE or DELETE, or planning it could do something.
    """
    words = _meaningful(statement)
    at = _verb(words)
    verb = words[at].word if at < len(words) else ""
    if verb not in _READS and verb not in _OPERATIONS:
        raise Refused("Only SELECT, INSERT, REPLACE, UPDATE and DELETE are explained")
    operation = _OPERATIONS.get(verb, "Select")
    reads = words if operation == "Select" else [*words[:at], *_reading_part(verb, words[at:])]
    reads = _without_locks(reads)
    refuse_effects(reads)
    written = named(words) if operation != "Select" else []
    return Explainable(statement, operation, tuple(reads), written[0] if written else None, tuple(words))


def checked(text: str) -> str:
    """A text that is about to be planned, once more: one SELECT without effects, as the lexer and the parser read it.

    Raises:
        Refused: see `explainable`.
    """
    found = explainable(text)
    if found.operation != "Select":
        raise Refused("Only what a statement reads is explained")
    plain = joined(found.words)
    from sqlglot import exp

    tree = parse.tree(without_hints(plain))
    if not isinstance(tree, (exp.Query, exp.Values)):
        raise Refused("Only SELECT, INSERT, REPLACE, UPDATE and DELETE are explained")
    seen = {(one.schema or "", one.name) for one in named(found.words)}
    if any(
        one.name and (one.db, one.name) not in seen and one.name.lower() != "dual" for one in tree.find_all(exp.Table)
    ):
        raise Refused("It cannot be told for sure which tables the statement reads")  # nor what its views would do
    return plain


def called(words: Sequence[Token]) -> tuple[str, ...]:
    """Names of what the words call, in lower case: a stored function may have the name of another server's built-in."""
    return tuple(
        sorted(
            {
                (one.name or "").lower()
                for at, one in enumerate(words)
                if one.name is not None and _next_text(words, at) == "(" and one.word not in BEFORE_BRACKETS
            }
        )
    )


def without_hints(text: str) -> str:
    """The text as a parser takes it that stumbles over hints."""
    return "".join(" " if one.kind == "comment" else one.text for one in tokens(text))


def _meaningful(statement: str) -> list[Token]:
    """The words of a text, hints among them, without a last semicolon."""
    if parse.is_too_large(statement):
        raise Refused("The statement is too large to be examined")
    if "\x00" in statement:
        raise Refused("The text holds a NUL character")
    words: list[Token] = []
    for one in tokens(statement):
        if len(words) > parse.MAX_TOKENS:
            raise Refused("The statement is too large to be examined")
        if not one.whole:
            raise Refused("The text is cut off within a literal or a comment")
        if one.kind == "comment":
            if is_executable(one.text):
                raise Refused("The text holds a comment that the server would run (/*! … */)")
            if one.text == MORE_ROWS:
                words.append(one)
            elif is_hint(one.text) and (hints := _harmless_hints(one.text)):
                words.append(Token("comment", hints))
        elif one.kind != "space":
            if one.kind == "symbol" and (one.text < " " or one.text == "\x7f"):
                raise Refused("The text holds a control character")
            if one.kind == "symbol" and not one.text.isascii():
                raise Refused(f"The text holds a character that no statement has: U+{ord(one.text[0]):04X}")
            words.append(one)
    while words and words[-1].text == ";":
        words.pop()
    if any(one.text == ";" for one in words):
        raise Refused("Exactly one statement is taken, this text holds several")
    if not words:
        raise Refused("The text holds no statement")
    return words


def _harmless_hints(comment: str) -> str:
    calls = [found.group() for found in _HINT_CALL.finditer(comment) if found.group(1).lower() in _HINTS]
    return f"/*+ {' '.join(calls)} */" if calls else ""


def _verb(words: Sequence[Token]) -> int:
    """The place of the verb: the first word, or the first verb outside brackets behind WITH."""
    at = 0
    while at < len(words) and words[at].text == "(":
        at += 1
    if at >= len(words) or words[at].word != "with":
        return at
    depth = 0
    for place in range(at, len(words)):
        depth += (words[place].text == "(") - (words[place].text == ")")
        if depth == 0 and words[place].word in ("select", "update", "delete", "insert", "replace"):
            return place
    return len(words)


def _reading_part(verb: str, words: Sequence[Token]) -> Sequence[Token]:
    """What a write reads, as the words of a SELECT; empty where it reads nothing."""
    outside = _outside_brackets(words)
    end = next((at for at in outside if words[at].word == "returning"), len(words))
    start = 1
    while (start < end and words[start].word in _MODIFIERS) or (start < end and words[start].kind == "comment"):
        start += 1
    if verb in ("insert", "replace"):
        begins = next((at for at in outside if at > 1 and words[at].word in ("select", "with")), None)
        if begins is None:
            begins = next((at + 1 for at in outside if words[at].text == "(" and _is_query(words, at)), None)
            if begins is None:
                return ()
            begins -= 1
        stop = next(
            (at for at in outside if at > begins and words[at].word == "on" and _next(words, at) == "duplicate"), end
        )
        return words[begins:stop]
    if verb == "update":
        sets = next((at for at in outside if words[at].word == "set"), None)
        if sets is None:
            raise Refused("The UPDATE sets nothing")
        tail = next((at for at in outside if at > sets and words[at].word in ("where", "order", "limit")), end)
        return [*_SELECT, *words[start:sets], *words[tail:end]]
    using = next((at for at in outside if words[at].word == "using" and _next(words, at) != "("), None)
    tables = using if using is not None else next((at for at in outside if words[at].word == "from"), None)
    if tables is None:
        raise Refused("The DELETE names no table")
    return [*_SELECT, *words[tables + 1 : end]]


def _outside_brackets(words: Sequence[Token]) -> list[int]:
    """The places of the words that stand in no bracket; of a bracket, its beginning."""
    depth, found = 0, []
    for at, one in enumerate(words):
        depth -= one.text == ")"
        if depth == 0 and one.text != ")":
            found.append(at)
        depth += one.text == "("
    return found


def _is_query(words: Sequence[Token], at: int) -> bool:
    return _next(words, at) in ("select", "with", "(")


def _next(words: Sequence[Token], at: int) -> str:
    return words[at + 1].word if at + 1 < len(words) else ""


def _without_locks(words: Sequence[Token]) -> list[Token]:
    """The words without FOR UPDATE, FOR SHARE and LOCK IN SHARE MODE: a row that is read while planning is locked."""
    kept: list[Token] = []
    at = 0
    while at < len(words):
        word = words[at].word
        if word == "for" and _next(words, at) in ("update", "share"):
            at += 2
            if at < len(words) and words[at].word == "of":
                at += 2
                while at < len(words) and words[at].text in (",", "."):
                    at += 2
            while at < len(words) and (words[at].word in ("nowait", "skip", "locked", "wait")):
                at += 1 + (words[at].word == "wait")
            continue
        if word == "lock" and [one.word for one in words[at + 1 : at + 4]] == ["in", "share", "mode"]:
            at += 4
            continue
        kept.append(words[at])
        at += 1
    return kept


def refuse_effects(words: Sequence[Token]) -> None:
    for at, one in enumerate(words):
        word = one.word
        if word == "into":
            raise Refused("SELECT … INTO writes a file or a variable: it is not explained")
        if word == "procedure":
            raise Refused("PROCEDURE is not explained")
        if word == "value" and at and words[at - 1].word in ("next", "previous") and _next(words, at) == "for":
            raise Refused("The statement takes the next value of a sequence: planning it could")
        if _next_text(words, at) == "(" and one.name is not None:
            _refuse_call(words, at)


def _refuse_call(words: Sequence[Token], at: int) -> None:
    one = words[at]
    name = (one.name or "").lower()
    before = words[at - 1] if at else None
    if before is not None and before.text == ".":
        raise Refused(f"The statement calls the stored function {one.name}, which EXPLAIN could run")
    if name in EFFECTS:
        raise Refused(f"The statement calls {name.upper()}, which EXPLAIN could run")
    if one.kind == "name" and (name in PURE or name in BEFORE_BRACKETS):
        return
    if one.kind == "quoted" and name in PURE and name not in KEYWORDS and name not in OF_GRAMMAR:
        return  # a digest quotes them
    if (before is not None and before.text == ")") or (before is not None and before.word == "as"):
        return  # the columns of a derived table
    if before is not None and before.word in ("with", "recursive", ",") and _is_common(words, at):
        return
    raise Refused(f"The statement calls {one.name}, no function that MeshAG knows to be harmless: EXPLAIN could run it")


def _is_common(words: Sequence[Token], at: int) -> bool:
    """Whether `name (columns) AS (` begins here: a WITH query with names for its columns."""
    end = at + 1
    while end < len(words) and words[end].text != ")":
        end += 1
    columns = words[at + 2 : end : 2]
    named = all(each.name is not None for each in columns) and all(each.text == "," for each in words[at + 3 : end : 2])
    return named and _next(words, end) == "as" and _next_text(words, end + 1) == "("


def _next_text(words: Sequence[Token], at: int) -> str:
    return words[at + 1].text if at + 1 < len(words) else ""
