"""What is not wrong with a line, and would yet mislead, leave a run without an answer, or is said in vain."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from linewright.data.profile.column import Seen, misfit_evidence, see_all
from linewright.data.profile.roles import too_few_groups
from linewright.data.quality.redundant import find_sentinels, find_twins
from linewright.data.read.locate import place_of
from linewright.data.read.sniff import missing_spellings
from linewright.data.read.source import Source, clean, open_source
from linewright.data.spec import ColumnRule, SourceSpec, table_sources
from linewright.data.table.build import build_table
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.file.mistakes import did_you_mean
from linewright.line.record.alerts import last_retraining
from linewright.line.record.costs import declared_costs
from linewright.line.run_context import MODEL_FILE
from linewright.line.spec import LineSpec
from linewright.model.spec import BeatsGate, FairnessGate, MetricGate, TrainSpec
from linewright.text.numbers import as_declared
from linewright.text.quoting import quoted

_SAMPLE = 100_000
"""Rows of a source in which values are looked for that may mean "no value"."""


def doubts(factory: Factory, spec: LineSpec, frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the doubts about a line whose file is right.

    Parameters
    ----------
    frame
        The rows that keep the contract.
    """
    return (
        *_missing_doubts(factory, spec),
        *_group_doubts(spec, frame),
        *_margin_doubts(spec),
        *_fairness_doubts(spec, frame),
        *_model_doubts(factory, spec),
        *_amount_doubts(spec),
        *_currency_doubts(factory, spec),
        *_goal_doubts(factory, spec),
    )


def plan_doubts(factory: Factory, spec: LineSpec) -> tuple[str, ...]:
    """Return the doubts that a plan can tell of; the table is read only where it is parted by groups.

    Nothing of groups where the table cannot be made: a run, or `check`, says why.
    """
    return (
        *_planned_groups(factory, spec),
        *_margin_doubts(spec),
        *_model_doubts(factory, spec),
        *_amount_doubts(spec),
    )


def _amount_doubts(spec: LineSpec) -> Iterator[str]:
    """Say that an alarm costs nothing, so that one for each row is best: a minus may be lacking."""
    value = spec.value
    if value is None:
        return
    false_alarm, left_alone = value.false_positive, value.true_negative
    if isinstance(false_alarm, str):
        is_free = not false_alarm.startswith("-") and left_alone == 0
    else:
        is_free = not isinstance(left_alone, str) and false_alarm >= left_alone
    if is_free:
        yield (
            f"value: a false alarm (false_positive {false_alarm}) is worth no less than no alarm (true_negative {left_alone}), so that an alarm for each row is best; write a minus before it if it costs"
        )


def _currency_doubts(factory: Factory, spec: LineSpec) -> Iterator[str]:
    prices = declared_costs(factory)
    if prices is not None and spec.value is not None and prices.currency != spec.value.currency:
        yield (
            f"value.currency is {spec.value.currency}, and costs.currency of {FACTORY_FILE} {prices.currency}: "
            "value and cost are not compared"
        )


def _goal_doubts(factory: Factory, spec: LineSpec) -> Iterator[str]:
    """Say that a line serves a goal that is none, where there are goals."""
    names = [goal.name for goal in factory.file().goals]
    if names and spec.goal is not None and spec.goal not in names:
        near = did_you_mean(spec.goal, names)
        yield f"goal: {FACTORY_FILE} has no goal {spec.goal!r}, but {', '.join(names)}{f'; {near}' if near else ''}"


def _planned_groups(factory: Factory, spec: LineSpec) -> tuple[str, ...]:
    if not _is_by_group(spec):
        return ()
    try:
        names = table_sources(spec)
        table = build_table([open_source(name, one, factory.root) for name, one in names.items()], spec)
        groups = pl.concat([part.frame.select(str(spec.table.group)) for part in table.parts()])
        return tuple(_group_doubts(spec, groups))
    except LinewrightError:
        return ()


def _is_by_group(spec: LineSpec) -> bool:
    by, table = spec.train.split.by, spec.table
    return table.group is not None and (by == "group" or (by != "time" and table.time is None))


def _missing_doubts(factory: Factory, spec: LineSpec) -> Iterator[str]:
    for name, source in spec.sources.items():
        plain = source.with_missing(("",))
        if plain is not None:
            yield from _vain_spellings(open_source(name, plain, factory.root), source)
    # Where SQL makes the table, it may have seen to what means "no value".
    for name, source in table_sources(spec).items() if spec.table.sql is None else ():
        if source.with_missing(("",)) is not None:
            yield from _likely_spellings(open_source(name, source, factory.root), source, spec)


def _vain_spellings(source: Source, how: SourceSpec) -> Iterator[str]:
    """Name the spellings of "no value" that stand nowhere in their source."""
    sought = set(filter(None, how.missing_texts))
    near: dict[str, str] = {}
    for batch in source.batches() if sought else ():
        texts = [column.drop_nulls() for column in batch.frame.iter_columns() if column.dtype == pl.String]
        sought -= {word for word in sought if any((column == word).any() for column in texts)}
        for word in sought - near.keys():
            if spelled := _same_number(word, texts):
                near[word] = spelled
        if not sought:
            return
    for word in filter(sought.__contains__, how.missing_texts):
        spelled = f", which spells it {near[word]!r}" if word in near else ""
        yield f"sources.{source.name}.missing: {word!r} stands nowhere in the file{spelled}"


def _same_number(word: str, texts: Sequence[pl.Series]) -> str | None:
    """Return how the texts spell the number that a word is."""
    number = pl.Series([word]).cast(pl.Float64, strict=False)[0]
    for column in texts if number is not None else ():
        same = column.filter(column.cast(pl.Float64, strict=False) == number)
        if len(same):
            return str(same[0])
    return None


def _likely_spellings(source: Source, how: SourceSpec, spec: LineSpec) -> Iterator[str]:
    """Say which values look as if they meant "no value"; the first rows are looked at."""
    frame = _head(source).drop(spec.table.exclude, strict=False)
    allowed = {word for rule in spec.contract.columns.values() for word in rule.allowed or ()}
    words = [word for word in missing_spellings(frame, spec.label.column) if word not in allowed]
    if words:
        names = ", ".join(name for name in frame.columns if _has_any(frame[name], words))
        said = ", ".join(json.dumps(word, ensure_ascii=False) for word in [*how.missing_texts, *words])
        yield f'{", ".join(map(repr, words))} in {names} may mean "no value": if so, missing: [{said}]'
    seen = see_all(clean(frame, tuple(words)), names=(spec.table.key, spec.table.group))
    yield from _bad_cells(source, seen, spec)
    seen.pop(spec.label.column, None)
    for name, evidence in find_sentinels(seen, find_twins(seen)).items():
        yield f"{name}: {evidence}"


def _bad_cells(source: Source, seen: Mapping[str, Seen], spec: LineSpec) -> Iterator[str]:
    """Name the categories that are numbers or times but for a few cells, unless the contract says what they hold."""
    for name, column in seen.items():
        rule = spec.contract.columns.get(name, ColumnRule(type="category"))
        is_meant = rule.type not in {"category", "text"} or rule.pattern or rule.allowed or rule.references
        if not is_meant and (evidence := misfit_evidence(column, partial(place_of, source))):
            how = f", format: {json.dumps(column.format)}" if column.format else ""
            yield (
                f"{name}: bad cells: {evidence}: as a category, each value is only a name; "
                f"under contract.columns: {quoted(name)}: {{type: {column.type}{how}}} sets such rows aside"
            )


def _head(source: Source) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    for batch in source.batches():
        parts.append(batch.frame)
        if sum(part.height for part in parts) >= _SAMPLE:
            break
    return pl.concat(parts).head(_SAMPLE)


def _has_any(column: pl.Series, words: Sequence[str]) -> bool:
    return column.dtype == pl.String and column.is_in(list(words)).any()


def _group_doubts(spec: LineSpec, frame: pl.DataFrame) -> Iterator[str]:
    group = spec.table.group
    if group is not None and _is_by_group(spec):
        says = too_few_groups(frame[group].drop_nulls().n_unique())
        if says:
            yield f"{group}: {says}"


def _margin_doubts(spec: LineSpec) -> Iterator[str]:
    """Say where each champion may be a little worse than the last, without end."""
    is_held = any(
        isinstance(gate, MetricGate) or (isinstance(gate, BeatsGate) and gate.beats == "baseline")
        for gate in spec.gates
    )
    for number, gate in enumerate(spec.gates):
        if isinstance(gate, BeatsGate) and gate.margin < 0 and not is_held:
            yield (
                f"gates[{number}]: with margin {as_declared(gate.margin)} each champion may be a little worse than the last, and many of "
                "them far worse; put a bar beside it that does not move, {metric: …, at_least: …}, or take the margin out again once the "
                "model that it is for serves"
            )


def _fairness_doubts(spec: LineSpec, frame: pl.DataFrame) -> Iterator[str]:
    """Say which fairness gates would wait for ever, because the test part holds too few rows of two groups."""
    labelled, share = frame.drop_nulls(spec.label.column), spec.train.split.test
    for number, gate in enumerate(spec.gates):
        if not isinstance(gate, FairnessGate):
            continue
        groups = labelled[gate.fairness].alias("value").value_counts(sort=True, name="rows").head(2)
        tested = [(name, round(share * rows)) for name, rows in groups.rows()]
        if len(tested) == 2 and tested[1][1] >= gate.min_group:
            continue
        largest = " and ".join(f"{rows:,} of {name!r}" for name, rows in tested)
        block = "" if gate.when_small == "block" else ", write when_small: block if that must stop a release"
        yield (
            f"gates[{number}]: cannot decide about {gate.fairness}: its largest groups have about {largest} among the "
            f"test rows, and two groups with {gate.min_group:,} are needed (min_group); lower min_group{block}, or "
            "name another column"
        )


def _model_doubts(factory: Factory, spec: LineSpec) -> Iterator[str]:
    plain, train = TrainSpec(), spec.train
    if train.python is not None or train.engine != "built-in":
        words = ("budget", "prefer") if train.python is not None else ("prefer",)
        for word in (one for one in words if getattr(train, one) != getattr(plain, one)):
            yield f"train.{word}: it is said in vain, for one estimator is fitted as it is; take it out of the line file"
    if spec.train.model is not None and last_retraining(factory, spec.line) is not None:
        yield (
            f"{MODEL_FILE}: the line has been trained again since, so this file is no longer looked at; "
            "take it out of the line file, or make a line of its own for it"
        )
