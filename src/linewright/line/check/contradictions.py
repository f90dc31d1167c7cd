"""What a line file asks for and its dataset or its task does not have, told without a look at the rows."""

from collections.abc import Iterator, Sequence

from linewright.data.facts import Dataset
from linewright.errors import LinewrightError, SpecError
from linewright.line.file.checks.between_sections import Problem, check_task
from linewright.line.file.mistakes import did_you_mean, dotted
from linewright.line.run_context import Work, resolve_task
from linewright.line.spec import LineSpec
from linewright.model.spec import FairnessGate
from linewright.model.value_amounts import columns_of, value_of


def contradictions_of(work: Work) -> list[LinewrightError]:
    """Return what a line asks for and its dataset or its task does not have."""
    task = resolve_task(work.spec, work.dataset, work.ingested.labels)
    return [*contradictions(work.spec, work.dataset, task), *_problems_with_amounts(work)]


def _problems_with_amounts(work: Work) -> Iterator[LinewrightError]:
    value = value_of(work.spec.value)
    if value is not None and columns_of(value):
        from linewright.line.check.amounts import problems_with  # noqa: PLC0415 -- it reads these columns, and polars takes a while to import

        yield from problems_with(work)


def contradictions(spec: LineSpec, dataset: Dataset, task: str) -> list[LinewrightError]:
    """Return what a line asks for that the columns of a dataset, or its task, do not have; amounts aside."""
    columns = [column.name for column in dataset.columns]
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


def refuse(errors: Sequence[LinewrightError]) -> None:
    """Raise the first error, which then carries all of them; nothing where there is none."""
    if not errors:
        return
    first = errors[0]
    parts = first.to_parts()
    parts["details"] = {"errors": [error.to_json() for error in errors]}
    raise type(first)(**parts)
