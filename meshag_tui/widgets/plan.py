"""A plan as a tree: where its cost is, node by node, in a bar, a symbol and a figure.

It takes any tree of `TreeNode`; turning an engine's plan into one is the screen's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from meshag_tui.figures import bar, count, percent
from meshag_tui.glyphs import glyphs
from meshag_tui.text import one_line
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table

HOT, WARM = 0.5, 0.2
"""Exclusive shares of the plan's cost from which a node is marked as hot, or as warm."""


@dataclass(frozen=True)
class TreeNode:
    """One node. `share` is its own part of the whole cost (0..1, without its children), `rows` as it is to be read.

    `path` tells nodes apart ("0.1.0"); `detail` and `warnings` are shown below the tree by whoever shows it.
    """

    path: str
    label: str
    share: float | None
    rows: float | None
    detail: str = ""
    warnings: tuple[str, ...] = ()
    children: tuple[TreeNode, ...] = ()


@dataclass(frozen=True)
class PlanRow:
    """A node as a line: the branches before it, and whether its children are folded away."""

    node: TreeNode
    branches: str
    folded: bool

    @property
    def share(self) -> float | None:
        return self.node.share

    @property
    def name(self) -> str:
        drawn = glyphs()
        sign = "" if not self.node.children else (drawn.folded if self.folded else drawn.unfolded) + " "
        return f"{self.branches}{sign}{one_line(self.node.label)}"

    @property
    def rows(self) -> float | None:
        return self.node.rows

    @property
    def warnings(self) -> str:
        if not self.node.warnings:
            return ""
        more = f" (+{len(self.node.warnings) - 1})" if len(self.node.warnings) > 1 else ""
        return f"{glyphs().warning} {one_line(self.node.warnings[0])}{more}"


def heat(share: float | None) -> str:
    """The symbol of a share: hot, warm, or nothing."""
    if share is None or share < WARM:
        return " "
    return glyphs().critical if share >= HOT else glyphs().warning


def _heat_tone(share: float | None) -> Tone:
    return "" if share is None or share < WARM else "critical" if share >= HOT else "warning"


def _heat_bar(share: float | None, width: int) -> str:
    return f"{heat(share)} {bar(share, width - 8)}{percent(share):>6}"


COLUMNS: tuple[Column, ...] = (
    Column("share", "Own cost", 16, draw=_heat_bar, tone=_heat_tone, keep=90),
    Column("name", "Node", 24, flex=3, keep=100),
    Column("rows", "Rows", 8, align="right", render=count, keep=60),
    Column("warnings", "Findings", 20, flex=2, tone=lambda said: "warning" if said else "", keep=40),
)


def flatten(root: TreeNode, folded: frozenset[str] | set[str] = frozenset()) -> Iterator[PlanRow]:
    """The lines of a tree, parents before children; below a folded path nothing."""
    drawn = glyphs()
    stack = [(root, "", "")]
    while stack:  # a plan may be deeper than Python's stack
        node, branches, below = stack.pop()
        yield PlanRow(node, branches, node.path in folded)
        if node.path not in folded:
            for number, child in reversed(list(enumerate(node.children))):
                last = number == len(node.children) - 1
                branch = drawn.last_branch if last else drawn.branch
                stack.append((child, below + branch, below + ("  " if last else drawn.trunk)))


class PlanTree(Table):
    """A tree of costs. Left and right (h, l) fold and unfold, enter opens; the rows are `PlanRow`s."""

    opens = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "fold", "Fold", show=False, id="plan.fold"),
        Binding("right,l", "unfold", "Unfold", show=False, id="plan.unfold"),
    ]

    def __init__(self, *, empty: State | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(
            COLUMNS,
            key=lambda row: row.node.path,
            empty=empty or State(Condition.EMPTY, "no plan yet"),
            sorts=False,
            markable=False,
            id=id,
            classes=classes,
        )
        self.root: TreeNode | None = None
        self._folded_paths: set[str] = set()

    def set_tree(self, root: TreeNode | None, state: State = READY) -> None:
        """Show another plan, unfolded; the same plan again keeps what is folded."""
        if root != self.root:
            self._folded_paths.clear()
            self.root = root
        self._refill(state)

    def _refill(self, state: State | None = None) -> None:
        self.set_rows([] if self.root is None else list(flatten(self.root, self._folded_paths)), state or self.state)

    @property
    def node(self) -> TreeNode | None:
        """The node under the cursor."""
        row: Any = self.row
        return None if row is None else row.node

    def hottest(self) -> None:
        """Put the cursor on the node with the greatest share of its own."""
        if self.rows:
            self.move_to(max(self.rows, key=lambda row: row.node.share or 0).node.path)

    def action_fold(self) -> None:
        node = self.node
        if node is None:
            return
        if node.children and node.path not in self._folded_paths:
            self._moved = True
            self._folded_paths.add(node.path)
            self._refill()
        else:  # a leaf, or folded already: to the parent
            self._to_parent(node)

    def _to_parent(self, node: TreeNode) -> None:
        parent = next((row.node for row in self.rows if node in row.node.children), None)
        if parent is not None:
            self.move_to(parent.path)

    def action_unfold(self) -> None:
        node = self.node
        if node is not None and node.path in self._folded_paths:
            self._folded_paths.discard(node.path)
            self._refill()
        elif node is not None and node.children:
            self.action_move(1)

    def sort_by(self, key: str, descending: bool | None = None) -> None:
        """A tree has one order."""
