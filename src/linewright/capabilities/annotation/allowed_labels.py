"""What a label of a line may be: as its champion says it, and before there is one as the line has read its table."""

import msgspec

from linewright.data.facts import Column, Dataset, Ingested
from linewright.errors import NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.record.data.readings import readings
from linewright.line.record.registry import find_model
from linewright.line.run_context import resolve_task
from linewright.line.spec import LineSpec
from linewright.model.facts import Package, RequestColumn
from linewright.model.task_facts import task_facts
from linewright.serve.feedback.parse import AllowedLabels
from linewright.store.protocols import Version
from linewright.text.good_and_faulty import good_and_faulty


class _OfTable(msgspec.Struct, frozen=True, kw_only=True):
    """What a label may be of a line that has no champion."""

    task: str
    label: str
    classes: tuple[str, ...]
    key: str | None
    columns: tuple[RequestColumn, ...]


def champion_of(factory: Factory, line: str) -> Version | None:
    """Return the champion of a line; `None` if it has none."""
    return None if factory.metadata.pointer(line).champion is None else find_model(factory, line)


def newest_dataset(factory: Factory, line: str) -> tuple[str, Ingested]:
    """Return the digest of the newest dataset version that a run has read, and what reading gave."""
    found = readings(factory, line)
    if not found:
        factory.require(line)
        raise NotFound(
            "the line has no dataset yet",
            where=line,
            hint=f"linewright run {line} reads its sources, also where too few rows have a label to train",
        )
    digest, ingested = list(found.items())[-1]
    return digest, factory.metadata.get(ingested, Ingested)


def allowed_labels(factory: Factory, line: str) -> AllowedLabels:
    """Return what a label of a line may be."""
    champion = champion_of(factory, line)
    if factory.line(line).recommend is not None:
        raise RequestError(
            "nobody can say what a user will take, so a line that recommends has no questions for annotators",
            where=line,
            found="recommend",
            allowed="a line that predicts a class or a number",
            hint=f"labels are what users took: linewright feedback {line} FILE",
        )
    if factory.line(line).forecast is not None:
        raise RequestError(
            "time tells what comes, so a line that forecasts has no questions for annotators",
            where=line,
            found="forecast",
            allowed="a line that predicts a class or a number",
            hint=f"read newer values: linewright run {line}",
        )
    if champion is not None:
        return factory.metadata.get(champion.digest, Package)
    digest, ingested = newest_dataset(factory, line)
    return _of_table(factory.line(line), factory.metadata.get(digest, Dataset), ingested)


def _of_table(spec: LineSpec, dataset: Dataset, ingested: Ingested) -> _OfTable:
    column = spec.label.column
    rule = spec.contract.columns.get(column)
    allowed = tuple(str(one) for one in rule.allowed) if rule and rule.allowed else ()
    labels = tuple(sorted({*allowed, *ingested.labels}))
    task = resolve_task(spec, dataset, labels)
    is_class = task_facts(task).label != "number"
    classes = labels if is_class else ()
    if spec.anomaly is not None:  # rows may all be good
        classes = good_and_faulty(labels, spec.label.positive)
    if is_class and len(classes) < 2:
        raise NotFound(
            "nothing says which classes there are",
            where=f"contract.columns.{column}.allowed",
            found=", ".join(classes) or "no row has a label",
            allowed="a list of the classes",
            hint=f"name them in the line file: contract: {{columns: {{{column}: {{type: category, allowed: [no, yes]}}}}}}",
        )
    return _OfTable(
        task=task,
        label=column,
        classes=classes,
        key=spec.table.key,
        columns=tuple(_column(one, spec) for one in dataset.columns),
    )


def _column(column: Column, spec: LineSpec) -> RequestColumn:
    table, label = spec.table, spec.label
    carried = {table.key, table.time, table.known, table.weight, table.group, table.subject}
    carried |= {label.column, label.known, *(label.columns or ()), *table.exclude}
    return RequestColumn(
        name=column.name, type=column.type, role="carried" if column.name in carried else "feature"
    )
