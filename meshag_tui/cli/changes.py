"""Commands about what was applied: `meshag changes | verify | calibration`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.cli.advice import statement_fields
from meshag_tui.cli.naming import expect
from meshag_tui.cli.output import Column, Output, table

if TYPE_CHECKING:
    from meshag_tui.settings import MoneySettings
    from meshag_tui.store.outcomes import Applied, ChangeOutcome, Track

_MOST_LATER = 6


async def changes(args: argparse.Namespace, output: Output) -> None:
    """What was applied, with what it was measured to buy beside what was forecast."""
    from meshag_tui.figures import ago, gained
    from meshag_tui.store import connections, outcomes
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        connection_id = None
        if args.name is not None:
            connection_id = (await bench.store(connections.find, args.name)).id
        found = await bench.store(outcomes.applied, connection_id)
        now = await bench.store(_now)
    rates = args.settings.money
    columns = [
        Column("ID", lambda row: row.change.id),
        Column("DONE", lambda row: ago(row.change.finished_at, now)),
        Column("STATE", lambda row: row.change.state),
        Column("FOUND", lambda row: "" if row.outcome is None else row.outcome.state),
        Column("FORECAST", lambda row: gained(None if row.outcome is None else row.outcome.gain_ms_per_day), "right"),
        Column("MEASURED", lambda row: gained(None if row.outcome is None else row.outcome.saved_ms_per_day), "right"),
        Column("WORTH", lambda row: _worth(row.outcome, rates), "right"),
        Column("STATEMENT", lambda row: row.change.sql),
    ]
    if not rates.any:
        del columns[6]
    nothing = ["Nothing was applied yet: meshag apply sug_… does it"]
    output.answer([describe(row, rates) for row in found], lambda: table(columns, found) if found else nothing)


async def verify(args: argparse.Namespace, output: Output) -> None:
    """Compare now, and say what was found."""
    from meshag_tui.store import changes as journal
    from meshag_tui.store.outcomes import Applied
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "chg", "verify")
    async with await Workbench.open(args.settings) as bench:
        outcome = await bench.hands.verify(args.id)
        row = await bench.store(journal.get, args.id)
    output.answer(
        describe(Applied(row, outcome), args.settings.money), lambda: outcome_lines(outcome, args.settings.money)
    )


async def calibration(args: argparse.Namespace, output: Output) -> None:
    """How often forecasts held, by rule, method and class of confidence."""
    from meshag_tui.store import outcomes
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        found = await bench.store(outcomes.tracks)
    output.answer([describe_track(track) for track in found], lambda: calibration_lines(found))


def describe(row: Applied, rates: MoneySettings) -> dict[str, Any]:
    """An applied change as JSON. Times are epoch ms, gains ms of the server's time a day, worth is of 30 days."""
    from meshag_tui.changes.money import estimate, worth

    change, outcome = row.change, row.outcome
    result: Mapping[str, Any] = {} if outcome is None else outcome.result
    money = worth(result, rates)
    before = None if outcome is None else estimate(outcome.gain_ms_per_day, outcome.forecast, change.change, rates)
    return {
        "id": change.id,
        "connection_id": change.connection_id,
        "suggestion_id": change.suggestion_id,
        "actor": change.actor,
        "state": change.state,
        "kind": change.change.kind,
        **statement_fields(change.sql),
        "undo_sql": change.undo_sql,
        "finished_at": change.finished_at,
        "outcome": None if outcome is None else outcome.state,
        "said": result.get("said"),
        "settled": None if outcome is None else outcome.settled,
        "held": None if outcome is None else outcome.held,
        "rule": None if outcome is None else outcome.rule,
        "method": None if outcome is None else outcome.method,
        "confidence": None if outcome is None else outcome.confidence,
        "forecast_ms_per_day": None if outcome is None else outcome.gain_ms_per_day,
        "forecast_at_this_load_ms_per_day": result.get("expected_ms_per_day"),
        "saved_ms_per_day": result.get("saved"),
        "forecast_worth": None if before is None else {**before._asdict(), "days": 30},
        "worth": None if money is None else {**money._asdict(), "days": 30},
        "looked_at": None if outcome is None else outcome.looked_at,
        "next_look_at": None if outcome is None else outcome.next_look_at,
        "result": result,
    }


def outcome_lines(outcome: ChangeOutcome, rates: MoneySettings) -> Iterator[str]:
    """An outcome for people."""
    from meshag_tui.changes.money import money_lines, span, worth
    from meshag_tui.changes.take_back import plan_line, statement_line
    from meshag_tui.figures import gained, moment

    result = outcome.result
    so_far = "" if outcome.settled or not outcome.looks else ", so far"
    yield f"found     {outcome.state}{so_far}" + (f": {said}" if (said := result.get("said")) else "")
    yield f"forecast  {gained(outcome.gain_ms_per_day) or 'no time saved was forecast'}"
    if (expected := result.get("expected_ms_per_day")) is not None:
        yield f"          {gained(expected)} at the load there is now"
    if saved := result.get("saved"):
        yield f"measured  {gained(saved['value'])}, between {span(saved['low'])} and {span(saved['high'])} (95 %)"
    if (money := worth(result, rates)) is not None:
        yield from (f"{'' if number else 'worth':10}{line}" for number, line in enumerate(money_lines(money)))
    for each in result.get("statements", ()):
        yield f"          {statement_line(each)}"
    if result.get("statements"):
        yield "not seen  what functions run, where neither its text nor a plan that was kept names the table"
    for number, each in enumerate(result.get("plans", ())):
        yield f"{'' if number else 'plan':10}{plan_line(each)}"
    if later := result.get("later"):
        yield f"later     {later['state']}, looked at {moment(later['at'])}: {later.get('said', '')}"
        if saved := later.get("saved"):
            yield f"          {gained(saved['value'])}, between {span(saved['low'])} and {span(saved['high'])} (95 %)"
        yield from (f"          {statement_line(each)}" for each in later.get("statements", ())[:_MOST_LATER])


def describe_track(track: Track) -> dict[str, Any]:
    """A line of the calibration table as JSON."""
    from meshag_tui.advisor.calibration import ENOUGH

    told = track.held + track.refuted
    return {**track._asdict(), "told": told, "held_share": track.held / told if told else None, "used": told >= ENOUGH}


def calibration_lines(found: Sequence[Track]) -> list[str]:
    """The calibration table for people, with what too few outcomes mean."""
    from meshag_tui.advisor.calibration import ENOUGH, said

    if not found:
        return [
            "No change was measured to the end yet: confidence is what the rules say",
            f"From {ENOUGH} outcomes of a rule, method and class of confidence on it is weighed with them",
        ]
    columns = (
        Column("RULE", lambda track: track.rule),
        Column("METHOD", lambda track: track.method),
        Column("CONFIDENCE", lambda track: f"{track.low:.0%} to {track.high:.0%}"),
        Column("MEASURED", lambda track: str(track.measured), "right"),
        Column("HELD", lambda track: str(track.held), "right"),
        Column("DID NOT", lambda track: str(track.refuted), "right"),
        Column("SO", said),
    )
    return table(columns, found)


def track_line(track: Track) -> str:
    """A line of the calibration table in words."""
    from meshag_tui.advisor.calibration import said

    open_ = track.measured - track.held - track.refuted
    counts = f"{track.held} held, {track.refuted} did not" + (f", {open_} could not be told" if open_ else "")
    of = f"{track.rule}, {track.method}, confidence {track.low:.0%} to {track.high:.0%}"
    return f"{of}: of {track.measured} measured {counts}; {said(track)}"


def _worth(outcome: ChangeOutcome | None, rates: MoneySettings) -> str:
    from meshag_tui.changes.money import in_short, worth

    return in_short(None if outcome is None else worth(outcome.result, rates))


def _now() -> int:
    from meshag_tui.store.database import now_ms

    return now_ms()
