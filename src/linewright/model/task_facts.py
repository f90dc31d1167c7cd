"""What is asked of tasks and metrics before anything is computed: reading and planning a line import nothing that computes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from types import MappingProxyType
from typing import Any

from linewright.data.facts import LabelForm
from linewright.model.facts import VALUE, Task


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """What a line file and a plan ask of a task; its rules, a `model.tasks.TaskRules`, say the same."""

    name: Task
    metrics: tuple[str, ...]
    """Metrics that are reported, by their scikit-learn names; the default headline first."""
    label: LabelForm
    loss_name: str
    """What people call the loss that trials are selected by."""
    is_squared: bool = False
    """Whether it is a squared error, which people read as its root."""
    has_positive: bool = False
    """Whether one of two classes is looked for."""
    learns_good: bool = False
    """Whether only rows of the other class are learned from, so that scores do not promise shares of it."""
    baseline_name: str = "prediction without features"
    """What people call that which the first candidate is held against."""


TASK_FACTS: Mapping[str, TaskFacts] = MappingProxyType(
    {
        facts.name: facts
        for facts in (
            TaskFacts(
                name="binary",
                metrics=(
                    "average_precision",
                    "roc_auc",
                    "log_loss",
                    "brier_score",
                    "balanced_accuracy",
                    "f1",
                    "precision",
                    "recall",
                ),
                label="two",
                loss_name="log-loss",
                has_positive=True,
            ),
            TaskFacts(
                name="multiclass",
                metrics=("log_loss", "accuracy", "balanced_accuracy", "f1_macro"),
                label="classes",
                loss_name="log-loss",
            ),
            TaskFacts(
                name="regression",
                metrics=("rmse", "mae", "r2"),
                label="number",
                loss_name="squared error",
                is_squared=True,
            ),
            *(
                TaskFacts(
                    name=name,
                    metrics=("integrated_brier_score", "concordance"),
                    label="time",
                    loss_name="integrated Brier score",
                )
                for name in ("survival", "rul")
            ),
            TaskFacts(
                name="recommend",
                metrics=("ndcg@10", "recall@10", "coverage@10", "novelty@10"),
                label="items",
                loss_name="1 - ndcg@10",
                baseline_name="popular items",
            ),
            TaskFacts(
                name="forecast",
                metrics=("mase", "owa", "smape", "pinball", "coverage"),
                label="values",
                loss_name="scaled error",
                baseline_name="seasonal naive forecast",
            ),
            TaskFacts(
                name="anomaly",
                metrics=("average_precision", "roc_auc", "precision", "recall", "false_positive_rate"),
                label="two",
                loss_name="squared error of the score",
                has_positive=True,
                learns_good=True,
            ),
        )
    }
)
"""Of the tasks that are built in."""


def task_facts(name: str) -> TaskFacts:
    """Return what is asked of a task; of one that a package brings, its rules are loaded for it.

    Examples
    --------
    >>> task_facts("regression").metrics
    ('rmse', 'mae', 'r2')
    """
    if name in TASK_FACTS:
        return TASK_FACTS[name]
    rules = import_module("linewright.model.tasks").task(name)
    return facts_of(rules)


def facts_of(rules: Any) -> TaskFacts:
    """Return what the rules of a task, a `model.tasks.TaskRules`, say of it."""
    return TaskFacts(**{field.name: getattr(rules, field.name) for field in fields(TaskFacts)})


def has_times(task: str) -> bool:
    """Return whether labels of a task are times that may be censored, and its answers curves over the times of a package's `classes`."""
    return task_facts(task).label == "time"


def learns_good(task: str) -> bool:
    """Return whether answers have a score of how odd a row is, in place of probabilities."""
    return task_facts(task).learns_good


def has_classes(task: str) -> bool:
    """Return whether one of several classes is predicted."""
    return task_facts(task).label in {"two", "classes"}


def task_of(form: LabelForm) -> str:
    """Return the task that labels of a form ask for where nobody says otherwise: one of those that are built in.

    Examples
    --------
    >>> task_of("two"), task_of("classes"), task_of("number")
    ('binary', 'multiclass', 'regression')
    """
    return next(facts.name for facts in TASK_FACTS.values() if facts.label == form)


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """What a line file asks of a metric; how it is computed is said by a `model.metrics.definitions.MetricRule`."""

    name: str
    tasks: tuple[Task, ...]
    greater_is_better: bool
    is_bounded: bool
    """Whether all values lie in [0, 1]."""


_ALL: tuple[Task, ...] = ("binary", "multiclass")
_OF_TIMES: tuple[Task, ...] = ("survival", "rul")


def _metric(name: str, *tasks: Task, greater_is_better: bool = True, is_bounded: bool = True) -> MetricFacts:
    return MetricFacts(name=name, tasks=tasks, greater_is_better=greater_is_better, is_bounded=is_bounded)


METRIC_FACTS: Mapping[str, MetricFacts] = MappingProxyType(
    {
        facts.name: facts
        for facts in (
            _metric("average_precision", "binary"),
            _metric("roc_auc", "binary"),
            _metric("log_loss", *_ALL, greater_is_better=False, is_bounded=False),
            _metric("brier_score", "binary", greater_is_better=False),
            _metric("accuracy", *_ALL),
            _metric("balanced_accuracy", *_ALL),
            _metric("f1", "binary"),
            _metric("precision", "binary"),
            _metric("recall", "binary"),
            _metric("f1_macro", *_ALL),
            _metric(VALUE, "binary", "anomaly", is_bounded=False),
            _metric("rmse", "regression", greater_is_better=False, is_bounded=False),
            _metric("mse", "regression", greater_is_better=False, is_bounded=False),
            _metric("mae", "regression", greater_is_better=False, is_bounded=False),
            _metric("mape", "regression", greater_is_better=False, is_bounded=False),
            _metric("r2", "regression", is_bounded=False),
            _metric("integrated_brier_score", *_OF_TIMES, greater_is_better=False, is_bounded=False),
            _metric("concordance", *_OF_TIMES),
            _metric("ndcg@10", "recommend"),
            _metric("recall@10", "recommend"),
            _metric("coverage@10", "recommend"),
            _metric("novelty@10", "recommend", is_bounded=False),
            *(
                _metric(name, "forecast", greater_is_better=False, is_bounded=False)
                for name in ("mase", "owa", "smape", "pinball")
            ),
            _metric("coverage", "forecast"),
            _metric("false_positive_rate", "anomaly", greater_is_better=False),
        )
    }
)
"""Of the metrics that are built in."""


def metrics_known_to(task: Task) -> Mapping[str, MetricFacts]:
    """Return the metrics of a task by their names; of one that a package brings, its rules are loaded for it.

    Examples
    --------
    >>> sorted(metrics_known_to("regression"))
    ['mae', 'mape', 'mse', 'r2', 'rmse']
    """
    if task not in TASK_FACTS:
        return import_module("linewright.model.metrics.definitions").metrics_of(task)
    reported = TASK_FACTS[task].metrics
    return {name: facts for name, facts in METRIC_FACTS.items() if task in facts.tasks or name in reported}


def known_metric(name: str, tasks: Iterable[Task]) -> MetricFacts | None:
    """Return the metric with that name in one of these tasks; `None` where none has it."""
    return next((known[name] for known in map(metrics_known_to, tasks) if name in known), None)
