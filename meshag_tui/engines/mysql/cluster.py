"""What a change means on a node of a Galera cluster: whom it stops, and whether the other nodes get it.

In: the server's values and a change. Out: a gate. Galera sets the session's writes in one order everywhere, but a
definition has no such order of its own: by TOI each node does nothing else while it is changed, by RSU the others never
hear of it. ANALYZE, which we keep out of the binary log, and settings are of one node whatever the method is.
"""

from __future__ import annotations

from collections.abc import Mapping

from meshag_tui.engines.base import Gate
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropStatistics,
    Rebuild,
    RestoreIndex,
    SetSetting,
)

_OFF = ("", "0", "OFF", "NO")
_NAME = "cluster"
_LIMIT = "one server"


def is_node(values: Mapping[str, str]) -> bool:
    """Whether this is a node of a cluster; `values` by name in lower case."""
    provider = values.get("wsrep_provider", "").lower()
    return values.get("wsrep_on", "").upper() not in _OFF and provider not in ("", "none")


def gate(values: Mapping[str, str], change: Change) -> Gate | None:
    """What a change does to the cluster; None where there is none."""
    if not is_node(values):
        return None
    method = values.get("wsrep_osu_method", "").upper() or "TOI"
    value = f"Galera, {method}"
    if isinstance(change, SetSetting):
        return Gate(_NAME, value, _LIMIT, "warn", "It is set on this node alone: the others keep theirs")
    if isinstance(change, Analyze | CreateStatistics | DropStatistics):
        return Gate(_NAME, value, _LIMIT, "warn", "It is done on this node alone: analyze the others too")
    if method != "TOI":
        detail = f"By {method} this node alone is changed, and what it sends to the others may not fit theirs"
        return Gate(_NAME, value, _LIMIT, "block", detail)
    if isinstance(change, CreateIndex | RestoreIndex | Rebuild):
        detail = "By TOI every node stands still for as long as it takes: do it node by node, with wsrep_OSU_method RSU"
        return Gate(_NAME, value, _LIMIT, "block", detail)
    detail = "By TOI every node stands still while it is done, and one that waits for a lock breaks who holds it"
    return Gate(_NAME, value, _LIMIT, "warn", detail)
