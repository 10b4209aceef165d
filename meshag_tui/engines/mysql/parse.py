"""What a MySQL or MariaDB text is: its kind, its relations, its identity, and the text without anybody's data in it.

In: any text a server, a user or a model gave, digests included. Out: values; nothing here talks to a server. All of it
rests on tokens, so it takes time in proportion to the text and cannot recurse; only `tree` asks a parser (sqlglot,
loaded on first use), and only for what is small and shallow enough for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql.keywords import KEYWORDS
from meshag_tui.engines.mysql.lexer import MORE_ROWS, Token, tokens, without_comments, words
from meshag_tui.engines.mysql.named import Relation, named
from meshag_tui.engines.mysql.shape import shape
from meshag_tui.types import Aside

SHOWN = 32 * 1024
"""Characters kept of a text too large to be read whole."""
MAX_CHARACTERS = 256 * 1024
MAX_TOKENS = 20_000
MAX_PARSED_TOKENS = 4_000  # sqlglot takes some 50 µs for each
MAX_DEPTH = 100
MAX_BARE_JOINS = 12  # sqlglot looks for the ON of each in twice as many ways as for the one before
MARKER = "/* meshag"
UNPARSABLE = "<unparsable>"
SYSTEM_SCHEMAS = frozenset(("information_schema", "performance_schema", "mysql", "sys"))

Kind = Literal["select", "insert", "update", "delete", "utility", "other"]
KINDS: Mapping[str, Kind] = {
    "select": "select",
    "with": "select",
    "values": "select",
    "table": "select",
    "insert": "insert",
    "replace": "insert",
    "update": "update",
    "delete": "delete",
}
_UTILITIES = frozenset(
    re.findall(
        r"\w+",
        """
        alter analyze begin binlog cache call change check checksum clone commit create deallocate declare
        describe desc do drop execute explain flush get grant handler help import install kill load lock
        open optimize prepare purge rename repair reset resignal restart revoke rollback savepoint set show
        shutdown signal start stop truncate uninstall unlock use xa backup
        """,
    )
)
_WORKING_UTILITIES = frozenset(("call", "do", "execute", "handler", "load"))
"""Utility statements that do a user's work and take its time: listed with the queries."""
_SENSITIVE = re.compile(r"\b(identified|\w*password|\w*secret|credential|user|server|role)\b", re.IGNORECASE)
_BEFORE_SECRETS = frozenset(("by", "as", "=", "to", "password", "with"))


@dataclass(frozen=True, slots=True)
class Description:
    """Everything a sync wants to know of a text: see `normalise`, `fingerprint`, `statement_kind`, `set_aside`."""

    text: str
    fingerprint: str | None
    kind: Kind
    aside: Aside | None
    cut: bool  # too large: `text` is its beginning


def describe(text: str) -> Description:
    """Normalise, identify and classify a text; never raises."""
    cut = is_too_large(text)
    part = text[:SHOWN] if cut else text
    return Description(normalise(text), fingerprint(text), statement_kind(part), set_aside(part), cut)


def is_too_large(text: str) -> bool:
    """Whether only the beginning of the text is looked at."""
    return len(text) > MAX_CHARACTERS


def statement_kind(text: str) -> Kind:
    """What the text does, by its first word; behind WITH by the first verb outside brackets."""
    depth, common = 0, False
    for one in tokens(text[:SHOWN]):
        if one.kind in ("space", "comment"):
            continue
        depth += (one.text == "(") - (one.text == ")")
        if one.kind != "name":
            if not common and one.text != "(":
                break
            continue
        if common:
            if depth == 0 and one.word in ("select", "update", "delete"):
                return KINDS[one.word]
        elif one.word == "with":
            common = True
        else:
            return KINDS.get(one.word, "utility")
    return "select" if common else "other"


def fingerprint(text: str) -> str | None:
    """16 hex digits equal for texts that differ only in literals, list lengths, comments, white space, case of words.

    A text and its digest have the same; names count as written, unless a digest would not keep their case. Of a text
    too large to be read the first 32 kB count. None: the text cannot be read.
    """
    part = text[:SHOWN] if is_too_large(text) else text
    if normalise(part) == UNPARSABLE:
        return None
    return hashlib.sha256("\x00".join(shape(words(part))).encode("utf-8", "replace")).hexdigest()[:16]


def normalise(text: str) -> str:
    """The text with every literal replaced by `?` and comments taken out; `<unparsable>` when it cannot be read.

    Optimizer hints (`/*+ … */`) stay; a digest stays as it is. A text too large is cut at 32 kB. No string, number or
    password survives, also of utility statements: CREATE USER … IDENTIFIED BY, SET PASSWORD, CHANGE MASTER.
    """
    cut = is_too_large(text)
    plain = without_comments(text[:SHOWN] if cut else text).strip().rstrip("; \t\r\n")
    parts = list(tokens(plain))
    first = next((one for one in parts if one.kind != "space" and one.text != "("), None)
    if first is None or (first.word not in KINDS and first.word not in _UTILITIES):
        return UNPARSABLE
    if "\x00" in plain:
        return UNPARSABLE
    masked = _masked(parts, secret=first.word in _UTILITIES and _SENSITIVE.search(plain) is not None)
    return masked + " …" if cut else masked


def set_aside(text: str) -> Aside | None:
    """Why a statement is of no interest among a user's queries: ours, over system tables only, or plain utility.

    Utilities that do a user's work (CALL, LOAD DATA, HANDLER, CREATE TABLE … SELECT) are not set aside. Ours are known
    by their marker, which a digest has not: there they are what they read, nearly all of it system tables.
    """
    if MARKER in text:
        return "own"
    kind = statement_kind(text)
    parts = words(text)
    if kind == "utility":
        first = next((one.word for one in parts if one.word), "")
        fills = first == "create" and any(one.word == "select" for one in parts)
        return None if first in _WORKING_UTILITIES or fills else "utility"
    if kind != "select":
        return None
    found = [one for one in named(parts) if not one.common]
    if found:
        return "catalogue" if all((one.schema or "").lower() in SYSTEM_SCHEMAS for one in found) else None
    asked = [one for one in parts if one.kind in ("name", "variable", "quoted")]
    asks = any(one.kind == "variable" and one.text.startswith("@@") for one in asked) or _asks_the_server(parts)
    return "catalogue" if asks else None


def relations(text: str) -> tuple[Relation, ...]:
    """The tables and views a text names, each once, in order; names of its own WITH queries left out."""
    found: dict[tuple[str | None, str], Relation] = {}
    for one in named(words(text)):
        if not one.common:
            found.setdefault((one.schema, one.name), Relation(one.schema, one.name))
    return tuple(found.values())


def tree(text: str) -> Any:
    """sqlglot's tree of a text without comments that holds exactly one statement.

    Raises:
        Refused: it is too large or too deep, no statement or several, or sqlglot cannot read it.
    """
    parts = words(text)
    if len(parts) > MAX_PARSED_TOKENS or _depth(parts) > MAX_DEPTH:
        raise Refused("The statement is too large, or nests too deeply, to be examined")
    if _bare_joins(parts) > MAX_BARE_JOINS:
        raise Refused(f"The statement has more than {MAX_BARE_JOINS} joins without ON, too many to be examined")
    import logging

    import sqlglot
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of JSON paths and the like
    try:
        found = sqlglot.parse(text, read="mysql")
    except SqlglotError:
        raise Refused("The statement cannot be read: MeshAG's parser does not know its syntax") from None
    except RecursionError:
        raise Refused("The statement nests too deeply to be examined") from None
    if len(found) != 1 or found[0] is None:
        raise Refused(f"Exactly one statement is taken, this text holds {len(found)}")
    statement: Any = found[0]
    return statement


# ---------------------------------------------------------------------------------------------- pieces


def _masked(parts: Sequence[Token], *, secret: bool) -> str:
    """The tokens as text with `?` for each literal, and for words where a statement about users may have a password."""
    kept: list[str] = []
    before = ""
    for one in parts:
        if one.kind in ("string", "number"):
            digit = one.kind == "number" and before in ("group", "order", "by")  # a digest keeps ORDER BY 1
            kept.append(one.text if digit else "?")
        elif one.kind == "comment" and one.text != MORE_ROWS and not one.text.startswith("/*+"):
            kept.append(" ")
        elif one.kind == "comment":
            kept.append(
                re.sub(r"'[^']*'|\"[^\"]*\"|\b\d+(?:\.\d+)?\b", "?", one.text) if "+" in one.text[:3] else one.text
            )
        elif one.kind == "variable" and one.text[-1:] in "'\"":
            kept.append(one.text[: 1 + one.text.startswith("@@")] + "?")
        elif secret and before in _BEFORE_SECRETS and one.kind == "name" and one.word not in KEYWORDS:
            kept.append("?")
        else:
            kept.append(one.text)
        if one.kind not in ("space", "comment"):
            before = one.word or one.kind
    return "".join(kept).strip()


def _asks_the_server(parts: Sequence[Token]) -> bool:
    """`SELECT version()`, `SELECT DATABASE()`: nothing but questions about the session, or the server's clock."""
    called = [one for at, one in enumerate(parts[:-1]) if parts[at + 1].text == "(" and one.name is not None]
    return bool(called) and all(
        (one.name or "").lower()
        in ("version", "database", "schema", "user", "current_user", "connection_id", "row_count", "unix_timestamp")
        for one in called
    )


def _depth(parts: Sequence[Token]) -> int:
    """How deep a parser would go: open brackets, CASEs, and runs of signs and NOTs."""
    deepest = depth = run = 0
    for one in parts:
        opens = one.text == "(" or one.word == "case"
        depth += opens - (one.text == ")" or one.word == "end")
        run = run + 1 if one.word in ("not", "-", "+", "~", "!", "interval", "binary") else 0
        deepest = max(deepest, depth + run)
    return deepest


def _bare_joins(parts: Sequence[Token]) -> int:
    """How many joins are followed by another one, or by nothing, before an ON or USING."""
    bare, waiting, before = 0, False, ""
    for one in parts:
        if one.word in ("join", "straight_join"):
            bare += waiting
            waiting = before not in ("cross", "natural")
        elif one.word in ("on", "using"):
            waiting = False
        before = one.word
    return bare + waiting


__all__ = [
    "Description",
    "Relation",
    "describe",
    "fingerprint",
    "named",
    "normalise",
    "relations",
    "set_aside",
    "tree",
]
