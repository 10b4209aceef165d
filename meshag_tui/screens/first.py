"""What the first screen will ask the store, asked while Textual is still being loaded.

In: a workbench, in the thread that opened it. Out: nothing; `Store.read` hands the answers to whoever asks the same.
SQLite works without Python's lock, so that a second processor reads the statements while the first loads the screens.
A question that was guessed wrong costs its reading, and the screen asks its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.screens.presets import kept_from, kept_under
from meshag_tui.screens.scope import REMEMBERED, scope_from

if TYPE_CHECKING:
    from meshag_tui.workflows.workbench import Workbench


def ask(bench: Workbench) -> None:
    """Begin to read the scope, the connections, how the statements are listed, and the first page of them."""
    from meshag_tui.screens.question import USUAL_ORDER, Question, slow_ms
    from meshag_tui.store.connections import listing
    from meshag_tui.store.history import SORTS
    from meshag_tui.store.remembered import recall

    known, listed = bench.store.ahead(recall, REMEMBERED), bench.store.ahead(listing)
    arranged = bench.store.ahead(recall, kept_under("queries", bench.actor))
    connections = listed.result()
    scope = scope_from(known.result()).on_one_of(connections)
    info = next((info for info in connections if info.id == scope.connection_id), None)
    if info is None or info.last_sync_at is None:
        return
    now = kept_from(arranged.result(), SORTS).now
    sort, descending = (now.sort, now.descending) if now is not None and now.sort else USUAL_ORDER
    asked = Question(
        info.id,
        scope.window(info.last_sync_at),
        sort,
        descending,
        "",
        frozenset(),
        slow_ms(info, bench.settings),
        info.slow_by_longest,
    )
    bench.store.ahead(Question.page, asked, 0)
