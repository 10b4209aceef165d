"""Sessions as rows and words: the list, who blocks whom, one in full, the vital figures.

In: a reading of now (`live.LiveReading`) or what was kept of a moment (`store.sampled.Span`). Out: rows, columns, text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from meshag_tui.engines.words import Words
from meshag_tui.figures import count, duration, exact, number_of, percent
from meshag_tui.glyphs import glyphs
from meshag_tui.live import VITALS, WAIT_WORDS, LiveReading, LiveSession, Vital
from meshag_tui.store.sampled import SeenSession, Span
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.page import Piece

SHOWN: Mapping[str, str] = {
    "busy": "at work, or in a transaction",
    "active": "at work only",
    "blocked": "blocked, and who blocks them",
    "transactions": "in a transaction",
    "all": "all, idle ones too",
}
_LONG_MS = 60_000.0
"""A transaction that does nothing for so long is worth a warning."""


@dataclass(frozen=True)
class Row:
    """A session now, or as it was seen (`seen` of `samples`). `ms` is how long its statement has run or, idle in a
    transaction, its transaction."""

    id: int
    began: str
    state: str
    wait: str | None
    event: str
    ms: float | None
    transaction_ms: float | None
    user: str
    database: str
    client: str
    application: str
    kind: str
    text: str | None
    fingerprint: str | None
    blocked_by: tuple[int, ...]
    blocks: int  # sessions that wait for it, through others too
    live: LiveSession | None = None
    seen: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        return (self.id, self.began) if self.live is not None else (self.id, self.fingerprint, self.event, self.state)

    @property
    def words(self) -> str:
        """What the filter looks at."""
        parts = (str(self.id), self.shown_state, self.event, self.user, self.database, self.client, self.application)
        return " ".join((*parts, self.text or ""))

    @property
    def shown_state(self) -> str:
        drawn = glyphs()
        if self.blocked_by:
            return f"{drawn.bad} blocked"
        if self.blocks:
            return f"{drawn.warning} blocking"
        if self.state == "idle in transaction":
            return f"{drawn.warning if (self.ms or 0) >= _LONG_MS else drawn.none} idle in trx"
        return f"{drawn.cursor if self.state == 'active' else drawn.none} {self.state}"

    @property
    def rank(self) -> tuple[float, ...]:
        """Those that matter first: who blocks, who is blocked, who works, who sits in a transaction."""
        order = {"active": 2, "idle in transaction": 3, "unknown": 4}
        place = 0 if self.blocks and not self.blocked_by else 1 if self.blocked_by else order.get(self.state, 5)
        return place, -self.blocks, -(self.ms or 0.0)

    @property
    def waits_for(self) -> str:
        if self.wait is None:
            return self.state if self.blocks else ""  # what it blocks others with
        name = WAIT_WORDS.get(self.wait, self.wait)
        blockers = f" {glyphs().arrow} {', '.join(map(str, self.blocked_by))}" if self.blocked_by else ""
        event = "" if self.wait == "cpu" and not self.event else f" {self.event.partition(': ')[2] or self.event}"
        return f"{name}{blockers}{event}"

    def is_shown(self, wanted: str) -> bool:
        return {
            "all": True,
            "active": self.state == "active",
            "blocked": bool(self.blocked_by or self.blocks),
            "transactions": self.transaction_ms is not None or self.state == "idle in transaction",
        }.get(wanted, self.state != "idle" or bool(self.blocks))


def _who(row: Row) -> str:
    return f"{row.user}@{row.database}" if row.database else row.user


def _from(row: Row) -> str:
    return " ".join(filter(None, (row.application, row.client))) or row.kind


_TONES: dict[str, Tone] = {"blocked": "critical", "blocking": "warning", "idle": "dim", "active": "accent"}

COLUMNS = (
    Column("id", "Session", 8, align="right", render=str, keep=80),
    Column(
        "state",
        "State",
        13,
        value=lambda row: row,
        render=lambda row: row.shown_state,
        sort_key=lambda row: row.rank,
        tone=lambda row: _TONES.get(row.shown_state[2:], ""),
        keep=95,
    ),
    Column("ms", "For", 7, align="right", render=duration, descending=True, keep=90),
    Column("wait", "Waits for", 14, flex=2, value=lambda row: row.waits_for, keep=85),
    Column("who", "Who", 10, flex=1, value=_who, keep=60),
    Column("from", "From", 10, flex=1, value=_from, keep=50),
    Column("blocks", "Blocks", 6, align="right", render=lambda n: str(n) if n else "", descending=True, keep=40),
    Column(
        "trx", "Trx", 7, align="right", value=lambda row: row.transaction_ms, render=duration, descending=True, keep=45
    ),
    Column("text", "Query", 20, flex=6, value=lambda row: row.text or _nothing(row), prose=True, keep=100),
)


def blocked_through(blockers: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """How many sessions wait for each, through others too. A ring of sessions counts each other, not itself."""
    waiting: dict[int, list[int]] = {}
    for one, others in blockers.items():
        for other in others:
            waiting.setdefault(other, []).append(one)
    found = {}
    for start in waiting:
        reached, todo = set[int](), [start]
        while todo:
            for one in waiting.get(todo.pop(), ()):
                if one not in reached and one != start:
                    reached.add(one)
                    todo.append(one)
        found[start] = len(reached)
    return found


def rows_of(reading: LiveReading) -> list[Row]:
    """The sessions of now."""
    blocks = blocked_through({each.id: each.blocked_by for each in reading.sessions if each.blocked_by})
    return [
        Row(
            each.id,
            each.began,
            each.state,
            each.wait,
            each.event,
            each.statement_ms if each.state == "active" else each.transaction_ms,
            each.transaction_ms,
            each.user,
            each.database,
            each.client,
            each.application,
            each.kind,
            each.text,
            each.fingerprint,
            each.blocked_by,
            blocks.get(each.id, 0),
            live=each,
        )
        for each in reading.sessions
    ]


def rows_then(span: Span) -> list[Row]:
    """The sessions that were kept of a moment; one that did several things is there several times."""
    pairs: dict[int, list[int]] = {}
    for each in span.sessions:
        pairs.setdefault(each.id, []).extend(each.blocked_by)
    blocks = blocked_through(pairs)
    return [_then(each, blocks.get(each.id, 0)) for each in span.sessions]


def _then(seen: SeenSession, blocks: int) -> Row:
    transaction_ms = seen.ms if seen.state == "idle in transaction" else None
    return Row(
        *(seen.id, "", seen.state, seen.wait, seen.event, seen.ms, transaction_ms, seen.user, seen.database),
        *(seen.client, seen.application, seen.kind, seen.text, seen.fingerprint, tuple(seen.blocked_by), blocks),
        seen=seen.seen,
    )


def vital_words(name: str, vital: Vital | None) -> str:
    """A vital figure, or why there is none: "98.2 %", "12 of 97", "not allowed"."""
    if vital is None or vital.value is None:
        words = {"insufficient privilege": "not allowed", "unsupported": "not counted here"}
        return words.get("no data" if vital is None else vital.state, "no data")
    if name == "hit_ratio":
        return percent(vital.value)
    if name in ("lag_ms", "oldest_ms"):
        return duration(vital.value) if vital.value else "none"
    if name == "temporary":
        return f"{vital.value:,.2g}/s" if 0 < vital.value < 10 else f"{vital.value:,.0f}/s" if vital.value else "none"
    if name == "checkpoints":
        return percent(vital.value / vital.limit) if vital.limit else count(vital.value)
    said = count(vital.value) if name == "age" else exact(round(vital.value))
    if vital.limit:
        said += f" ({percent(vital.value / vital.limit)})" if name == "age" else f" of {exact(round(vital.limit))}"
    return said


def vital_pieces(vitals: Mapping[str, Vital] | None) -> list[Piece]:
    """All of them, each with its detail and what mends it where it is not there."""
    if vitals is None:
        return [("dim", "Vital figures were not read yet: they are, every 30 s, once sessions are sampled\n")]
    said: list[Piece] = []
    titles = dict(VITALS)
    titles |= {name: vital.title.capitalize() for name, vital in vitals.items() if vital.title}
    width = max(map(len, titles.values())) + 1
    for name, title in titles.items():
        vital = vitals.get(name)
        said += [
            ("dim", f"{title:<{width}}"),
            ("" if vital and vital.state == "ok" else "warning", vital_words(name, vital)),
        ]
        if vital is not None and vital.detail:
            said.append(("dim", f"  {vital.detail}"))
        if vital is not None and vital.fix:
            said.append(("accent", f"  {vital.fix}"))
        said.append(("", "\n"))
    return said


def summary(rows: Sequence[Row], vitals: Mapping[str, Vital] | None) -> str:
    """The line below the plot: how many do what, and what else is worth knowing at once.

    Of now the oldest transaction is that of the list, which is newer than the figure.
    """
    listed = [row.transaction_ms or 0.0 for row in rows if row.live is not None and row.kind == "client"]
    if vitals is not None and listed and vitals["oldest_ms"].state == "ok":
        vitals = {**vitals, "oldest_ms": replace(vitals["oldest_ms"], value=max(listed))}
    ids: dict[str, set[int]] = {"active": set(), "blocked": set(), "idle in transaction": set()}
    for row in rows:
        ids.setdefault(row.state, set()).add(row.id)
        if row.blocked_by:
            ids["blocked"].add(row.id)
    parts = [f"{len(ids['active'])} active", f"{len(ids['blocked'])} blocked"]
    parts.append(f"{len(ids['idle in transaction'])} idle in transaction")
    if vitals is not None:
        names = (("oldest_ms", "oldest"), ("connections", "connections"), ("hit_ratio", "hits"), ("lag_ms", "lag"))
        parts += [f"{said} {vital_words(name, vitals.get(name))}" for name, said in names]
    return glyphs().separator.join(parts)


def tree(rows: Iterable[Row]) -> list[Piece]:
    """Who blocks whom: under each session that waits for nobody those that wait for it."""
    known = {row.id: row for row in rows}
    waiting: dict[int, list[int]] = {}
    for row in known.values():
        for blocker in row.blocked_by:
            waiting.setdefault(blocker, []).append(row.id)
    roots = [each for each in waiting if each not in known or not known[each].blocked_by]
    said: list[Piece] = []
    told = set[int]()

    def tell(session: int, depth: int, above: tuple[int, ...]) -> None:
        row = known.get(session)
        sign = "" if not depth else "   " * (depth - 1) + "+- "
        said.append(("dim", sign))
        told.add(session)
        if row is None:
            said.append(("", f"{session}  (idle, or not ours to see)\n"))
        else:
            look = "critical" if row.blocked_by else "warning"
            said.append((look, f"{row.id}  {row.shown_state}"))
            waits = f"  {WAIT_WORDS.get(row.wait, '')} {row.event}" if row.wait and row.blocked_by else ""
            said.append(("dim", f"  {duration(row.ms)}  {_who(row)}{waits}\n"))
            said.append(("", "   " * depth + f"   {row.text or row.kind}\n"))
        if session in above:
            said.append(("critical", "   " * depth + "   a ring: they wait for each other\n"))
            return
        for each in waiting.get(session, ()):
            tell(each, depth + 1, (*above, session))

    for root in roots:
        tell(root, 0, ())
    for left in [each for each in waiting if each not in told]:  # a ring has no beginning
        if left not in told:
            tell(left, 0, ())
    return said


def _nothing(row: Row) -> str:
    """What stands for a text: of a client nothing, of a process of the server what that does."""
    return glyphs().none if row.kind == "client" else f"<{row.kind}>"


def in_full(row: Row, rows: Sequence[Row], query: bool, words: Words) -> list[Piece]:
    """A session with all that is known of it; `query`: its statement is among the queries."""
    said: list[Piece] = [
        ("bold", f"Session {row.id}"),
        ("", f"  {row.shown_state}"),
        ("dim", f" for {duration(row.ms)}\n"),
    ]
    facts = [("Who", _who(row)), ("From", _from(row)), ("Is", row.kind)]
    if row.wait is not None:
        facts.append(("Waits for", " ".join(filter(None, (WAIT_WORDS.get(row.wait, row.wait), row.event)))))
    if row.transaction_ms is not None:
        facts.append(("Transaction", duration(row.transaction_ms)))
    if row.blocked_by:
        facts.append(("Blocked by", ", ".join(map(str, row.blocked_by))))
    if row.blocks:
        facts.append(("Blocks", number_of(row.blocks, "session")))
    if row.live is None:
        facts.append(("Seen", f"in {number_of(row.seen, 'sample')}"))
    for label, value in facts:
        said += [("dim", f"{label:<12}"), ("", f"{value}\n")]
    last = "Its last statement" if row.state != "active" else "Its statement"
    said += [("dim", f"\n{last}, values taken out{'; enter shows what it costs' if query else ''}\n")]
    said += [("", f"{row.text or words.no_statement}\n")]
    chain = tree([each for each in rows if each.blocked_by or each.blocks])
    if (row.blocked_by or row.blocks) and chain:
        said += [("dim", "\nWho blocks whom\n"), *chain]
    return said
