"""What the steps of a line that recommends do with its rows."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from linewright.data.dataset.event_time import moments
from linewright.data.spec import HISTORY, HISTORY_WEIGHT, RecommendSpec
from linewright.features.facts import Encoder, HistoryItem
from linewright.line.run_context import Work
from linewright.line.split_rows import label_text
from linewright.model.facts import Calibration, Trained
from linewright.model.onnx.session import LISTS_AT_ONCE, open_graph
from linewright.model.recommend.learn import HistoryRows, categories_of, learn_recommender, popular_graph
from linewright.model.tasks.item_lists import with_at_most, with_only

_LIBRARIES = ("numpy", "onnx", "scipy")


def train_recommender(work: Work, spec: RecommendSpec) -> Trained:
    """Learn what a history makes likely, from the training rows alone."""
    context, rows = work.factory.context, work.rows.train
    found = learn_recommender(_history_rows(work, rows, spec), work.spec.train, spec, report=context.report)
    encodings = [
        HistoryItem(column=HISTORY, place=place, items=found.items if place == 0 else ())
        for place in range(spec.history)
    ]
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=work.rules.name,
        classes=(),
        encoder=Encoder(encodings=tuple(encodings)),
        trials=found.trials,
        chosen=found.trials[0].name,
        reason=found.reason,
        native=context.artifacts.put(found.graph),
        calibration=Calibration(),
        half_width=None,
        baseline=found.shares,
        rows=len(rows),
        seed=context.seed(work.known["split"]),
        libraries={name: version(name) for name in _LIBRARIES},
        executed=found.executed,
    )


def popular_lists(work: Work, spec: RecommendSpec, x: np.ndarray) -> np.ndarray:
    """Return the popular items for encoded rows, by the rules of the line."""
    graph, outputs = popular_graph(_history_rows(work, work.rows.train, spec), spec)
    opened = open_graph(graph, inputs=[("x", "float", spec.history)], outputs=outputs, at_once=LISTS_AT_ONCE)
    return opened.run({"x": x}, len(x)).astype(np.float64)


def by_rules(work: Work, spec: RecommendSpec, lists: np.ndarray, items: Sequence[str]) -> np.ndarray:
    """Return the lists of another model by the rules of this line: it earns nothing by what may not be listed any more."""
    if (allowed := work.ingested.allowed) is not None:
        wanted = frozenset(allowed)
        lists = with_only(lists, {code for code, item in enumerate(items, start=1) if item in wanted})
    frame = work.rows.frame[work.rows.train]
    for category, most in spec.at_most.items():
        known = categories_of(label_text(frame, work.spec.label.column), label_text(frame, category))
        lists = with_at_most(lists, [known.get(item, "") for item in items], most)
    return lists


def users_of(work: Work, rows: np.ndarray) -> np.ndarray:
    """Return a number for the user of each row; a row of nobody known is alone."""
    users: list[str | None] = [*label_text(work.rows.frame[rows], str(work.spec.table.group))]
    named = [f"row {row}" if user is None else f"user {user}" for row, user in enumerate(users)]
    return np.unique(np.asarray(named, dtype=object).astype(str), return_inverse=True)[1]


def _history_rows(work: Work, rows: np.ndarray, spec: RecommendSpec) -> HistoryRows:
    frame, table, allowed = work.rows.frame[rows], work.spec.table, work.ingested.allowed
    category = next(iter(spec.at_most), None)
    return HistoryRows(
        users=label_text(frame, str(table.group)),
        histories=label_text(frame, HISTORY),
        labels=label_text(frame, work.spec.label.column),
        at=moments(frame[str(table.time)]),
        categories=label_text(frame, category) if category else (),
        weights=(label_text(frame, HISTORY_WEIGHT), label_text(frame, table.weight)) if table.weight else (),
        allowed=None if allowed is None else frozenset(allowed),
    )
