"""The last look before a statement that changes something is sent: is it of its change's class and on its object?

In: a change and a text. Out: nothing, or Refused. The text is parsed and must be exactly one statement; what it would
do is read from the parse tree. Together with a fresh rendering, which must give the same text, nothing else can be
sent.
"""

from __future__ import annotations

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import kinds, parse, trees
from meshag_tui.engines.postgres.lexer import tokens
from meshag_tui.types import Analyze, Change, CreateIndex, DropIndex, RestoreIndex, Vacuum

_MOST_STATEMENTS = 100  # of one index: its definition, comment, 32 statistics targets, mark of CLUSTER


def check(change: Change, sql: str) -> None:
    """Raises Refused unless `sql` is one statement of the change's class on the change's object."""
    if isinstance(change, RestoreIndex):
        if sql != ";\n".join(change.statements):
            raise Refused("The text is not the one of the change")
        check_restore(change)
        return
    kind = kinds.KINDS.get(type(change))
    if kind is not None:
        if not kind.fits(change, [_parsed(one) for one in trees.statements_in(sql)]):
            raise Refused(f"The text is not a statement of the kind {change.kind} on its object")
        return
    found = _parsed(sql)
    tree = found.tree
    fits = False
    if isinstance(change, CreateIndex):
        fits = found.node == "IndexStmt" and not tree.get("unique") and not tree.get("if_not_exists")
        fits = fits and bool(tree.get("concurrent")) and trees.relation(tree) == (change.spec.schema, change.spec.table)
    elif isinstance(change, DropIndex):
        fits = found.node == "DropStmt" and bool(tree.get("concurrent"))
        fits = fits and trees.dropped(tree, "OBJECT_INDEX") == (change.schema, change.name)
    elif isinstance(change, Analyze | Vacuum):
        fits = trees.analyzes(found, (change.schema, change.table), vacuum=isinstance(change, Vacuum))
    if not fits:
        raise Refused(f"The text is not a statement of the kind {change.kind} on its object")


def check_restore(change: RestoreIndex) -> None:
    """Raises Refused unless the statements make this index, concurrently, and then only describe it."""
    if not 0 < len(change.statements) <= _MOST_STATEMENTS:
        raise Refused("There is nothing to restore the index from")
    for position, sql in enumerate(change.statements):
        found = _parsed(sql)
        if position == 0:
            fits = found.node == "IndexStmt" and bool(found.tree.get("concurrent"))
            fits = fits and found.tree.get("idxname") == change.name and not found.tree.get("if_not_exists")
            fits = fits and trees.relation(found.tree) == (change.schema, change.table)
        else:
            fits = _describes(found, change)
        if not fits:
            raise Refused(f"Statement {position + 1} of the undo is not about the index {change.schema}.{change.name}")


def _describes(found: parse.Statement, change: RestoreIndex) -> bool:
    tree, index = found.tree, (change.schema, change.name)
    if found.node == "CommentStmt":
        return tree.get("objtype") == "OBJECT_INDEX" and trees.listed(tree.get("object")) == index
    if found.node == "AlterObjectDependsStmt":
        return tree.get("objectType") == "OBJECT_INDEX" and trees.relation(tree) == index
    if found.node == "AlterTableStmt":
        commands = [command.get("AlterTableCmd") or {} for command in tree.get("cmds", ())]
        if len(commands) != 1:
            return False
        subtype = commands[0].get("subtype")
        if subtype == "AT_SetStatistics":
            return tree.get("objtype") == "OBJECT_INDEX" and trees.relation(tree) == index
        if subtype == "AT_ClusterOn":
            return trees.relation(tree) == (change.schema, change.table) and commands[0].get("name") == change.name
    return False


def _parsed(sql: str) -> parse.Statement:
    """The one statement that a text is. What we write has no comment, so one that has is not ours."""
    if any(token.kind == "comment" for token in tokens(sql)):
        raise Refused("The text holds a comment: MeshAG writes none")
    return parse.parse_one(sql)
