"""What a measured change is worth in money, by the rates the user set: time as CPU hours, an index as disk.

The server's time of statements is taken for time of one CPU: an upper bound, as part of it is waiting. A range, never a
point: the interval that the measured saving lies in. Without a rate there is no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshag_tui.settings import MoneySettings
from meshag_tui.text import duration, size

HOUR_MS = 3_600_000
DAYS = 30
_GB = 1_000_000_000


class Money(NamedTuple):
    """Saved in 30 days, from `low` to `high` (negative: it costs); `how` is the arithmetic, line by line."""

    low: float
    high: float
    currency: str
    how: tuple[str, ...]


def worth(result: Mapping[str, Any], rates: MoneySettings) -> Money | None:
    """What a measured outcome is worth in 30 days; None without rates, or where nothing could be measured.

    Args:
        result: of `ChangeOutcome`, whose "saved" is net of what its table's writers pay.
    """
    saved, index = result.get("saved"), result.get("index") or {}
    if not saved or (rates.cpu_hour <= 0 and rates.gb_month <= 0):
        return None
    bounds = [saved[edge] / HOUR_MS * DAYS * rates.cpu_hour for edge in ("low", "high")]
    how = [
        f"{_range(saved)} a day × {DAYS} d × {rates.cpu_hour:g} an hour of one CPU = "
        f"{amount(bounds[0], rates.currency)} to {amount(bounds[1], rates.currency)}"
    ]
    disk = (index.get("size_bytes") or 0) / _GB * rates.gb_month
    if disk:
        how.append(f"less {size(index['size_bytes'])} × {rates.gb_month:g} a GB = {amount(disk, rates.currency)}")
    return Money(bounds[0] - disk, bounds[1] - disk, rates.currency, tuple(how))


def amount(value: float, currency: str) -> str:
    """ "12.40 EUR"."""
    return f"{value:,.2f} {currency}".rstrip()


def _range(saved: Mapping[str, float]) -> str:
    return f"{span(saved['low'])} to {span(saved['high'])}"


def span(ms: float) -> str:
    """A time with its sign."""
    return f"{'-' if ms < 0 else ''}{duration(abs(ms))}"
