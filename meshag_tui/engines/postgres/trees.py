"""What a statement is about, read from the parser's document of it: just that, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.engines.parting import parted
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.lexer import tokens


def listed(node: Any) -> tuple[str, ...]:
    """The strings of a List node: the qualified name that a statement is about."""
    return parse.names(((node or {}).get("List") or {}).get("items", ()))


def relation(tree: Mapping[str, Any]) -> tuple[str, str]:
    """Schema and name of the relation that a statement is about, "" where it names none."""
    found = tree.get("relation") or {}
    return str(found.get("schemaname", "")), str(found.get("relname", ""))


def dropped(tree: Mapping[str, Any], kind: str) -> tuple[str, ...] | None:
    """The one object of this kind that a DROP is about; None for any other DROP, of more, or with CASCADE."""
    objects = tree.get("objects", ())
    if tree.get("removeType") != kind or tree.get("missing_ok") or len(objects) != 1:
        return None
    return None if tree.get("behavior") == "DROP_CASCADE" else listed(objects[0])


def analyzes(statement: parse.Statement, table: tuple[str, str], vacuum: bool = False) -> bool:
    """Whether it is ANALYZE, or VACUUM, of just this table."""
    tree = statement.tree
    options = {name for option in tree.get("options", ()) if (name := (option.get("DefElem") or {}).get("defname"))}
    relations = [one.get("VacuumRelation") or {} for one in tree.get("rels", ())]
    fits = statement.node == "VacuumStmt" and bool(tree.get("is_vacuumcmd")) == vacuum and options <= {"analyze"}
    return fits and [relation(one) for one in relations] == [table] and "va_cols" not in relations[0]


def constant(node: Any) -> str | None:
    """The text of a constant, or of a bare word where one may stand; None for anything else."""
    if not isinstance(node, dict) or len(node) != 1:
        return None
    kind, value = next(iter(node.items()))
    if kind == "Integer":
        return str(value.get("ival", 0))
    if kind == "Float":
        return str(value.get("fval", ""))
    if kind == "String":
        return str(value.get("sval", ""))
    found = parse.names(value.get("names", ())) if kind == "TypeName" else ()
    return found[0] if len(found) == 1 else None


def statements_in(text: str) -> tuple[str, ...]:
    """The statements of a text of ours."""
    return parted(token.text for token in tokens(text))
