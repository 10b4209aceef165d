"""What a change is worth in money, by the rates the user set: time as CPU hours, an index as disk, blocks as reads.

The server's time of statements is taken for time of one CPU: an upper bound, as part of it is waiting. A block read is
one that the server asked for: an upper bound too, as the system may have had it. A range, never a point. Measured is
the interval that the saving was found to lie in. Estimated are the bounds of what can be, from nothing gained to all
time of the statements it is for gone, because how far a planner errs nobody knows; of blocks too, of which a sandbox
says nothing (its cache is another one): from one read for each entry that writers make to all reads of the statements
gone. Without a rate there is no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshag_tui.figures import count, duration, size
from meshag_tui.settings import MoneySettings
from meshag_tui.types import Change, CreateIndex, DropIndex, RestoreIndex

HOUR_MS = 3_600_000
DAYS = 30
_GB = 1_000_000_000
_MILLION = 1_000_000


class Money(NamedTuple):
    """Saved in 30 days, from `low` to `high` (negative: it costs); `how` is the arithmetic, line by line."""

    low: float
    high: float
    currency: str
    how: tuple[str, ...]
    basis: str = "measured"  # estimated; measured in a sandbox; measured in a sandbox, reads estimated


def worth(result: Mapping[str, Any], rates: MoneySettings) -> Money | None:
    """What a measured outcome is worth in 30 days; None without rates, or where nothing could be measured.

    Args:
        result: of `ChangeOutcome`, whose "saved" and "reads" are net of what its table's writers pay.
    """
    saved, index = result.get("saved"), result.get("index") or {}
    if not saved:
        return None
    return _sum(saved, result.get("reads"), -(index.get("size_bytes") or 0), rates, "measured")


def estimate(
    gain_ms_per_day: float | None, evidence: Mapping[str, Any], change: Change | None, rates: MoneySettings
) -> Money | None:
    """What a change that was not made yet would be worth in 30 days; None without rates, or where nothing is forecast.

    Args:
        gain_ms_per_day: forecast, net of what an index's upkeep takes.
        evidence: of its suggestion: "rehearsal", "affected_ms_per_day", "affected_reads_per_day", "upkeep" and
            "size_bytes" are used.
    """
    disk = 0
    if isinstance(change, CreateIndex | RestoreIndex | DropIndex):
        disk = int(evidence.get("size_bytes") or 0) * (1 if isinstance(change, DropIndex) else -1)
    upkeep = evidence.get("upkeep") or {}
    reads = None
    if isinstance(change, CreateIndex) and (read := evidence.get("affected_reads_per_day")) is not None:
        reads = {"low": -float(upkeep.get("entries_per_day") or 0.0), "high": float(read)}
    tried = (evidence.get("rehearsal") or {}).get("saved_ms_per_day")
    if tried:
        ends = sorted((tried["least"], tried["most"]))
        basis = "measured in a sandbox" + (", reads estimated" if reads is not None and rates.io_million > 0 else "")
        return _sum({"low": ends[0], "high": ends[1]}, reads, disk, rates, basis)
    affected = evidence.get("affected_ms_per_day")
    if gain_ms_per_day is None or affected is None:
        return _sum(None, None, disk, rates, "estimated") if disk else None
    keeping = float(upkeep.get("ms_per_day") or 0.0)
    bounds = {"low": -keeping, "high": max(float(affected) - keeping, gain_ms_per_day)}
    found = _sum(bounds, reads, disk, rates, "estimated")
    if found is None or rates.cpu_hour <= 0:
        return found
    about = amount(_cpu(gain_ms_per_day, rates), rates.currency)
    return found._replace(how=(*found.how, f"forecast: {span(gain_ms_per_day)} a day, {about} of it"))


def amount(value: float, currency: str) -> str:
    """ "12.40 EUR"."""
    return f"{value:,.2f} {currency}".rstrip()


def span(ms: float) -> str:
    """A time with its sign."""
    return f"{'-' if ms < 0 else ''}{duration(abs(ms))}"


def money_lines(found: Money) -> tuple[str, ...]:
    """The range with its basis, then the arithmetic."""
    ends = f"{amount(found.low, found.currency)} to {amount(found.high, found.currency)}"
    return (f"{ends} in 30 days, {found.basis}", *found.how)


def in_short(found: Money | None) -> str:
    """ "1.00 to 12.40 EUR/30 d"; nothing where there is no figure."""
    return "" if found is None else f"{amount(found.low, '')} to {amount(found.high, found.currency)}/30 d"


def _sum(
    saved: Mapping[str, float] | None,
    reads: Mapping[str, float] | None,
    disk_bytes: float,
    rates: MoneySettings,
    basis: str,
) -> Money | None:
    """The bounds of all parts that have a rate: `saved` is ms and `reads` blocks a day, `disk_bytes` below 0 taken."""
    low = high = 0.0
    how = []
    if saved and rates.cpu_hour > 0:
        ends = [_cpu(saved[edge], rates) for edge in ("low", "high")]
        low, high = low + ends[0], high + ends[1]
        said = f"{span(saved['low'])} to {span(saved['high'])} a day × {DAYS} d × {rates.cpu_hour:g} an hour of one CPU"
        how.append(f"{said} = {amount(ends[0], rates.currency)} to {amount(ends[1], rates.currency)}")
    if reads and rates.io_million > 0:
        ends = [reads[edge] / _MILLION * DAYS * rates.io_million for edge in ("low", "high")]
        low, high = low + ends[0], high + ends[1]
        said = f"{_signed(reads['low'])} to {_signed(reads['high'])} blocks read a day × {DAYS} d"
        said += f" × {rates.io_million:g} a million"
        how.append(f"{said} = {amount(ends[0], rates.currency)} to {amount(ends[1], rates.currency)}")
    if disk_bytes and rates.gb_month > 0:
        disk = disk_bytes / _GB * rates.gb_month
        low, high = low + disk, high + disk
        word = "and" if disk > 0 else "less"
        how.append(f"{word} {size(abs(disk_bytes))} × {rates.gb_month:g} a GB = {amount(abs(disk), rates.currency)}")
    return Money(low, high, rates.currency, tuple(how), basis) if how else None


def _cpu(ms_per_day: float, rates: MoneySettings) -> float:
    return ms_per_day / HOUR_MS * DAYS * rates.cpu_hour


def _signed(blocks: float) -> str:
    return f"{'-' if blocks < 0 else ''}{count(abs(blocks))}"
