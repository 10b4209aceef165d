"""The changes that are more than an index made or dropped: how each is written, known again, and judged.

`render` writes it from the catalogue, `fits` says of parsed statements whether they are this change and no other, and
`state` asks the catalogue what came of it; `ran_at` is when the session began to run it, epoch s of the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui.engines.base import RenderedChange
from meshag_tui.engines.postgres import parse, planner_statistics, reworking, server_settings, storage
from meshag_tui.engines.postgres.catalogue import Reader, State
from meshag_tui.types import (
    Change,
    CreateStatistics,
    DropStatistics,
    Reindex,
    RenameIndex,
    RestoreStatistics,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
)


class Kind(NamedTuple):
    render: Callable[[Reader, Any], Awaitable[RenderedChange]]
    fits: Callable[[Any, Sequence[parse.Statement]], bool]
    state: Callable[[Reader, Any, RenderedChange, float | None], Awaitable[State]]


KINDS: Mapping[type[Change], Kind] = {
    RenameIndex: Kind(reworking.rename, reworking.renames, reworking.renamed),
    Reindex: Kind(reworking.reindex, reworking.reindexes, reworking.reindexed),
    SetTableOptions: Kind(storage.set_options, storage.sets_options, storage.has_options),
    SetStatisticsTarget: Kind(storage.set_target, storage.sets_target, storage.has_target),
    CreateStatistics: Kind(planner_statistics.create, planner_statistics.creates, planner_statistics.created),
    DropStatistics: Kind(planner_statistics.drop, planner_statistics.drops, planner_statistics.dropped),
    RestoreStatistics: Kind(planner_statistics.restore, planner_statistics.restores, planner_statistics.restored),
    SetSetting: Kind(server_settings.set_setting, server_settings.sets, server_settings.is_set),
}
