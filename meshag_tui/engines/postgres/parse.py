"""What a PostgreSQL text is: its kind, its relations, its identity, and the text without anybody's data in it.

In: any text a server, a user or a model gave. Out: values; nothing here talks to a server. What is too large for the
parser (see `libpg`) is read by its tokens only.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import libpg
from meshag_tui.engines.postgres.catalogue_names import is_catalogue
from meshag_tui.engines.postgres.lexer import Token, tokens, without_comments
from meshag_tui.types import Aside

SHOWN_BYTES = 32 * 1024  # of a text too large to parse, this much is kept
MARKER = "/* meshag"
UNPARSABLE = "<unparsable>"

Kind = Literal["select", "insert", "update", "delete", "utility", "other"]
_KINDS: Mapping[str, Kind] = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "other",
}
_KINDS_BY_WORD: Mapping[str, Kind] = {
    "select": "select",
    "with": "select",
    "values": "select",
    "table": "select",
    "insert": "insert",
    "update": "update",
    "delete": "delete",
    "merge": "other",
}
# Utility statements that do a user's work and take its time: listed with the queries.
_WORKING_UTILITIES = frozenset(
    ("CopyStmt", "CallStmt", "DoStmt", "RefreshMatViewStmt", "CreateTableAsStmt", "DeclareCursorStmt", "ExecuteStmt")
)
_SENSITIVE = re.compile(
    r"\b(password|connection|secret|token|credential|user\s+mapping|create\s+(server|role|user)|alter\s+(server|role|user))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view as a text names it."""

    schema: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Statement:
    """Exactly one statement. `node` is the parser's name of its kind, `tree` the parser's document of it."""

    text: str
    node: str
    kind: Kind
    tree: Mapping[str, Any]

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The tables and views it names, each once, in order; names of its own WITH queries left out."""
        return _named(self.text)[0]

    @property
    def parameters(self) -> tuple[int, ...]:
        """The numbers of its `$n`, sorted."""
        return tuple(sorted({int(node["number"]) for node in find(self.tree, "ParamRef") if node.get("number")}))

    @property
    def functions(self) -> tuple[tuple[str, ...], ...]:
        """Names of the functions it calls, each as its parts."""
        return _named(self.text)[1]


@dataclass(frozen=True, slots=True)
class Description:
    """Everything a sync wants to know of a text: see `normalise`, `fingerprint`, `statement_kind`, `set_aside`."""

    text: str
    fingerprint: str | None
    kind: Kind
    aside: Aside | None
    cut: bool  # too large: `text` is its beginning


def parse_one(text: str) -> Statement:
    """Read `text`, which must hold exactly one statement; comments are not looked at.

    Raises:
        Refused: a NUL, no statement, or several.
        libpg.TooLarge: beyond the limits of the parser.
        libpg.SyntaxProblem: not PostgreSQL, or of a newer version than the parser (18).
    """
    if "\x00" in text:
        raise Refused("The text holds a NUL character: PostgreSQL would read only what stands before it")
    statements = libpg.tree(text).get("stmts", [])
    if len(statements) != 1:
        raise Refused(f"Exactly one statement is taken, this text holds {len(statements)}")
    found = statements[0].get("stmt") or {}
    if len(found) != 1:
        raise Refused("The text holds no statement")
    node, tree = next(iter(found.items()))
    return Statement(text, node, _KINDS.get(node, "utility"), tree)


def describe(text: str) -> Description:
    """Normalise, identify and classify a text in one pass; never raises."""
    statement = _parsed(text)
    if statement is None:
        return Description(
            normalise(text), fingerprint(text), statement_kind(text), _own(text), libpg.is_too_large(text)
        )
    return Description(
        normalise(text), _fingerprint(text, statement), statement.kind, _set_aside(text, statement), False
    )


def statement_kind(text: str) -> Kind:
    """What the text does; by its first word where it cannot be parsed."""
    statement = _parsed(text)
    if statement is not None:
        return statement.kind
    for token in tokens(text[:SHOWN_BYTES]):
        if token.kind == "name":
            return _KINDS_BY_WORD.get(token.text.lower(), "utility")
        if token.kind not in ("space", "comment") and token.text != "(":
            break
    return "other"


def relations(text: str) -> tuple[Relation, ...]:
    """The tables and views a text names; empty where it cannot be parsed."""
    statement = _parsed(text)
    return () if statement is None else statement.relations


def fingerprint(text: str) -> str | None:
    """16 hex digits equal for texts that differ only in literals, list lengths, comments, white space, case of words.

    LIMIT and OFFSET values are literals. Schema and relation names count as written: libpg_query's own fingerprint
    takes `a.orders` and `b.orders`, or two names that differ in digits, for one. Of a text too large to parse the
    first 32 kB count. None: the text cannot be read.
    """
    return _fingerprint(text, _parsed(text))


def normalise(text: str) -> str:
    """The text with every literal replaced by a parameter and comments taken out; `<unparsable>` when unreadable.

    Hints (`/*+ … */`) stay. A text too large to parse is cut at 32 kB. No string literal of the input survives, also
    of utility statements: CREATE ROLE … PASSWORD, CREATE SUBSCRIPTION … CONNECTION, options of servers and mappings.
    """
    plain = libpg.printable(text)
    if libpg.is_too_large(plain):
        return _parameterised(tokens(plain[:SHOWN_BYTES]), everything=True) + " …"
    plain = without_comments(plain).strip()
    try:
        normal = libpg.normalized(plain)
    except (libpg.TooLarge, libpg.SyntaxProblem):
        return _normalise_unparsed(plain)
    normal = _without_setting(plain, normal)
    return _parameterised(tokens(normal), everything=False) if _LITERAL_LEFT.search(normal) else normal


def redact(text: str) -> str:
    """Free text (a server's message, a note) with passwords, keys, e-mail addresses and key values taken out.

    For statements use `normalise`; this is for what is not one.
    """
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def set_aside(text: str) -> Aside | None:
    """Why a statement is of no interest among a user's queries: ours, over catalogues only, or plain utility.

    Utilities that do a user's work (COPY, CALL, DO, REFRESH, CREATE TABLE AS, cursors) are not set aside.
    """
    statement = _parsed(text)
    return _own(text) if statement is None else _set_aside(text, statement)


def find(tree: Any, node: str) -> Iterator[Mapping[str, Any]]:
    """Every node of this name in a parser's document, outer before inner, in the order of the document."""
    for here in _documents(tree):
        inner = here.get(node)
        if isinstance(inner, dict):
            yield inner


def names(parts: Any) -> tuple[str, ...]:
    """The strings of a parser's list of String nodes: a qualified name."""
    return tuple(part["String"].get("sval", "") for part in parts if isinstance(part, dict) and "String" in part)


# ---------------------------------------------------------------------------------------------- pieces

_REDACTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+@"), r"\1***@"),
    (
        re.compile(
            r"\b((?:[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key))"
            r"[\"']?\s*(?:=|:|\s)\s*)(?!\$\d)('(?:[^']|'')*'|\"[^\"]*\"|[^\s,;)]+)",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"(\b(?:Key|Schlüssel|clé|llave)\s*\([^)]*\)\s*=\s*)\(.*?\)(?=\s|$)"), r"\1(…)"),
    (re.compile(r"(\bFailing row contains\s*)\(.*?\)(?=\.?\s|\.?$)", re.DOTALL), r"\1(…)"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), "***"),
    (re.compile(r"\b(?:sk|pk|ghp|gho|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{14,}"), "***"),
    (re.compile(r"\b(?:\d[ -]?){13,19}\b"), "***"),
)


def _documents(tree: Any) -> Iterator[Mapping[str, Any]]:
    # Leaves are most of a document: they are left out before they get onto the stack.
    stack: list[Any] = [tree]
    while stack:
        here = stack.pop()
        if type(here) is dict:
            yield here
            inner = here.values()
        else:
            inner = here
        stack += [each for each in reversed(inner) if type(each) is dict or type(each) is list]


_LITERAL_LEFT = re.compile(r"'|\$(?!\d)")


def _fingerprint(text: str, statement: Statement | None) -> str | None:
    plain = libpg.printable(text)
    if libpg.is_too_large(plain):
        return _digest("cut", *_shape(plain[:SHOWN_BYTES]))
    try:
        print_of_tree = libpg.fingerprint(plain)
    except (libpg.TooLarge, libpg.SyntaxProblem):
        return None if _normalise_unparsed(without_comments(plain)) == UNPARSABLE else _digest("words", *_shape(plain))
    if statement is None:  # read, but too deep for its document
        return print_of_tree
    named = sorted({f"{found.schema or ''}.{found.name}" for found in statement.relations})
    return _digest(print_of_tree, *named)


def _shape(text: str) -> Iterator[str]:
    """The words of a text with literals and lists of them made one."""
    previous = ""
    for token in tokens(text):
        if token.kind in ("space", "comment"):
            continue
        word = "?" if token.kind in ("string", "number", "parameter") else token.text
        if token.kind == "name":
            word = word.lower()
        if word == "?" and previous == "?,":
            previous = "?"
            continue
        if word == "," and previous == "?":
            previous = "?,"
            continue
        if previous == "?,":
            yield ","
        yield word
        previous = word


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _normalise_unparsed(text: str) -> str:
    """A text the parser refuses, its literals taken out by the lexer; `<unparsable>` where that cannot be trusted."""
    first = next((token for token in tokens(text) if token.kind not in ("space", "comment")), None)
    if first is None or first.kind != "name" or first.text.lower() not in _KINDS_BY_WORD or _SENSITIVE.search(text):
        return UNPARSABLE
    if re.search(r"\\'", text):  # with standard_conforming_strings off the literals would end elsewhere
        return UNPARSABLE
    return _parameterised(tokens(text), everything=True)


def _parameterised(parts: Iterator[Token], *, everything: bool) -> str:
    """The tokens as text, each string literal (with `everything` each number too) as the next free `$n`.

    Comments other than hints are left out.
    """
    kept = list(parts)
    following = 1 + max((int(token.text[1:]) for token in kept if token.kind == "parameter"), default=0)
    words = []
    for token in kept:
        if token.kind == "string" or (everything and token.kind == "number"):
            words.append(f"${following}")
            following += 1
        elif token.kind == "comment" and not token.text.startswith(("/*+", "/*, ")):
            words.append(" ")
        else:
            words.append(token.text)
    return "".join(words).strip()


def _without_setting(text: str, normal: str) -> str:
    """`SET app.key = value`: the value of a setting with a dotted name may be a bare word, and a secret."""
    found = re.match(r"\s*(set\s+(?:session\s+|local\s+)?[\w\"]+\.[\w\".]+\s*(?:=|\bto\b))", text, re.IGNORECASE)
    return f"{found.group(1)} $1" if found else normal


@functools.lru_cache(64)
def _named(text: str) -> tuple[tuple[Relation, ...], tuple[tuple[str, ...], ...]]:
    """The relations and the functions a text names, in one walk."""
    own: set[str] = set()
    seen: dict[Relation, None] = {}
    called = []
    for node in _documents(libpg.tree(text)):
        if "ctename" in node:
            own.add(node["ctename"])
        elif name := node.get("relname"):
            seen.setdefault(Relation(node.get("schemaname") or None, name))
        elif "funcname" in node:
            called.append(names(node["funcname"]))
    # Names of WITH queries stand for themselves everywhere: a table of the same name is missed, rarely.
    return tuple(found for found in seen if found.schema or found.name not in own), tuple(called)


def _set_aside(text: str, statement: Statement) -> Aside | None:
    if own := _own(text):
        return own
    if statement.kind == "utility":
        return None if statement.node in _WORKING_UTILITIES else "utility"
    if statement.kind != "select":
        return None
    found, called = statement.relations, statement.functions
    if found:
        return "catalogue" if all(_is_system(relation) for relation in found) else None
    return "catalogue" if called and all(_is_system_function(name) for name in called) else None


def _own(text: str) -> Aside | None:
    return "own" if MARKER in text else None


def _is_system(relation: Relation) -> bool:
    if relation.schema is None:
        return is_catalogue(relation.name)
    return relation.schema in ("pg_catalog", "information_schema", "pg_toast") or relation.name.startswith("pg_stat_")


def _is_system_function(name: tuple[str, ...]) -> bool:
    if len(name) > 1 and name[0] != "pg_catalog":
        return False
    bare = name[-1] if name else ""
    if bare.startswith("pg_sleep") or bare.startswith("pg_advisory") or bare.startswith("pg_try_advisory"):
        return False  # these take a user's time
    return bare.startswith("pg_") or bare in (
        *("version", "current_setting", "set_config", "current_database", "current_schema", "current_schemas"),
        *("inet_server_addr", "inet_server_port", "txid_current", "txid_current_snapshot"),
    )


def _parsed(text: str) -> Statement | None:
    try:
        return parse_one(text)
    except Refused:
        return None
