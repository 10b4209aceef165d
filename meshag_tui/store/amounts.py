"""Money as the store keeps it: whole millionths, so that sums are exact on every database; decimals outside.

It is counted by days of UTC, as providers do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from meshag_tui.types import UsageError

MILLION = 1_000_000
_MOST = Decimal(10) ** 11
_SIX = Decimal("0.000001")


def micros(amount: Decimal | str) -> int:
    """An amount as millionths. UsageError: it is no number, too large, or has more than six decimals."""
    try:
        value = Decimal(amount.strip() if isinstance(amount, str) else amount)
        fits = value.is_finite() and abs(value) < _MOST and value == value.quantize(_SIX)
    except InvalidOperation:
        fits = False
    if not fits:
        raise UsageError(f"{str(amount)[:40]!r} is no amount: write a number with at most six decimals")
    return int(value * MILLION)


def decimal(millionths: int | None) -> Decimal | None:
    """Millionths as an amount with six decimals; None stays None."""
    return None if millionths is None else (Decimal(millionths) / MILLION).quantize(_SIX)


def cost_of(tokens: int, per_million_micros: int) -> Decimal:
    """Millionths, not rounded, that so many tokens cost at a price for a million."""
    return Decimal(tokens) * per_million_micros / MILLION


def rounded(amount: Decimal) -> int:
    """To whole millionths, half to even."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_EVEN))


def currency_code(text: str) -> str:
    """ "eur" as "EUR". UsageError if it is no code of three letters."""
    code = text.strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise UsageError(f"{text[:20]!r} is no currency: write three letters, as EUR")
    return code


def day_ms(text: str) -> int:
    """The beginning of a day, UTC, epoch ms. UsageError if it is none."""
    try:
        return round(datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise UsageError(f"{text[:20]!r} is no day: write 2026-01-31") from None


def day(at: float) -> str:
    """A moment (epoch ms) as its day, UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")
