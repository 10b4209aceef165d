"""The shop: a database that looks like many, loaded in seconds, with problems planted and much that is healthy.

One room an engine: each has the tables and their data, `create_roles`, `load`, and `PLANTED`, the list of what an
advisor should find there.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = "shop"
MONITOR = "meshag_monitor"
OWNER = "shop_owner"
APP = "shop_app"
ROLES = (OWNER, MONITOR, APP)


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted problem: the rule that should name it, its table, and the index or columns it is about."""

    rule: str
    table: str
    about: str
    why: str
