"""The changes that are more than an index made, dropped or hidden: how each is written, known again, and judged.

`render` writes it from the catalogue, `fits` says of a text whether it is this change and no other (or raises Refused),
and `state` asks the catalogue what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from meshag_tui.engines.base import RenderedChange
from meshag_tui.engines.mysql import server_settings, upkeep
from meshag_tui.engines.mysql.catalogue import Asked, State
from meshag_tui.types import Change, CreateStatistics, DropStatistics, RenameIndex, SetSetting, SetTableOptions


class Kind(NamedTuple):
    render: Callable[[Asked, Any], Awaitable[RenderedChange]]
    fits: Callable[[Any, str], bool]
    state: Callable[[Asked, Any, RenderedChange], Awaitable[State]]


KINDS: Mapping[type[Change], Kind] = {
    RenameIndex: Kind(upkeep.rename, upkeep.renames, upkeep.renamed),
    SetTableOptions: Kind(upkeep.set_options, upkeep.sets_options, upkeep.has_options),
    CreateStatistics: Kind(upkeep.create_histogram, upkeep.creates_histogram, upkeep.has_histogram),
    DropStatistics: Kind(upkeep.drop_histogram, upkeep.drops_histogram, upkeep.has_no_histogram),
    SetSetting: Kind(server_settings.set_setting, server_settings.sets, server_settings.is_set),
}
