"""Checks of a line file beside its rows: settings that are valid, but mislead, have no effect or leave a run without a decision."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from linewright.data.checks.values import few_groups, find_sentinels
from linewright.data.facts import Edit, Finding
from linewright.data.profile.column import Seen, misfits_of, see_all
from linewright.data.profile.repeated import find_twins
from linewright.data.read.file.sniff import missing_spellings
from linewright.data.read.locate import place_of
from linewright.data.read.source import Source, clean, open_source
from linewright.data.spec import ColumnRule, SourceSpec, table_sources
from linewright.data.table.build import build_table
from linewright.errors import LinewrightError
from linewright.line.check.settings_checks import (
    free_alarms,
    is_by_group,
    margins_without_end,
    missing_approvers,
    not_silenced,
    settings_without_effect,
    warning,
)
from linewright.line.factory import Factory
from linewright.line.record.costs import declared_costs
from linewright.line.spec import LineSpec
from linewright.model.spec import FairnessGate

_SAMPLE = 100_000
"""Rows of a source in which values are looked for that may mean "no value"."""


def check_file(factory: Factory, spec: LineSpec, frame: pl.DataFrame) -> tuple[Finding, ...]:
    """Return what the checks find of a line whose file is right."""
    return not_silenced(
        spec,
        (
            *_missing(factory, spec),
            *_groups(spec, frame),
            *margins_without_end(spec),
            *_fairness(spec, frame),
            *settings_without_effect(factory, spec),
            *free_alarms(spec),
            *_currencies(factory, spec),
            *_goals(factory, spec),
            *missing_approvers(factory, spec),
        ),
    )


def _currencies(factory: Factory, spec: LineSpec) -> Iterator[Finding]:
    prices = declared_costs(factory)
    if prices is not None and spec.value is not None and prices.currency != spec.value.currency:
        yield warning("currency", value=spec.value.currency, costs=prices.currency)


def _goals(factory: Factory, spec: LineSpec) -> Iterator[Finding]:
    """Say that a line serves a goal that is none, where there are goals."""
    names = [goal.name for goal in factory.file().goals]
    if names and spec.goal is not None and spec.goal not in names:
        yield warning("unknown-goal", goal=spec.goal, goals=tuple(names))


def planned_groups(factory: Factory, spec: LineSpec) -> tuple[Finding, ...]:
    """Return what is to be said of the groups of a line that is split by them; nothing where its table cannot be made."""
    try:
        names = table_sources(spec)
        table = build_table([open_source(name, one, factory.root) for name, one in names.items()], spec)
        groups = pl.concat([part.frame.select(str(spec.table.group)) for part in table.parts()])
        return tuple(_groups(spec, groups))
    except LinewrightError:
        return ()


def _groups(spec: LineSpec, frame: pl.DataFrame) -> Iterator[Finding]:
    group = spec.table.group
    if group is not None and is_by_group(spec):
        yield from few_groups(group, frame[group].drop_nulls().n_unique())


def _missing(factory: Factory, spec: LineSpec) -> Iterator[Finding]:
    for name, source in spec.sources.items():
        plain = source.with_missing(("",))
        if plain is not None:
            yield from _unused_spellings(open_source(name, plain, factory.root), source)
    # Where SQL makes the table, it may have seen to what means "no value".
    for name, source in table_sources(spec).items() if spec.table.sql is None else ():
        if source.with_missing(("",)) is not None:
            yield from _likely_spellings(open_source(name, source, factory.root), source, spec)


def _unused_spellings(source: Source, how: SourceSpec) -> Iterator[Finding]:
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
        yield warning("unused-missing", source=source.name, word=word, near=near.get(word))


def _same_number(word: str, texts: Sequence[pl.Series]) -> str | None:
    """Return how the texts spell the number that a word is."""
    number = pl.Series([word]).cast(pl.Float64, strict=False)[0]
    for column in texts if number is not None else ():
        same = column.filter(column.cast(pl.Float64, strict=False) == number)
        if len(same):
            return str(same[0])
    return None


def _likely_spellings(source: Source, how: SourceSpec, spec: LineSpec) -> Iterator[Finding]:
    """Say which values look as if they meant "no value"; the first rows are looked at."""
    frame = _head(source).drop(spec.table.exclude, strict=False)
    allowed = {word for rule in spec.contract.columns.values() for word in rule.allowed or ()}
    words = [word for word in missing_spellings(frame, spec.label.column) if word not in allowed]
    if words:
        names = [name for name in frame.columns if _has_any(frame[name], words)]
        edit = Edit(path=("sources", source.name, "missing"), value=(*how.missing_texts, *words))
        yield warning("likely-missing", *names, remedy=(edit,), words=tuple(words))
    seen = see_all(clean(frame, tuple(words)), names=(spec.table.key, spec.table.group))
    yield from _bad_cells(source, seen, spec)
    seen.pop(spec.label.column, None)
    for name, evidence in find_sentinels(seen, find_twins(seen)).items():
        yield Finding(check="sentinel", severity="warn", columns=(name,), evidence=evidence)


def _bad_cells(source: Source, seen: Mapping[str, Seen], spec: LineSpec) -> Iterator[Finding]:
    """Name the categories that are numbers or times but for a few cells, unless the contract says what they hold."""
    for name, column in seen.items():
        rule = spec.contract.columns.get(name, ColumnRule(type="category"))
        is_meant = rule.type not in {"category", "text"} or rule.pattern or rule.allowed or rule.references
        if not is_meant and (evidence := misfits_of(column, partial(place_of, source))):
            how = {"type": column.type} | ({"format": column.format} if column.format else {})
            edit = Edit(path=("contract", "columns", name), value={**how})
            yield warning("bad-cells", name, remedy=(edit,), **evidence, as_category=1)


def _head(source: Source) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    for batch in source.batches():
        parts.append(batch.frame)
        if sum(part.height for part in parts) >= _SAMPLE:
            break
    return pl.concat(parts).head(_SAMPLE)


def _has_any(column: pl.Series, words: Sequence[str]) -> bool:
    return column.dtype == pl.String and column.is_in(list(words)).any()


def _fairness(spec: LineSpec, frame: pl.DataFrame) -> Iterator[Finding]:
    """Say which fairness gates would wait for ever, because the test part holds too few rows of two groups."""
    labelled, share = frame.drop_nulls(spec.label.column), spec.train.split.test
    for number, gate in enumerate(spec.gates):
        if not isinstance(gate, FairnessGate):
            continue
        groups = labelled[gate.fairness].alias("value").value_counts(sort=True, name="rows").head(2)
        tested = [(name, round(share * rows)) for name, rows in groups.rows()]
        if len(tested) < 2 or tested[1][1] < gate.min_group:
            largest = tuple(f"{rows:,} of {name!r}" for name, rows in tested)
            yield warning(
                "fairness-rows", gate=number, column=gate.fairness, groups=largest, least=gate.min_group
            )
