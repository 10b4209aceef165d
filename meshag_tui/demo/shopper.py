"""One session of the shop's programs, whatever the engine: a connection, some chance, and the words of its dialect."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol


@dataclass(frozen=True, slots=True)
class Dialect:
    """What engines say differently: the statements that cannot be the same text on all, and jobs only one can have.

    `pay` inserts a payment unless the order has one (order, reference, cents); `revenue` reports the last days (days),
    `little_memory` makes its sort spill; `office` are further jobs of the back office with their weights.
    """

    pay: LiteralString
    little_memory: LiteralString
    revenue: LiteralString
    office: tuple[tuple[Job, int], ...] = ()


class Shopper(ABC):
    """One session; `run` executes one statement and counts it."""

    dialect: Dialect

    def __init__(self, chance: random.Random, count: Callable[[], None]) -> None:
        self.chance, self._count = chance, count

    async def run(self, statement: LiteralString, *values: Any) -> Sequence[tuple[Any, ...]]:
        """The rows of one statement (none for a write); values stand for %s."""
        rows = await self._execute(statement, values)
        self._count()
        return rows

    async def insert(self, statement: LiteralString, *values: Any) -> int:
        """Insert one row into a table with a generated id; returns that id."""
        made = await self._insert(statement, values)
        self._count()
        return made

    def one_of(self, count: int) -> int:
        """An id; low ones are more popular."""
        return 1 + int(count * self.chance.random() ** 2)

    @property
    @abstractmethod
    def broken(self) -> bool:
        """Whether the connection is lost."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Statements inside are committed together."""

    @abstractmethod
    async def _execute(self, statement: LiteralString, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]: ...

    @abstractmethod
    async def _insert(self, statement: LiteralString, values: Sequence[Any]) -> int: ...


Job = Callable[[Shopper], Awaitable[None]]


class Sessions(Protocol):
    """Where the shop's programs get their sessions from."""

    @property
    def dialect(self) -> Dialect:
        """The engine's words."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the engine's driver raises."""

    def open(
        self, program: str, chance: random.Random, count: Callable[[], None]
    ) -> AbstractAsyncContextManager[Shopper]:
        """A session of `program`."""
