"""Checking a line: is the file right, and do the data keep the contract. Nothing is run, nothing is kept."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from linewright.data.contract import breach
from linewright.data.facts import Column, Dataset, Finding
from linewright.data.ingest import check_sources, labels_of
from linewright.data.read import open_source, whole
from linewright.data.references import table_sources
from linewright.data.roles import too_few_groups
from linewright.data.seen import as_declared
from linewright.data.spec import FileSource
from linewright.data.table import build_table
from linewright.data.traps import Trap
from linewright.errors import ContractBreach, LinewrightError, SpecError
from linewright.features.learn import learn
from linewright.line.alerts import last_retraining
from linewright.line.checks import Problem, check_task
from linewright.line.factory import Factory
from linewright.line.file import placed, unsupported
from linewright.line.mistakes import did_you_mean, dotted
from linewright.line.promised import before_of, promises, recalled, stop_if_broken
from linewright.line.spec import LineSpec
from linewright.line.traps import column_traps, row_traps
from linewright.line.work import (
    LEARNABLE,
    MODEL_FILE,
    Work,
    feature_columns,
    label_text,
    read_model_file,
    resolve_task,
)
from linewright.model.given import look_at
from linewright.model.spec import FairnessGate
from linewright.model.tasks import task as rules_of


class Sound(NamedTuple):
    """What was found out about a line that can run."""

    rows: int
    """Rows that keep the contract."""
    quarantined: int
    """Rows that would go to quarantine."""
    findings: tuple[Finding, ...]
    """Rules that did not hold."""
    doubts: tuple[str, ...]
    """What would leave a run without an answer, is said in vain, or misleads."""
    traps: tuple[Trap, ...] = ()
    """Those of the doubts that the data raise, each with its figures and the line to write."""


def check_line(factory: Factory, name: str) -> Sound:
    """Return what is found out about a line that can run.

    Raises
    ------
    SpecError
        If the line file is wrong, asks for a station that does not exist yet, or asks for what the data do not have.
    RequestError
        If a model that it names cannot serve.
    ContractBreach
        If the data break a rule that stops the run.
    """
    path = factory.path_of(name)
    spec = factory.line(name)
    refuse(unsupported(spec, path))
    try:
        return _check_data(factory, spec)
    except LinewrightError as error:
        raise placed(error, path) from error


def _check_data(factory: Factory, spec: LineSpec) -> Sound:
    if spec.train.model is not None:
        look_at(read_model_file(factory, spec.train.model), where=f"{MODEL_FILE}.file")
    sources = [open_source(name, one, factory.root) for name, one in spec.sources.items()]
    try:
        checked = check_sources(sources, spec, scratch=factory.scratch)
    except (SpecError, ContractBreach) as error:
        raise recalled(error, before_of(factory, spec.line)) from error
    if checked.stop is not None:
        raise breach(checked, None)
    refuse(_contradictions(spec, checked.frame, checked.columns))
    dataset = Dataset(columns=checked.columns, rows=checked.frame.height, order=(), chunks=())
    promised = promises(factory, spec, checked.frame, dataset, sources)
    stop_if_broken(promised, checked.findings)
    traps = _traps(spec, checked.frame, checked.columns)
    return Sound(
        checked.frame.height,
        len(checked.quarantined),
        (*checked.findings, *promised),
        (
            *_doubts(factory, spec, checked.frame),
            *(trap.to_text() for trap in traps),
        ),
        traps,
    )


def _traps(spec: LineSpec, frame: pl.DataFrame, columns: tuple[Column, ...]) -> tuple[Trap, ...]:
    seen = {
        column.name: as_declared(column.name, column.type, frame[column.name])
        for column in columns
        if column.type in {*LEARNABLE, "text"}
    }
    return (*column_traps(spec, seen), *row_traps(spec, seen))


def group_doubts(factory: Factory, spec: LineSpec) -> tuple[str, ...]:
    """Return what too few groups leave undecided, as `check_line` says it; the table is read only where it is parted by groups.

    Nothing where the table cannot be made: a run, or `check_line`, says why.
    """
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


def _doubts(factory: Factory, spec: LineSpec, frame: pl.DataFrame) -> tuple[str, ...]:
    return (
        *_missing_doubts(factory, spec),
        *_group_doubts(spec, frame),
        *_fairness_doubts(spec, frame),
        *_model_doubts(factory, spec),
    )


def _missing_doubts(factory: Factory, spec: LineSpec) -> Iterator[str]:
    """Name the spellings of "no value" that stand nowhere in their source: numbers are compared as text too."""
    for name, source in spec.sources.items():
        if not isinstance(source, FileSource) or set(source.missing) <= {""}:
            continue
        frame = whole(open_source(name, source.model_copy(update={"missing": ("",)}), factory.root)).frame
        texts = [column.drop_nulls() for column in frame.iter_columns() if column.dtype == pl.String]
        for word in filter(None, source.missing):
            if not any((column == word).any() for column in texts):
                near = _same_number(word, texts)
                yield f"sources.{name}.missing: {word!r} stands nowhere in the file" + (
                    f", which spells it {near!r}" if near else ""
                )


def _same_number(word: str, texts: Sequence[pl.Series]) -> str | None:
    """Return how the texts spell the number that a word is."""
    number = pl.Series([word]).cast(pl.Float64, strict=False)[0]
    for column in texts if number is not None else ():
        same = column.filter(column.cast(pl.Float64, strict=False) == number)
        if len(same):
            return str(same[0])
    return None


def _group_doubts(spec: LineSpec, frame: pl.DataFrame) -> Iterator[str]:
    group = spec.table.group
    if group is not None and _is_by_group(spec):
        says = too_few_groups(frame[group].drop_nulls().n_unique())
        if says:
            yield f"{group}: {says}"


def _fairness_doubts(spec: LineSpec, frame: pl.DataFrame) -> Iterator[str]:
    """Say which fairness gates would wait for ever, because the test part holds too few rows of two groups."""
    labelled, share = frame.drop_nulls(spec.label.column), spec.train.split.test
    for number, gate in enumerate(spec.gates):
        if not isinstance(gate, FairnessGate):
            continue
        groups = labelled[gate.fairness].value_counts(sort=True, name="rows").head(2)
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
    if spec.train.model is not None and last_retraining(factory, spec.line) is not None:
        yield (
            f"{MODEL_FILE}: the line has been trained again since, so this file is no longer looked at; "
            "take it out of the line file, or make a line of its own for it"
        )


def _contradictions(spec: LineSpec, frame: pl.DataFrame, columns: tuple[Column, ...]) -> list[SpecError]:
    """Return what the line asks for and the data do not have: what a run would stumble over later."""
    dataset = Dataset(columns=columns, rows=frame.height, order=(), chunks=())
    labelled = frame.drop_nulls(spec.label.column)
    if labelled.is_empty():
        return [SpecError("no row has a label", where="label.column", found=spec.label.column)]
    task = resolve_task(spec, dataset, labels_of(frame[spec.label.column]))
    found = _contradictions_of(spec, frame.columns, task)
    try:
        rules, labels = rules_of(task), label_text(labelled, spec.label.column)
        rules.target(labels, rules.classes(labels, spec.label.positive))
        learn(labelled, feature_columns(spec, dataset))
    except SpecError as error:
        found.append(error)
    return found


def contradictions_of(work: Work) -> list[SpecError]:
    """Return what a line asks for and its dataset or its task does not have."""
    task = resolve_task(work.spec, work.dataset, work.ingested.labels)
    return _contradictions_of(work.spec, [column.name for column in work.dataset.columns], task)


def _contradictions_of(spec: LineSpec, columns: Sequence[str], task: str) -> list[SpecError]:
    problems = [*_unknown_groups(spec, columns), *check_task(spec, task)]
    return [
        SpecError(one.what, where=dotted(one.path), found=one.found, allowed=one.allowed, hint=one.hint)
        for one in problems
    ]


def _unknown_groups(spec: LineSpec, columns: Sequence[str]) -> Iterator[Problem]:
    for number, gate in enumerate(spec.gates):
        if isinstance(gate, FairnessGate) and gate.fairness not in columns:
            near = did_you_mean(gate.fairness, columns)
            yield Problem(
                path=("gates", number, "fairness"),
                what="the table keeps no such column",
                found=gate.fairness,
                allowed=", ".join(columns),
                hint=near or "name it in contract.columns, or in table.exclude if the model shall not see it",
            )


def refuse(errors: list[SpecError]) -> None:
    """Raise the first error, which then carries all of them; nothing where there is none."""
    if not errors:
        return
    first = errors[0]
    parts = first.to_parts()
    parts["details"] = {"errors": [error.to_json() for error in errors]}
    raise SpecError(**parts)
