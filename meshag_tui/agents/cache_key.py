"""Whether a question was asked before: a hash of all that its answer rests on.

Figures that move with every sync (calls, times, sizes) are not in it. What would change advice is: the connection, the
statements and the shape of their plans, columns and indexes of their tables, the order of magnitude of what the
planner's statistics say, what was proposed already, the model and its settings, and the fixed words of the prompt.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from meshag_tui.agents import answer as answers
from meshag_tui.agents.prompt import version

if TYPE_CHECKING:
    from meshag_tui.advisor.statistics import TableView
    from meshag_tui.agents.advise import Question
    from meshag_tui.agents.desk import Endpoint
    from meshag_tui.settings import LlmSettings


def statements(question: Question) -> tuple[str, ...]:
    """The fingerprints of the statements that a question shows."""
    shown = [one.query for one in question.examined if one.query.uid in question.prompt.queries]
    return tuple(sorted({query.fingerprint or query.key for query in shown}))


def cache_key(question: Question, endpoint: Endpoint, llm: LlmSettings) -> str:
    """The key of the answer to a question by a model."""
    views = [view for view in question.tables.views.values() if view.relation in question.prompt.tables]
    shown = [one for one in question.examined if one.query.uid in question.prompt.queries]
    rests_on: list[Any] = [
        question.catalog.connection_id,
        [question.catalog.facts.engine, question.catalog.facts.version],
        statements(question),
        sorted([one.query.uid, one.plan.hash if one.plan is not None else ""] for one in shown),
        sorted((_structure(view, question) for view in views), key=str),
        sorted((_statistics(view) for view in views), key=str),
        sorted(one.identity for one in question.known),
        [endpoint.base_url, endpoint.model, endpoint.shape],
        [llm.temperature, llm.max_tokens, llm.prompt_limit_bytes],
        version(answers.schema()),
        *([question.guidance] if question.guidance else ()),
    ]
    return hashlib.sha256(json.dumps(rests_on, default=str).encode()).hexdigest()


def _structure(view: TableView, question: Question) -> list[Any]:
    """Columns and indexes of a table."""
    schema = question.catalog.schema
    columns = schema.columns.get(f"{view.stats.schema}.{view.stats.name}", ()) if schema is not None else ()
    indexes = sorted([index.definition, str(index.valid)] for index in (*view.indexes, *view.hidden))
    return [view.relation, [[column.name, column.type, column.nullable] for column in columns], indexes]


def _statistics(view: TableView) -> list[Any]:
    """Rows of a table and different values of its columns, by order of magnitude."""
    values = sorted([name, _magnitude(view.distinct(name))] for name in view.columns)
    return [view.relation, _magnitude(view.rows), values]


def _magnitude(figure: float | None) -> int | None:
    return None if figure is None or figure <= 0 else round(math.log2(figure))
