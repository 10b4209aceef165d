"""Costs of a workload under sets of indexes, each asked for once and reused wherever the answer must be the same.

Sets of indexes are bits of a number, so that the search can compare thousands of them. If the planner, given a set C,
chose a plan that uses only U of it, then its answer is the same for every set between U and C: nothing it could have
chosen has gone, and nothing new has come. Only indexes that a statement could use count for it at all.
"""

from __future__ import annotations

import bisect
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from meshag_tui.advisor.candidates import Candidate, relations_of
from meshag_tui.advisor.indexes import covered_by_spec
from meshag_tui.advisor.pricing import Pricer, Statement
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.advisor.wanted import needed
from meshag_tui.engines.base import EngineError
from meshag_tui.plan import Plan
from meshag_tui.types import EvidenceKind, IndexColumn, IndexSpec

SLOWER = 1.1
"""Times its cost without new indexes: a statement that takes more is slowed by them."""
DREADED = 10.0
"""How often what it is slowed by counts."""
BLOCK = 8192
"""Bytes of a page, near enough for a comparison."""


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _chosen_by(answer: Answer) -> float:
    return answer.chosen_by


@dataclass(frozen=True, slots=True)
class Answer:
    """A cost that was asked for: with which indexes, which of them the plan used, and what the plan was chosen by."""

    given: int
    used: int
    cost: float
    evidence: EvidenceKind
    chosen_by: float
    times: float | None = None  # what the statement takes today, where that is known otherwise than by the cost


@dataclass(frozen=True, slots=True)
class Look:
    """How many times as long as today a statement takes with one set of its values, `given` these indexes.

    `places`: of each that it used, those that it would read likewise.
    """

    given: int
    used: int
    times: float
    places: tuple[int, ...] = ()


def _columns(spec: IndexSpec) -> Set[str]:
    return {key.name for key in spec.columns} | set(spec.include)


class _Catalogue:
    """Indexes by number, and which could take another's place: keys that begin the same, and all its columns."""

    def __init__(self) -> None:
        self._alike: dict[Hashable, list[tuple[int, IndexSpec]]] = {}  # those that begin with the same key
        self._sizes: list[int] = []
        self._stands_for: list[int] = []
        self._longer: list[int] = []  # of each, those that could take its place
        self.specs: list[IndexSpec] = []
        self._with: dict[int, int] = {}

    def add(self, spec: IndexSpec, size: int) -> None:
        bit, mine, longer = len(self._sizes), 0, 0
        alike = self._alike.setdefault((spec.schema, spec.table, spec.where, spec.columns[0]), [])
        for other, known in alike:
            if covered_by_spec(known, spec):
                mine |= 1 << other
                self._longer[other] |= 1 << bit
            elif covered_by_spec(spec, known):
                self._stands_for[other] |= 1 << bit
                longer |= 1 << other
        alike.append((bit, spec))
        self._sizes.append(size)
        self.specs.append(spec)
        self._stands_for.append(mine)
        self._longer.append(longer)
        self._with.clear()

    def with_stood_for(self, mask: int) -> int:
        """The set with every index whose work one of it could do."""
        known = self._with.get(mask)
        if known is not None:
            return known
        found, left = mask, mask
        while left:
            found |= self._stands_for[(left & -left).bit_length() - 1]
            left &= left - 1
        self._with[mask] = found
        return found

    def read_likewise(self, bit: int, needed: Set[str]) -> int:
        """Those that begin with the same key and have the columns of it that are needed, itself among them."""
        spec = self.specs[bit]
        wanted, mask = _columns(spec) & needed, 0
        for other, known in self._alike[spec.schema, spec.table, spec.where, spec.columns[0]]:
            if wanted <= _columns(known):
                mask |= 1 << other
        return mask

    def longer_by(self, bit: int, mask: int) -> int:
        """Bytes by which the smallest one that takes its place is larger."""
        sizes = (self._sizes[other] for other in _bits(mask & self._longer[bit]))
        return max(0, min(sizes, default=0) - self._sizes[bit])


class Known:
    """One statement, and what is known of its cost. `base` is its cost with no new index."""

    def __init__(self, statement: Statement, number: int, catalogue: _Catalogue) -> None:
        self.number = number
        self._catalogue = catalogue
        self.statement = statement
        self.relevant = 0
        self.left = 0
        self.base = 0.0
        self.answers: list[Answer] = []  # what the planner would choose first
        self.failed = False
        self.guessed = False  # how many rows its calls read nobody shows, see `Statement.guessed_range`
        self.plan: Plan | None = None  # the last one asked for
        self.looks: dict[tuple[str, ...], list[Look]] = {}  # by values, see `harmless`
        self._same: dict[int, Answer] = {}
        self._best: dict[int, Answer | None] = {}
        self._felt: dict[int, float] = {}
        self.leads: set[tuple[Relation, IndexColumn]] = set()  # what keys of an index it could use begin with
        self.wheres: set[tuple[Relation, str]] = set()
        self.needs: list[tuple[Relation, frozenset[str]]] = []  # columns: an index that has all may be read whole
        self.could_use(spec for candidate in statement.candidates for spec in candidate.specs)

    def could_use(self, specs: Iterable[IndexSpec]) -> None:
        """Indexes that begin as these do count for the statement from now on."""
        for spec in specs:
            home = (spec.schema, spec.table)
            self.leads.add((home, spec.columns[0]))
            if spec.where is not None:
                self.wheres.add((home, spec.where))

    def note(self, answer: Answer) -> None:
        bisect.insort(self.answers, answer, key=_chosen_by)
        self._same[answer.given] = answer
        self._best.clear()
        self._felt.clear()

    def leave(self, mask: int) -> None:
        """Think of these indexes no more for this statement, and forget plans with them."""
        self.left |= mask
        self.relevant &= ~mask
        self.answers = [one for one in self.answers if not one.used & mask]
        self._same.clear()
        self._best.clear()
        self._felt.clear()

    def find(self, mask: int) -> Answer | None:
        """The exact answer for a set, where an earlier one says it."""
        mask &= self.relevant
        found = self._same.get(mask)
        if found is None:
            for one in self.answers:
                if one.used & ~mask == 0 and mask & ~one.given == 0:
                    self._same[mask] = found = one
                    break
        return found

    def best(self, mask: int) -> Answer | None:
        """The best plan known whose indexes are there, or longer ones in their place.

        Also where the server has answered for this very set: it chose by sizes the indexes will not have, and takes
        what it has shown elsewhere where that is cheaper by those they will have.
        """
        mask &= self.relevant
        if mask in self._best:
            return self._best[mask]
        found = self._same.get(mask)
        there = self._catalogue.with_stood_for(mask) if found is None else mask
        for one in self.answers:
            if found is not None and one.chosen_by >= found.chosen_by:
                break
            if not one.used & ~there:
                missing = one.used & ~mask
                found = self._replaced(one, missing, mask) if missing else one
        self._best[mask] = found
        return found

    def _replaced(self, answer: Answer, missing: int, mask: int) -> Answer:
        """The answer with longer indexes in the place of some: the more of them a plan reads, the more that costs."""
        pages = sum(self._catalogue.longer_by(bit, mask) for bit in _bits(missing)) / BLOCK
        more = pages * (min(1.0, answer.cost / self.base) if self.base > 0 else 1.0)
        cost, chosen_by = answer.cost + more, answer.chosen_by + more  # not `replace`: it is asked for very often
        return Answer(answer.given, answer.used, cost, answer.evidence, chosen_by, answer.times)

    def upper(self, mask: int) -> float:
        """What the true cost is hardly higher than."""
        best = self.best(mask)
        return 0.0 if best is None else best.cost

    def felt(self, mask: int) -> float:
        """The same, and more than that where the statement gets slower: what is new must not harm what is there."""
        mask &= self.relevant | self.left
        found = self._felt.get(mask)
        if found is None:
            best, cost = self.best(mask), self.upper(mask)
            taken = max(cost, self.base * (best.times or 0.0)) if best is not None else cost
            slower = max(0.0, taken - SLOWER * self.base, self.base * self._harm(self.statement.plan.parameters, mask))
            slower += self.base * sum(
                self._harm(values, mask) for values in self.looks if values != self.statement.plan.parameters
            )
            found = self._felt[mask] = cost + slower * DREADED
        return found

    def look(self, values: tuple[str, ...], look: Look) -> None:
        """Note how the statement fares with values of its own."""
        places = []
        for bit in _bits(look.used):
            spec = self._catalogue.specs[bit]
            needed = [columns for home, columns in self.needs if home == (spec.schema, spec.table)]
            places.append(self._catalogue.read_likewise(bit, frozenset().union(*needed) if needed else _columns(spec)))
        self.looks.setdefault(values, []).append(replace(look, places=tuple(places)))
        self._felt.clear()

    def looked(self, values: tuple[str, ...], mask: int) -> Look | None:
        """What an earlier look says of this set for certain."""
        mask &= self.relevant | self.left
        alike = (one for one in self.looks.get(values, ()) if not one.used & ~mask and not mask & ~one.given)
        return next(alike, None)

    def harmed(self, mask: int) -> bool:
        """Whether it is slowed by this set, with any of its values, as far as looks say."""
        best = self.best(mask)
        slowed = best is not None and bool(best.used) and (best.times or 0.0) > SLOWER
        return not self.failed and (slowed or any(self._harm(values, mask) > 0 for values in self.looks))

    def _harm(self, values: tuple[str, ...], mask: int) -> float:
        """How much of today's time more than is borne it takes with these values, where what was seen to slow it, or
        something in its place, is there."""
        looks = self.looks.get(values, ())
        if all(one.times <= SLOWER for one in looks):
            return 0.0
        found = self.looked(values, mask)
        if found is not None:
            return max(0.0, found.times - SLOWER)
        there = (one.times for one in looks if all(place & mask for place in one.places))
        return max(0.0, max(there, default=0.0) - SLOWER)

    def lower(self, mask: int) -> float:
        """What the true cost cannot be below: the cost with all of these indexes and more."""
        mask &= self.relevant
        return max((one.chosen_by for one in self.answers if mask & ~one.given == 0), default=0.0)


class Configurations:
    """All statements of a search, the indexes it knows, and the prices of both together."""

    def __init__(self, statements: Sequence[Statement], pricer: Pricer, tables: Tables) -> None:
        self.pricer = pricer
        self.tables = tables
        self.specs: list[IndexSpec] = []
        self._bits: dict[IndexSpec, int] = {}
        self._sizes: list[int] = []
        self._together: dict[int, int] = {}  # bytes of sets
        self._reading: list[int] = []  # of each index, the statements that could use it, as bits
        self._lists: dict[int, list[Known]] = {}
        self._catalogue = _Catalogue()
        self.known = [Known(one, number, self._catalogue) for number, one in enumerate(statements)]
        for known in self.known:
            plan = known.statement.plan
            known.guessed = known.statement.guessed_range(tables) is not None
            for relation, alias in relations_of(plan, known.statement.predicates):
                if columns := needed(plan, alias):
                    known.needs.append((tables.home(*relation), columns))
        self.notes: list[str] = []

    def bit(self, spec: IndexSpec) -> int:
        """The number of an index, given to it when it is first named; every statement that could use it is told."""
        found = self._bits.get(spec)
        if found is None:
            found = self._bits[spec] = len(self.specs)
            self.specs.append(spec)
            self._sizes.append(self.pricer.size(spec))
            self._reading.append(0)
            self._catalogue.add(spec, self._sizes[found])
            for one in self.known:
                if self._could_use(one, spec):
                    self._relate(one, found)
        return found

    def mask(self, specs: Iterable[IndexSpec]) -> int:
        result = 0
        for spec in specs:
            result |= 1 << self.bit(spec)
        return result

    def of(self, mask: int) -> Iterator[int]:
        """The numbers in a set, ascending."""
        return _bits(mask)

    def specs_of(self, mask: int) -> frozenset[IndexSpec]:
        return frozenset(self.specs[bit] for bit in self.of(mask))

    def size(self, mask: int) -> int:
        """Bytes of the indexes in a set."""
        found = self._together.get(mask)
        if found is None:
            found = self._together[mask] = sum(self._sizes[bit] for bit in _bits(mask))
        return found

    def readers(self, mask: int) -> list[Known]:
        """Statements that could use any of these."""
        numbers = 0
        while mask:
            low = mask & -mask
            numbers |= self._reading[low.bit_length() - 1]
            mask ^= low
        found = self._lists.get(numbers)
        if found is None:
            found = self._lists[numbers] = [self.known[number] for number in self.of(numbers)]
        return found

    def offer(self, known: Known, candidates: Iterable[Candidate]) -> int:
        """Make these candidates known as what one statement could use."""
        specs = [spec for candidate in candidates for spec in candidate.specs]
        known.could_use(specs)
        for bit, spec in enumerate(self.specs):
            if self._could_use(known, spec):
                self._relate(known, bit)
        return self.mask(specs)

    async def exact(self, known: Known, mask: int) -> Answer:
        """The statement's cost with these indexes; the server is asked only when no earlier answer says it.

        Raises:
            OutOfBudget: no call is left.
            EngineError: the server failed; nothing more is asked of this statement.
        """
        mask &= known.relevant
        found = known.find(mask)
        if found is None:
            try:
                price = await self.pricer.price(known.statement, self.specs_of(mask))
            except EngineError as error:
                known.failed = True
                self.notes.append(f"{known.statement.query.uid} could not be priced: {error}")
                raise
            known.plan = price.plan
            used = mask if price.used is None else self.mask(price.used) & mask
            chosen_by = price.cost if price.chosen_by is None else price.chosen_by
            found = Answer(mask, used, price.cost, price.evidence, chosen_by, price.times)
            known.note(found)
        return found

    async def ask(self, known: Known, mask: int) -> Answer | None:
        """The same; None where the server fails."""
        if known.failed:
            return None
        try:
            return await self.exact(known, mask)
        except EngineError:
            return None

    def _relate(self, known: Known, bit: int) -> None:
        if not known.relevant >> bit & 1:
            known.relevant |= 1 << bit
            self._reading[bit] |= 1 << known.number

    def _could_use(self, known: Known, spec: IndexSpec) -> bool:
        """Whether a plan of the statement could use it: by something the keys begin with, or in its table's place."""
        home = (spec.schema, spec.table)
        if (home, spec.columns[0]) in known.leads or (spec.where is not None and (home, spec.where) in known.wheres):
            return True
        held = {key.name for key in spec.columns} | set(spec.include)
        return spec.method == "btree" and any(home == one and columns <= held for one, columns in known.needs)
