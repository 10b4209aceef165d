"""Peewee without the drivers that this store does not use.

Peewee 4.5 imports every driver it finds when it is imported itself. Psycopg takes longer than Peewee, and an SQLite
store, the usual one, needs it only once a server is read: after the first data is on the screen. In: nothing. Out:
Peewee, whoever imports it first, without drivers until `hand_over_psycopg`.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_DRIVERS = frozenset({"psycopg", "psycopg2", "psycopg2cffi", "pymysql", "MySQLdb"})


class _NotNow:
    """Says in one thread that no driver is installed; what is imported in others, or was before, is not touched."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname in _DRIVERS and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is imported when it is used", name=fullname)


class _Alone:
    """Finds Peewee as Python does, and has it executed without drivers."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "peewee":
            return None
        spec = PathFinder.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            vars(spec.loader)["exec_module"] = functools.partial(_without_drivers, spec.loader.exec_module)
        return spec


def _without_drivers(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    not_now = _NotNow()
    # Another list each time: a thread that imports meanwhile goes through the old one, and must not miss a finder.
    sys.meta_path = [not_now, *sys.meta_path]
    try:
        execute(module)
    finally:
        sys.meta_path = [finder for finder in sys.meta_path if finder is not not_now]


def leave_out() -> None:
    """Have Peewee imported alone when somebody imports it; everybody gets the same module."""
    if not any(isinstance(finder, _Alone) for finder in sys.meta_path):
        sys.meta_path = [_Alone(), *sys.meta_path]


def hand_over_psycopg() -> None:
    """Give Peewee the names it would have taken from psycopg, for a store on PostgreSQL."""
    import peewee
    import psycopg
    from psycopg.pq import TransactionStatus
    from psycopg.types.json import Json, Jsonb

    vars(peewee).update(psycopg=psycopg, TransactionStatus=TransactionStatus, Json_pg3=Json, Jsonb_pg3=Jsonb)
    adapter = peewee.Psycopg3Adapter
    adapter.txn_idle = TransactionStatus.IDLE
    adapter.txn_inerror = TransactionStatus.INERROR
    adapter.txn_unknown = TransactionStatus.UNKNOWN
