"""Rows of statistics by interval and by digest: they hang on no key of the database, so they end here and nowhere else.

A sync writes a row for each statement that ran. Looking up twice for each what it belongs to, and keeping a second
index of them all, would cost more than the rows: what is written comes from one transaction that made both ends, and
what an interval, a digest or a connection leaves behind goes with it. A statement itself ends (`retention.prune`) when
no interval is left that it can have run in.
"""

from __future__ import annotations

from typing import Any

from meshag_tui.store import models


def forget_intervals(where: Any, most: int | None = None) -> int:
    """Delete the intervals a condition holds for, the `most` oldest, with what was counted in them; how many went."""
    interval = models.Interval
    chosen = interval.select(interval.id).where(where).order_by(interval.id).limit(most)
    models.QueryStatistics.delete().where(models.QueryStatistics.interval_id.in_(chosen)).execute()
    return int(interval.delete().where(interval.id.in_(chosen)).execute())


def forget_digests(where: Any, most: int | None = None) -> int:
    """The same for digests."""
    digest = models.Digest
    chosen = digest.select(digest.id).where(where).order_by(digest.id).limit(most)
    for rows in (models.QueryDigest, models.TableDigest, models.IndexDigest):
        rows.delete().where(rows.digest_id.in_(chosen)).execute()
    return int(digest.delete().where(digest.id.in_(chosen)).execute())
