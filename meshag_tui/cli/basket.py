"""`meshag apply` of several suggestions: shown together, agreed to together, run one after the other."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.cli import advice
from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    from meshag_tui.changes.basket import Basket, Wanted
    from meshag_tui.workflows.baskets import Ran
    from meshag_tui.workflows.workbench import Workbench


async def apply(args: argparse.Namespace, output: Output) -> None:
    """Show, ask, run; `--yes` as for one. The first that fails ends it, and what is behind it is not begun."""
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        ids = args.ids or await _left(bench, args.rest)
        basket = await bench.hands.review_basket(ids)
        for line in _lines(basket):
            output.line(line)
        if args.dry_run:
            if output.as_json:
                output.document(_document(basket))
            return
        accept = advice.ask(basket, output, args)

        def tell(number: int, one: Wanted) -> None:
            output.note(f"meshag: {number} of {len(basket.items)}: {one.title}")

        work = bench.hands.apply_basket(basket.plan_hash, tell=tell, accept=accept)
        ran = await advice.carried_out(bench, output, work)
        done = [f"Done ({row.id}): {row.sql}" for row in ran.done]
        output.answer(_ran(ran), lambda: done or ["Nothing was done"])
        if ran.failed is not None:
            behind = f"; not begun: {', '.join(ran.not_begun)}" if ran.not_begun else ""
            raise MeshagError(f"{ran.failed} ended it: {ran.error}{behind}")


async def _left(bench: Workbench, name: str) -> list[str]:
    from meshag_tui.store import connections

    info = await bench.store(connections.find, name)
    left = await bench.hands.left_of_basket(info.id, asked=True)
    if left is None:
        raise MeshagError(
            f"No run of several on {info.name} left anything: meshag suggestions {info.name} lists advice"
        )
    return [each.suggestion_id for each in left.items]


def _lines(basket: Basket) -> Iterator[str]:
    yield f"on     {basket.target_label}"
    for gate in basket.together:
        yield advice.gate_line(gate)
    for number, item in enumerate(basket.items, 1):
        yield f"{number}. {item.wanted.title} ({item.wanted.suggestion_id})"
        yield from advice.statement_lines(item.review)


def _document(basket: Basket) -> dict[str, Any]:
    return {
        "connection_id": basket.items[0].review.connection_id,
        "target": basket.target_label,
        "steps": [
            {
                "suggestion_id": item.wanted.suggestion_id,
                "title": item.wanted.title,
                **advice.review_document(item.review),
            }
            for item in basket.items
        ],
        "together": basket.together,
        "blocked": bool(basket.blocked_by),
        "plan_hash": basket.plan_hash,
        "needs_name": basket.needs_name,
    }


def _ran(ran: Ran) -> dict[str, Any]:
    return {
        "done": [advice.change_document(row) for row in ran.done],
        "failed": ran.failed,
        "error": ran.error,
        "not_begun": ran.not_begun,
    }
