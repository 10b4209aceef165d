"""What our account may do, read from SHOW GRANTS: the one place that knows of roles as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from meshag_tui.engines.mysql.catalogue import Asked
from meshag_tui.engines.mysql.strict import Token, tokens, unquote


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights on a schema pattern and a table; "*" is all. `revoked` takes them away again (partial revokes)."""

    rights: frozenset[str]
    schema: str
    table: str
    revoked: bool = False

    def covers(self, schema: str, table: str) -> bool:
        return (self.schema == "*" or _pattern(self.schema).fullmatch(schema) is not None) and (
            self.table == "*" or self.table.lower() == table.lower()
        )


@dataclass(frozen=True, slots=True)
class Grants:
    """All grants of the account and of the roles that are active."""

    all: tuple[Grant, ...]

    def missing(self, wanted: tuple[str, ...], schema: str, table: str) -> tuple[str, ...]:
        """Those of the wanted rights that we do not have on a table."""
        have: set[str] = set()
        for grant in self.all:
            if grant.covers(schema, table) and not grant.revoked:
                have |= grant.rights
        if "ALL PRIVILEGES" in have:
            have |= set(wanted)
        for grant in self.all:
            if grant.covers(schema, table) and grant.revoked:
                have -= grant.rights
        return tuple(right for right in wanted if right not in have)

    def has_global(self, right: str) -> bool:
        rights = {each for grant in self.all if grant.schema == grant.table == "*" for each in grant.rights}
        return bool({right, "ALL PRIVILEGES"} & rights)


async def read(server: Asked) -> Grants:
    """The grants of this session's account. Needs no right."""
    rows = await server.fetch("SHOW GRANTS")
    return Grants(tuple(grant for row in rows if (grant := _grant(str(row[0]))) is not None))


def _grant(text: str) -> Grant | None:
    """One line of SHOW GRANTS; None for one that gives a role, or a right on something else than tables."""
    words = [token for token in tokens(text) if token.kind != "space"]
    verb = words[0].text.upper() if words else ""
    ends = [at for at, token in enumerate(words) if token.is_word("ON")]
    if verb not in ("GRANT", "REVOKE") or not ends:
        return None
    place = _place(words[ends[0] + 1 :])
    if place is None:
        return None
    return Grant(frozenset(_rights(words[1 : ends[0]])), *place, revoked=verb == "REVOKE")


def _rights(words: list[Token]) -> Iterator[str]:
    """The names between commas; one that is given for columns only counts as none."""
    name, depth, whole = list[str](), 0, True
    for token in (*words, Token("sign", ",")):
        depth += token.is_sign("(") - token.is_sign(")")
        if token.is_sign("("):
            whole = False
        elif depth == 0 and token.is_sign(","):
            if whole:
                yield " ".join(name).upper()
            name, whole = [], True
        elif depth == 0 and token.kind == "word":
            name.append(token.text)


def _place(words: list[Token]) -> tuple[str, str] | None:
    """schema.table, each a name or a star, as ON has it."""
    if len(words) < 3 or not words[1].is_sign("."):
        return None
    schema, table = (unquote(token.text) if token.kind == "name" else token.text for token in (words[0], words[2]))
    return schema, table


def _pattern(schema: str) -> re.Pattern[str]:
    """A schema of a grant may be a pattern: % and _ stand for signs, unless a backslash is before them."""
    parts = re.findall(r"\\.|.", schema, re.DOTALL)
    signs = {"%": ".*", "_": "."}
    return re.compile("".join(signs.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL | re.IGNORECASE)
