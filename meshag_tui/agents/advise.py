"""Suggestions by a language model, in three steps that can be kept apart: prepare, ask, judge.

`prepare` builds the exact text (to be shown before the first send), `ask` buys one answer (to be kept before it is
read), `judge` turns an answer into suggestions and reasons. A model's fault is an error or a reason, never advice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.advisor import missing_index
from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.candidates import Candidate, describe, identity
from meshag_tui.advisor.examined import Examined, examine, important, statistics_of
from meshag_tui.advisor.planner import Planner
from meshag_tui.advisor.pricing import Pricer, Statement
from meshag_tui.advisor.reckoner import Reckoner
from meshag_tui.advisor.rewrites import unproven
from meshag_tui.advisor.search import search
from meshag_tui.advisor.statistics import Tables, tables_of
from meshag_tui.advisor.upkeep import Upkeep, with_upkeep
from meshag_tui.advisor.written import written
from meshag_tui.agents import answer as answers
from meshag_tui.agents import provider
from meshag_tui.agents.prompt import MOST_STATEMENTS, Prompt
from meshag_tui.agents.prompt import prompt as build
from meshag_tui.agents.validate import (
    Context,
    Rejected,
    analyze,
    drop_reason,
    index_spec,
    not_too_busy,
    statements_of,
    table_of,
    words,
)
from meshag_tui.engines.base import EngineError, Session, WhatIf
from meshag_tui.figures import percent
from meshag_tui.settings import Settings
from meshag_tui.types import (
    CreateIndex,
    EvidenceKind,
    IndexSpec,
    Risk,
    Secret,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Window,
)

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, QueryRow

PLANNER_CALLS = 500
SECONDS = 20.0
UNCHECKED_CONFIDENCE = 0.3


@dataclass(frozen=True)
class Question:
    """A prompt with what its answer will be held against."""

    prompt: Prompt
    examined: tuple[Examined, ...]
    tables: Tables
    catalog: Catalog
    known: tuple[Suggestion, ...]
    notes: tuple[str, ...] = ()
    guidance: str = ""


@dataclass(frozen=True)
class LlmAdvice:
    """What came of one question. `dropped` says in one line each what was not believed and why."""

    suggestions: tuple[Suggestion, ...]
    dropped: tuple[str, ...]
    usage: provider.Usage | None


async def prepare(
    catalog: Catalog,
    workload: Sequence[QueryRow],
    session: Session,
    settings: Settings,
    *,
    normalise: Callable[[str], str],
    known: Sequence[Suggestion] = (),
    guidance: str = "",
) -> Question:
    """Build the exact text to be sent; `question.prompt.text` is the preview. Nothing is sent.

    Args:
        workload: statements of the window.
        normalise: the engine's.
        known: what the rules suggest already.
        guidance: what an agent tells the model besides, word for word.

    Raises:
        EngineError: the session is lost.
    """
    notes: list[str] = []
    chosen, _ = important(workload, MOST_STATEMENTS)
    examined, _ = await examine(chosen, session, Budget(PLANNER_CALLS, SECONDS), notes)
    tables = tables_of(catalog, await statistics_of(examined, session, notes))
    text = build(
        examined,
        catalog,
        tables,
        answers.schema(),
        normalise=normalise,
        limit_bytes=settings.llm.prompt_limit_bytes,
        known=[one.title for one in known],
        guidance=guidance,
    )
    return Question(text, tuple(examined), tables, catalog, tuple(known), tuple(notes), guidance)


async def ask(question: Question, settings: Settings, key: Secret | None, *, local_only: bool) -> provider.Answer:
    """Send the question and return the answer as text that holds a list of proposals.

    Args:
        local_only: send nothing to a model that is not on this machine.

    Raises:
        NotAllowed: with `local_only`, the model is elsewhere.
        LlmError: no usable answer, in one line for the user.
    """
    return await provider.ask(
        settings.llm, key, question.prompt.messages, answers.schema(), accept=answers.read, local_only=local_only
    )


async def judge(
    question: Question,
    text: str,
    session: Session,
    settings: Settings,
    *,
    model: str,
    window: Window | None = None,
) -> LlmAdvice:
    """What of an answer is believed. Nothing of it is run: indexes are priced as hypothetical ones where they can be.

    Raises:
        ValueError: the text holds no list of proposals.
        EngineError: the session is lost.
    """
    proposals, unreadable = answers.read(text)
    dropped = list(unreadable)
    plans = [one.plan for one in question.examined if one.plan is not None]
    what_if = await session.what_if(settings.advice.what_if, plans, dropped)
    judge_ = _Judge(question, session, settings, model, window, what_if)
    made: list[Suggestion] = []
    for proposal in proposals:
        name = words(proposal.title or proposal.kind, 100)
        served, unknown = statements_of(proposal, judge_.context)
        if unknown:
            dropped.append(f"{name}: no statement {', '.join(repr(words(one, 40)) for one in unknown[:5])} was shown")
        try:
            made.append(await judge_.one(proposal, served))
        except Rejected as no:
            dropped.append(f"{name}: {no.reason}")
        except EngineError as error:
            if error.transient:
                raise
            dropped.append(f"{name}: {error}")
        judge_.remember(made)
    return LlmAdvice(tuple(_ranked(made)), tuple(dropped), None)


async def suggestions(
    question: Question,
    session: Session,
    settings: Settings,
    key: Secret | None,
    *,
    window: Window | None = None,
    local_only: bool = False,
) -> LlmAdvice:
    """Ask and judge in one go; see both."""
    reply = await ask(question, settings, key, local_only=local_only)
    judged = await judge(question, reply.text, session, settings, model=reply.usage.model, window=window)
    return replace(judged, usage=reply.usage)


class _Judge:
    """Holds proposals one by one against the question, each also against those accepted before it."""

    def __init__(
        self,
        question: Question,
        session: Session,
        settings: Settings,
        model: str,
        window: Window | None,
        what_if: WhatIf | None,
    ) -> None:
        self._question = question
        self._session = session
        self._settings = settings
        self._model = model
        self._span_ms = window.span_ms if window is not None else None
        self._what_if = what_if
        reckoner = Reckoner(question.tables, question.catalog.facts)
        budget = Budget(PLANNER_CALLS, SECONDS)
        costs = question.catalog.facts.costs
        self._pricer: Pricer = (
            reckoner if what_if is None else Planner(what_if, question.tables, budget, reckoner, costs)
        )
        self.context = Context(
            question.prompt.tables,
            dict(question.prompt.queries),
            question.examined,
            question.tables,
            question.catalog,
            question.known,
        )

    def remember(self, made: Sequence[Suggestion]) -> None:
        """Accepted proposals count as known for those that follow."""
        self.context = replace(self.context, known=(*self._question.known, *made))

    async def one(self, proposal: answers.Proposal, served: list[Examined]) -> Suggestion:
        if proposal.kind == "drop_index":
            raise Rejected(drop_reason(proposal, self.context))
        if proposal.kind == "query_advice":
            return self._advice(proposal, served)
        if proposal.kind == "analyze":
            change = analyze(proposal, self.context)
            rendered = await self._session.render(change)
            return written(
                replace(
                    self._stated(proposal, served, "llm-analyze", f"{change.schema}.{change.table}"),
                    type=SuggestionType.SCHEMA_OPTIMIZATION,
                    title=f"Analyze {change.table}",
                    schema=change.schema,
                    table=change.table,
                    change=change,
                ),
                rendered,
            )
        return await self._index(proposal, served)

    async def _index(self, proposal: answers.Proposal, served: list[Examined]) -> Suggestion:
        spec = index_spec(proposal, self.context)
        reading = [one for one in served if _reads(one, spec, self.context.tables)]
        if not reading:
            raise Rejected(f"no statement it names reads {spec.table}")
        not_too_busy(spec, reading, self.context)
        priced = await self._priced(spec, reading)
        rendered = await self._session.render(CreateIndex(spec))
        why = words(proposal.why)
        if priced is None:
            base = self._stated(proposal, reading, "llm-index", f"{spec.schema}.{spec.table}:{identity(spec)}")
            return written(
                with_upkeep(
                    replace(
                        base,
                        type=SuggestionType.INDEX_OPTIMIZATION,
                        title=f"Index {spec.table} ({describe(spec)}), unchecked",
                        text=f"{base.text} Nobody has checked this: {self._session.words.no_what_if}.",
                        risk=Risk.MEDIUM,
                        schema=spec.schema,
                        table=spec.table,
                        change=CreateIndex(spec),
                    ),
                    Upkeep(self.context.tables),
                    self._span_ms,
                ),
                rendered,
            )
        return written(
            replace(
                priced,
                rule="llm-index",
                identity=f"llm-index:{spec.schema}.{spec.table}:{identity(spec)}",
                text=f"{priced.text} The model's reason: {why}",
                evidence={**priced.evidence, "model": self._model},
                origin="llm",
                model=self._model,
            ),
            rendered,
        )

    async def _priced(self, spec: IndexSpec, reading: Sequence[Examined]) -> Suggestion | None:
        """The planner's opinion as a suggestion; None where there is no planner to ask. Raises Rejected for no gain."""
        if self._what_if is None or not isinstance(self._pricer, Planner):
            return None
        candidate = Candidate((spec,), 0)
        statements = [
            Statement(one.query, one.plan, one.predicates, (candidate,), one.query.total_time_ms)
            for one in reading
            if one.plan is not None
        ]
        found = await search(
            statements,
            self._pricer,
            self.context.tables,
            self._settings.advice,
            self._settings.advice.storage_budget_bytes,
            self.context.catalog.facts.costs,
        )
        if spec in self._pricer.refused:
            raise Rejected(f"the server refuses it: {self._pricer.refused[spec]}")
        if not found.choices:
            least = percent(self._settings.advice.minimum_gain)
            raise Rejected(f"the planner expects less than {least} from an index on {spec.table} ({describe(spec)})")
        if found.choices[0].evidence is EvidenceKind.STATED:
            return None
        return missing_index.suggestions(
            found,
            self._pricer,
            self.context.tables,
            total_ms=sum(one.query.total_time_ms for one in self._question.examined),
            span_ms=self._span_ms,
            what_if=self._what_if,
            why_unchecked=lambda choice: "",
        )[0]

    def _advice(self, proposal: answers.Proposal, served: list[Examined]) -> Suggestion:
        if not served:
            raise Rejected("it names no statement that was shown")
        if not proposal.why.strip() or not proposal.title.strip():
            raise Rejected("it says nothing")
        if proposal.table:
            table_of(proposal, self.context)
        keys = ",".join(sorted(one.query.fingerprint or one.query.key for one in served))
        made = replace(self._stated(proposal, served, "llm-query", keys), title=words(proposal.title, 120))
        return unproven(made, None)  # no statement is taken from a model, so there is none to compare

    def _stated(self, proposal: answers.Proposal, served: Sequence[Examined], rule: str, about: str) -> Suggestion:
        """Advice nobody has checked: last in rank, whatever the model thinks of it."""
        return Suggestion(
            rule=rule,
            identity=f"{rule}:{about}",
            type=SuggestionType.QUERY_OPTIMIZATION,
            priority=SuggestionPriority.LOW,
            title=words(proposal.title, 120),
            text=words(proposal.why) or "The model gave no reason.",
            evidence_kind=EvidenceKind.STATED,
            evidence={
                "kind": EvidenceKind.STATED.value,
                "facts": ["said by a language model, unchecked"],
                "model": self._model,
            },
            confidence=UNCHECKED_CONFIDENCE,
            risk=Risk.LOW,
            query_ids=tuple(one.query.id for one in served),
            origin="llm",
            model=self._model,
        )


def _reads(one: Examined, spec: IndexSpec, tables: Tables) -> bool:
    return one.plan is not None and any(
        tables.home(node.schema, node.table) == (spec.schema, spec.table)
        for node in one.plan.root.walk()
        if node.schema is not None and node.table is not None
    )


def _ranked(made: Sequence[Suggestion]) -> list[Suggestion]:
    """Checked ones first."""
    return sorted(made, key=lambda one: (one.evidence_kind is EvidenceKind.STATED, -one.confidence, one.identity))
