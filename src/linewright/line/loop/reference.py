"""What live rows are compared with: how the champion's own data were spread, in the cells that windows are counted in.

``python -m linewright.line.loop.reference FACTORY LINE@VERSION CHANNEL`` computes it in a process of its own: all that a line has ever
answered is read for that, and the worker, which lives for months, would keep the memory.
"""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from linewright.data.dataset.event_time import moments
from linewright.data.dataset.split import identities, is_hashed_to_test
from linewright.data.facts import EMBARGO, TEST, Dataset, Split
from linewright.data.spec import ContractSpec
from linewright.engine.child import Child, ChildEnded, end_in_words, parent
from linewright.engine.protocol import Json, capture, release
from linewright.errors import Terminal, Transient
from linewright.features.encode import Columns, Instants, Levels, Numbers, Values
from linewright.features.facts import LOOKS, Category, Encoder, Frequency
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.facts import Accepted
from linewright.line.file.factory_file import read_factory_file
from linewright.line.record.registry import find_model
from linewright.line.spec import LineSpec
from linewright.line.split_rows import Rows, read_rows
from linewright.line.steps.ingest import ANSWERED_AT, in_types_of, served_rows
from linewright.model.facts import Package, Registered, Trained
from linewright.model.package.model import Model, load
from linewright.model.tasks import task as rules_of
from linewright.serve.no_pickle import forbid_pickles
from linewright.serve.rows.scorer import Scorer
from linewright.store.clock import micros_of
from linewright.store.files.disk import faults_explained
from linewright.store.protocols import Version
from linewright.store.values import digest_of
from linewright.text.lists import read_list, read_numbers
from linewright.watch.facts import Reference, RetrainProposal
from linewright.watch.histograms import reference_of

_WEEK = 7 * 86_400 * 10**6


MakeReference = Callable[[Factory, LineSpec, Version], Reference]
"""Computes the reference of a champion, and keeps it."""


def reference_for(
    factory: Factory, spec: LineSpec, champion: Version, make: MakeReference | None = None
) -> Reference:
    """Return how the champion's own data were spread; computed once for each package."""
    settled = factory.metadata.settled(digest_of(_step(factory, spec, champion)))
    if settled is not None:
        return factory.metadata.get(settled, Reference)
    return (make or make_reference)(factory, spec, champion)


def make_reference(factory: Factory, spec: LineSpec, champion: Version) -> Reference:
    """Compute the reference of a champion in this process, and keep it."""
    metadata, model = factory.metadata, load(champion.digest, factory.artifacts.get, factory.features_of)
    before, names = rows_before(factory, spec, champion), model.package.encoder.columns
    spread, tested = to_columns(before.recent, names), to_columns(before.tested, names)
    answers = Scorer(model).columns(tested)
    reference = reference_of(
        champion.digest,
        arrays(spread, model),
        predictions(answers, model.package),
        seen=seen_by(model.package.encoder),
        breaches=breaches(tested, spec.contract),
    )
    step = _step(factory, spec, champion)
    metadata.settle(
        digest_of(step),
        line=spec.line,
        step="reference",
        inputs=step["inputs"],
        digest=metadata.keep(reference),
    )
    return reference


class RowsBefore(NamedTuple):
    """Rows from before a champion served."""

    recent: pl.DataFrame
    """Those that live ones are compared with."""
    tested: pl.DataFrame
    """Those of the test part, and rows without a label that would be in it."""


def rows_before(factory: Factory, spec: LineSpec, champion: Version) -> RowsBefore:
    """Return the rows that the reference of a champion is made of."""
    metadata, accepted = factory.metadata, _accepted(factory, champion)
    cause, as_of = _cause(factory, accepted), accepted.as_of if accepted else None
    trained = metadata.get(metadata.get(champion.digest, Package).trained, Trained)
    dataset, split = metadata.get(trained.dataset, Dataset), metadata.get(trained.split, Split)
    rows = _with_unknown(factory, spec, dataset, split, as_of)
    return RowsBefore(
        recent=_recent(rows, split, spec, cause), tested=rows.frame.filter(_of_test(rows, split, spec))
    )


def _step(factory: Factory, spec: LineSpec, champion: Version) -> dict[str, Any]:
    """Return what the reference is computed from; its digest is the key under which it is kept."""
    cause = _cause(factory, _accepted(factory, champion))
    contract = spec.contract.model_dump(mode="json", exclude={"checks": {"__all__": {"limits"}}})
    for name, rule in spec.contract.columns.items():
        contract["columns"][name]["nullable"] = not rule.is_gap_a_breach
    inputs = {"package": champion.digest, "contract": digest_of(contract)} | (
        {"since": cause} if cause else {}
    )
    return {"step": "reference", "code": 2, "inputs": inputs}


def _accepted(factory: Factory, champion: Version) -> Accepted | None:
    """Return the acceptance of the run that registered the champion."""
    registered = factory.metadata.events(Registered, line=champion.line)
    run = next((one.run for one in registered if one.package == champion.digest), None)
    return next(
        (one for one in factory.metadata.events(Accepted, line=champion.line) if one.run == run), None
    )


def _cause(factory: Factory, accepted: Accepted | None) -> str | None:
    """Return since when there was what the champion was trained for; `None` where no monitor asked for it."""
    if accepted is None or accepted.proposal is None:
        return None
    found = factory.metadata.get(accepted.proposal, RetrainProposal)
    return found.since if found.evidence else None


def _with_unknown(
    factory: Factory, spec: LineSpec, dataset: Dataset, split: Split, as_of: str | None
) -> Rows:
    """Add the rows that were answered by the instant of a retraining and whose truth was not known.

    Live rows are of both kinds, and who never gets a label may be unlike the others: a reference of labelled rows alone
    would call that a shift. The table of a first training has its rows without a label already.
    """
    rows = read_rows(factory, dataset, split)
    if as_of is None:
        return rows
    if split.since:  # rows from before the shift, which judge no model now, are of another world
        rows = Rows(frame=rows.frame[rows.test], parts=rows.parts[rows.test])
    more = in_types_of(dataset.columns, served_rows(factory, spec, as_of, is_known=False), spec)
    more = more.filter(
        pl.Series(~np.isin(identities(more.select(rows.frame.columns), spec), identities(rows.frame, spec)))
    )
    if spec.table.time is not None:
        more = more.filter(pl.col(spec.table.time).is_not_null())
    if split.since:
        more = more.filter(pl.col(ANSWERED_AT) >= datetime.fromisoformat(split.since))
    parts = np.concatenate([rows.parts, np.full(more.height, EMBARGO, dtype=np.uint8)])
    return Rows(frame=pl.concat([rows.frame, more.select(rows.frame.columns)]), parts=parts)


def _of_test(rows: Rows, split: Split, spec: LineSpec) -> np.ndarray:
    """Return which rows are test rows, or would be if they had a label."""
    has_label = rows.frame[spec.label.column].is_not_null().to_numpy()
    if split.by == "time":
        at = moments(rows.frame[str(spec.table.time)])
        would_be = at >= at[rows.test].min()
    else:
        would_be = is_hashed_to_test(rows.frame, spec.train.split, spec)
    return (rows.parts == TEST) | (would_be & ~has_label)


def _recent(rows: Rows, split: Split, spec: LineSpec, cause: str | None) -> pl.DataFrame:
    """Return the rows that live ones are compared with: those of the test part, or the latest week where that is longer.

    The model has learned from some of that week, but how columns are spread does not depend on it; less than a week would
    make each weekday look like a shift. Rows from before the change that a retraining answers are left out: beside them
    what the model was made for would be a shift again.
    """
    time = spec.table.time
    if split.by != "time" or time is None or not rows.frame[time].dtype.is_temporal():
        return rows.frame.filter(_of_test(rows, split, spec))
    at = moments(rows.frame[time])
    start = at.max() - _WEEK
    if cause is not None:
        start = max(start, micros_of(cause))
    return rows.frame.filter(at >= min(at[rows.test].min(), start))


def arrays(columns: Columns, model: Model) -> dict[str, np.ndarray]:
    """Return columns as `watch.histograms` counts them.

    Of a text it is its number of characters, of a history its number of items, of a picture what it looks like, of recent values the newest. Dates and times move on by themselves and are left out.
    """
    window = model.package.encoder.window
    if window is not None:
        return {window.recent: _newest(columns[window.recent])}
    if model.package.encoder.items:
        return {
            name: np.array([*(len(read_list(one)) for one in values.levels), 0.0])[values.codes]
            for name, values in columns.items()
            if isinstance(values, Levels)
        }
    texts = {text.column for text in model.package.encoder.texts}
    found: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if name in model.pictures and isinstance(values, Levels):
            missing = np.full((1, len(LOOKS)), np.nan)
            seen = np.concatenate([model.pictures[name].looks(values.levels), missing])[values.codes]
            found |= {f"{name}:{look}": seen[:, i].astype(np.float64) for i, look in enumerate(LOOKS)}
        elif not isinstance(values, Instants):
            found[name] = _array(values, is_text=name in texts)
    return found


def _newest(recent: Values) -> np.ndarray:
    """Return the newest value of each row."""
    if not isinstance(recent, Levels):
        return np.empty(0)
    numbers = [
        next((one for one in reversed(read_numbers(text)) if not math.isnan(one)), np.nan)
        for text in recent.levels
    ]
    return np.array([*numbers, np.nan])[recent.codes]


def _array(values: Values, *, is_text: bool) -> np.ndarray:
    if isinstance(values, Levels) and is_text:
        return np.array([*map(len, values.levels), np.nan])[values.codes]
    if isinstance(values, Levels):
        # The entry for missing stands last, where the code -1 finds it.
        return np.array([*values.levels, None], dtype=object)[values.codes]
    assert isinstance(values, Numbers)  # noqa: S101 -- instants were left out
    return values.values


def predictions(answers: Sequence[Mapping[str, Any]], package: Package) -> np.ndarray:
    """Return what is watched of answers: the probability of the positive class, the class, or the number."""
    return rules_of(package.task).watched(answers, package.classes)


def seen_by(encoder: Encoder) -> dict[str, frozenset[str]]:
    """Return the values that an encoder knows, by category column."""
    known: dict[str, frozenset[str]] = {}
    for encoding in encoder.encodings:
        if isinstance(encoding, Category | Frequency):
            known[encoding.column] = known.get(encoding.column, frozenset()) | set(encoding.levels)
    return known


def breaches(columns: Columns, contract: ContractSpec) -> dict[str, int]:
    """Count the rows that break the contract, by column."""
    counts = {name: int(broken.sum()) for name, broken in broken_rows(columns, contract).items()}
    return {name: count for name, count in counts.items() if count}


def broken_rows(columns: Columns, contract: ContractSpec) -> dict[str, np.ndarray]:
    """Return which rows break the contract, by column: missing where not allowed, out of range, not allowed."""
    found: dict[str, np.ndarray] = {}
    for name, rule in contract.columns.items():
        values = columns.get(name)
        if isinstance(values, Numbers):
            x = values.values
            broken = np.isnan(x) & (rule.is_gap_a_breach)
            for bound, is_out in ((rule.min, np.less), (rule.max, np.greater)):
                if isinstance(bound, int | float):
                    broken |= is_out(x, bound)
            found[name] = broken
        elif isinstance(values, Levels):
            allowed = [rule.allowed is None or level in rule.allowed for level in values.levels]
            found[name] = ~np.array([*allowed, not rule.is_gap_a_breach], dtype=bool)[values.codes]
    return found


# In a process of its own


def never() -> bool:
    """Wait for as long as it takes."""
    return False


def make_reference_in_child(
    factory: Factory, spec: LineSpec, champion: Version, *, is_stopped: Callable[[], bool] = never
) -> Reference:
    """Compute the reference of a champion in a child process, which may take as much memory as a run, and keep it."""
    name = f"{champion.line}@{champion.version}"

    def look(_waited: float) -> None:
        if is_stopped():
            raise Transient("this process ends", where=name, hint="try again in a moment")

    memory = read_factory_file(factory.root).runs.bytes
    try:
        # It does not stand back: the windows of all lines wait for it.
        arguments = (str(factory.root), name)
        with Child("linewright.line.loop.reference", arguments, memory=memory, gives_way=False) as child:
            release(child.receive(quiet=look))
    except ChildEnded as ended:
        raise Terminal(
            "the process that computes what live rows are compared with has ended",
            where=name,
            found=end_in_words(ended.end),
            hint="allow more memory, if it took too much (factory.yaml: runs: {memory: …})",
        ) from ended
    settled = factory.metadata.settled(digest_of(_step(factory, spec, champion)))
    if settled is None:
        raise Transient("the line's file has changed meanwhile", where=name, hint="try again in a moment")
    return factory.metadata.get(settled, Reference)


def main(root: str, model: str, word: str) -> int:
    """Compute the reference of a model, and say that it is kept."""
    forbid_pickles()
    channel = parent(word)

    def make() -> Json:
        with faults_explained(Path(root)), Factory.open(Path(root)) as factory:
            champion = find_model(factory, model)
            reference_for(factory, factory.line(champion.line), champion)
        return True

    channel.send(capture(make, f"the reference of {model}"))
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
