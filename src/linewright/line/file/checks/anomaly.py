"""Checks of a line file that looks for anomalies: what makes no sense where good rows alone are learned from."""

from collections.abc import Iterator

from linewright.line.file.checks.problem import Problem
from linewright.line.file.checks.task_section import Refused, refused, section_and_task
from linewright.line.spec import LineSpec
from linewright.model.spec import FairnessGate

_TASK = "anomaly"


def finds_anomalies(spec: LineSpec) -> Iterator[Problem]:
    """Give each contradiction of a line that looks for anomalies, or that has the section without the task."""
    yield from section_and_task(
        spec,
        _TASK,
        spec.anomaly,
        says="a line that looks for anomalies says how many alarms are allowed",
        example="anomaly: {}",
    )
    if spec.train.task != _TASK or spec.anomaly is None:
        return
    train = spec.train
    said: tuple[Refused, ...] = (
        (
            ("table", "weight"),
            spec.table.weight,
            "each good row counts once; leave out what shall not in table.sql",
        ),
        (("label", "columns"), spec.label.columns, "the label is one column"),
        (("label", "event"), spec.label.event, "a fault does not take time"),
        (("train", "model"), train.model, "a model of a file says no shares of good rows yet"),
        (("train", "python"), train.python, "a custom estimator learns from both classes"),
        (
            ("train", "engine"),
            train.engine if train.engine != "built-in" else None,
            "other engines learn from both classes",
        ),
        (
            ("train", "share"),
            train.share if train.share != "alone" else None,
            "each site learns from its own good rows",
        ),
        (("train", "also"), train.also or None, "isolation forests and distances are tried"),
        (
            ("train", "budget"),
            train.budget if train.budget != "normal" else None,
            "the same few models are tried in each case",
        ),
        (
            ("train", "prefer"),
            train.prefer if train.prefer != "accuracy" else None,
            "there is one model, and no sum of several",
        ),
        (
            ("train", "max_seconds"),
            train.max_seconds,
            "training has a fixed limit of rows, and takes minutes",
        ),
        (
            ("train", "folds"),
            train.folds if spec.reads_pictures else None,
            "a picture is measured by patches of the other pictures",
        ),
    )
    yield from refused(_TASK, said)
    if spec.label.column in spec.table.exclude:
        yield Problem(
            path=("table", "exclude"),
            what="no model uses the label as a feature",
            found=spec.label.column,
            hint="remove it from the list",
        )
    files = [name for name, rule in spec.contract.columns.items() if rule.type == "file"]
    others = sorted(set(spec.contract.columns) - set(files) - set(_named(spec)))
    if files and (len(files) > 1 or others):
        yield Problem(
            path=("contract", "columns", (files + others)[1]),
            what="anomalies are looked for in one column of pictures, or in a table without any",
            found=", ".join([*files, *others])[:200],
            hint="exclude the other columns (table.exclude), or make a line for each",
        )
    for index, gate in enumerate(spec.gates):
        if isinstance(gate, FairnessGate):
            yield Problem(
                path=("gates", index, "fairness"),
                what="this is not for lines that look for anomalies: few rows are known to be faulty",
                found=gate.fairness,
                hint="remove it",
            )


def _named(spec: LineSpec) -> list[str]:
    table, label = spec.table, spec.label
    named = (table.key, table.time, table.known, table.group, table.subject, label.column, label.known)
    return [*(name for name in named if name is not None), *table.exclude]
