"""The last look before a statement that changes something is sent: is it of its change's class and on its object?

In: a change and a text. Out: nothing, or Refused. The text is parsed and must be exactly one statement; what it would
do is read from the parse tree. Together with a fresh rendering, which must give the same text, nothing else can be
sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import parse
from meshag_tui.types import Analyze, Change, CreateIndex, DropIndex, RestoreIndex, Vacuum

_MOST_STATEMENTS = 100  # of one index: its definition, comment, 32 statistics targets, mark of CLUSTER


def check(change: Change, sql: str) -> None:
    """Raises Refused unless `sql` is one statement of the change's class on the change's object."""
    if isinstance(change, RestoreIndex):
        if sql != ";\n".join(change.statements):
            raise Refused("The text is not the one of the change")
        check_restore(change)
        return
    found = parse.parse_one(sql)
    tree = found.tree
    if isinstance(change, CreateIndex):
        fits = found.node == "IndexStmt" and not tree.get("unique") and not tree.get("if_not_exists")
        fits = fits and bool(tree.get("concurrent")) and _relation(tree) == (change.spec.schema, change.spec.table)
    elif isinstance(change, DropIndex):
        fits = found.node == "DropStmt" and _dropped(tree) == (change.schema, change.name)
    elif isinstance(change, Analyze | Vacuum):
        options = {name for option in tree.get("options", ()) if (name := (option.get("DefElem") or {}).get("defname"))}
        fits = found.node == "VacuumStmt" and bool(tree.get("is_vacuumcmd")) == isinstance(change, Vacuum)
        fits = fits and options <= {"analyze"} and _vacuumed(tree) == [(change.schema, change.table)]
    if not fits:
        raise Refused(f"The text is not a statement of the kind {change.kind} on its object")


def check_restore(change: RestoreIndex) -> None:
    """Raises Refused unless the statements make this index, concurrently, and then only describe it."""
    if not 0 < len(change.statements) <= _MOST_STATEMENTS:
        raise Refused("There is nothing to restore the index from")
    for position, sql in enumerate(change.statements):
        found = parse.parse_one(sql)
        if position == 0:
            fits = found.node == "IndexStmt" and bool(found.tree.get("concurrent"))
            fits = fits and found.tree.get("idxname") == change.name and not found.tree.get("if_not_exists")
            fits = fits and _relation(found.tree) == (change.schema, change.table)
        else:
            fits = _describes(found, change)
        if not fits:
            raise Refused(f"Statement {position + 1} of the undo is not about the index {change.schema}.{change.name}")


def _describes(found: parse.Statement, change: RestoreIndex) -> bool:
    tree, index = found.tree, (change.schema, change.name)
    if found.node == "CommentStmt":
        return tree.get("objtype") == "OBJECT_INDEX" and _names(tree.get("object")) == index
    if found.node == "AlterObjectDependsStmt":
        return tree.get("objectType") == "OBJECT_INDEX" and _relation(tree) == index
    if found.node == "AlterTableStmt":
        commands = [command.get("AlterTableCmd") or {} for command in tree.get("cmds", ())]
        if len(commands) != 1:
            return False
        subtype = commands[0].get("subtype")
        if subtype == "AT_SetStatistics":
            return tree.get("objtype") == "OBJECT_INDEX" and _relation(tree) == index
        if subtype == "AT_ClusterOn":
            return _relation(tree) == (change.schema, change.table) and commands[0].get("name") == change.name
    return False


def _relation(tree: Mapping[str, Any]) -> tuple[str, str]:
    relation = tree.get("relation") or {}
    return str(relation.get("schemaname", "")), str(relation.get("relname", ""))


def _dropped(tree: Mapping[str, Any]) -> tuple[str, ...] | None:
    objects = tree.get("objects", ())
    if tree.get("removeType") != "OBJECT_INDEX" or not tree.get("concurrent") or tree.get("missing_ok"):
        return None
    return None if len(objects) != 1 or tree.get("behavior") == "DROP_CASCADE" else _names(objects[0])


def _vacuumed(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [_relation(one.get("VacuumRelation") or {}) for one in tree.get("rels", ())]


def _names(node: Any) -> tuple[str, ...]:
    return parse.names(((node or {}).get("List") or {}).get("items", ()))
