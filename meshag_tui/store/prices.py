"""What models cost, from which day on: the user's table. Nothing ships in it; what is not in it is unpriced.

A price holds from its `valid_from` until the next of the same provider and model. A model on this machine costs
nothing. A price for the model `*` is for all of a provider that have none of their own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from meshag_tui.store import database, ids, models
from meshag_tui.store.amounts import cost_of, currency_code, decimal, micros, rounded
from meshag_tui.store.documents import clean
from meshag_tui.types import UsageError

ANY_MODEL = "*"


class PriceInfo(NamedTuple):
    """A price of a million tokens, in `currency`, from `valid_from` (epoch ms) on. `cached` None: as `input`."""

    id: str
    provider: str
    model: str
    valid_from: int
    input: Decimal
    output: Decimal
    cached: Decimal | None
    currency: str
    source: str | None
    created_at: int
    updated_at: int


def put(
    provider: str,
    model: str,
    valid_from: int,
    input: str | Decimal,
    output: str | Decimal,
    cached: str | Decimal | None = None,
    currency: str = "USD",
    source: str | None = None,
) -> PriceInfo:
    """Enter a price, or correct the one of the same moment. What was spent before keeps its cost.

    Raises:
        UsageError: a figure that is none, or negative.
    """
    price = models.Price
    figures = {
        "input_micros": micros(input),
        "output_micros": micros(output),
        "cached_micros": None if cached is None else micros(cached),
    }
    if any(figure is not None and figure < 0 for figure in figures.values()):
        raise UsageError("A price is not below 0")
    if not provider.strip() or not model.strip():
        raise UsageError("A price is of a provider and a model (* for all of its models)")
    columns = {**figures, "currency": currency_code(currency), "source": clean(source or "") or None}
    with database.atomic():
        now = database.now_ms()
        same: Any = price.get_or_none(
            (price.provider == provider) & (price.model == model) & (price.valid_from == valid_from)
        )
        if same is not None:
            price.update(updated_at=now, **columns).where(price.id == same.id).execute()
            price_id = same.id
        else:
            price_id = ids.new("prc")
            price.create(
                id=price_id,
                provider=clean(provider.strip()),
                model=clean(model.strip()),
                valid_from=valid_from,
                created_at=now,
                updated_at=now,
                **columns,
            )
    return next(each for each in listing() if each.id == price_id)


def listing(limit: int | None = None) -> tuple[PriceInfo, ...]:
    """The first prices, or all, by provider and model, the newest first."""
    price = models.Price
    rows: Any = price.select().order_by(price.provider, price.model, price.valid_from.desc()).limit(limit)
    return tuple(_info(row) for row in rows)


def remove(price_id: str) -> None:
    """Forget a price. UsageError if there is none."""
    if not models.Price.delete().where(models.Price.id == price_id).execute():
        raise UsageError(f"There is no price {price_id}")


def of(provider: str, model: str, at: int) -> Any:
    """In the store's thread: the row in force for a model at a moment, or None."""
    price = models.Price
    for name in (model, ANY_MODEL):
        row: Any = (
            price.select()
            .where((price.provider == provider) & (price.model == name) & (price.valid_from <= at))
            .order_by(price.valid_from.desc())
            .first()
        )
        if row is not None:
            return row
    return None


def cost_micros(price: Any, tokens_in: int | None, tokens_out: int | None, tokens_cached: int | None) -> int | None:
    """What a call costs by a row of `of`, in millionths; None where price or tokens are not known."""
    if price is None or tokens_in is None or tokens_out is None:
        return None
    cached = min(tokens_cached or 0, tokens_in)
    per_cached = price.input_micros if price.cached_micros is None else price.cached_micros
    return rounded(
        cost_of(tokens_in - cached, price.input_micros)
        + cost_of(cached, per_cached)
        + cost_of(tokens_out, price.output_micros)
    )


def _info(row: Any) -> PriceInfo:
    given, made, cached = decimal(row.input_micros), decimal(row.output_micros), decimal(row.cached_micros)
    assert given is not None and made is not None  # noqa: S101 (the columns are not null)
    return PriceInfo(
        row.id,
        row.provider,
        row.model,
        row.valid_from,
        given,
        made,
        cached,
        row.currency,
        row.source,
        row.created_at,
        row.updated_at,
    )
