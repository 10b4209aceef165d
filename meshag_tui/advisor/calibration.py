"""Confidence weighed with what became of such advice before: how often changes like it did what was forecast.

In: the calibration table (`store.outcomes.tracks`). Out: for a suggestion the points that experience adds or takes. Few
outcomes say little: from `ENOUGH` on the confidence moves towards the share that held, as if the rule's own word were
worth `PRIOR` outcomes (the mean of a beta distribution); below that the rule's word stands, and the counts are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshag_tui.store.outcomes import Track, bucket

ENOUGH = 5
PRIOR = 5


class Weighed(NamedTuple):
    """A confidence after experience, 0..1, and why in a line; `why` None: there is no experience."""

    confidence: float
    why: str | None


class Calibration:
    """The table, by rule, method and class of confidence."""

    def __init__(self, tracks: Iterable[Track] = ()) -> None:
        self._tracks: Mapping[tuple[str, str, float], Track] = {
            (track.rule, track.method, track.low): track for track in tracks
        }

    def weigh(self, rule: str, method: str, confidence: float) -> Weighed:
        """The confidence of a suggestion of this rule and method, weighed with what became of such ones."""
        track = self._tracks.get((rule, method, bucket(confidence)[0]))
        if track is None or not track.held + track.refuted:
            return Weighed(confidence, None)
        told = track.held + track.refuted
        held = f"{track.held} of {told} such changes did what was forecast"
        if told < ENOUGH:
            return Weighed(confidence, f"{held}: too few to weigh it with ({ENOUGH} are needed)")
        return Weighed((track.held + PRIOR * confidence) / (told + PRIOR), f"{held}, as measured afterwards")


def said(track: Track) -> str:
    """What a line of the table does to a suggestion's confidence."""
    told = track.held + track.refuted
    if told < ENOUGH:
        return f"too few to judge by: the rule's own word is used ({told} of {ENOUGH})"
    middle = (track.low + track.high) / 2
    return f"{middle:.0%} becomes {Calibration([track]).weigh(track.rule, track.method, middle).confidence:.0%}"
