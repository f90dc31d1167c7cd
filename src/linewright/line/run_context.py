"""What a run works on: a line as declared, the results so far, and the rows they speak about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from linewright.data.column_roles import feature_columns
from linewright.data.facts import Column, Dataset, Ingested, Split
from linewright.data.profile.label_form import form_of_many
from linewright.data.spec import table_sources
from linewright.errors import SpecError, Transient
from linewright.features.facts import ViewFacts
from linewright.line.factory import Factory
from linewright.line.record.monitoring.alerts import newest_of, shift_open_at
from linewright.line.record.monitoring.refused_candidates import undecided
from linewright.line.spec import LineSpec
from linewright.line.views.column_origins import views_in
from linewright.model.facts import (
    VALUE,
    Certificate,
    Decision,
    Evaluation,
    Explanation,
    Package,
    Parity,
    Trained,
)
from linewright.model.spec import AUTO, ModelSpec
from linewright.model.task_facts import TaskFacts, task_facts, task_of
from linewright.people.facts import RowsAnnotated
from linewright.store.protocols import Metadata
from linewright.store.values import digest_of_bytes
from linewright.text.suggest import near_file

if TYPE_CHECKING:
    from linewright.line.split_rows import Rows
    from linewright.model.tasks import TaskRules

_T = TypeVar("_T")

MODEL_FILE = "train.model"
"""Name under which `Work.sources` has the fingerprint of an imported model."""

BACKBONE_FILE = "train.pictures"
"""Name under which `Work.sources` has the fingerprint of a network of one's own that reads pictures."""

LIVE = "live sources"
"""Under which `Work.once` has the sources, by name, that others may write to, as a run has read them."""

CODE_FILE = "train.python"
"""Name under which `Work.sources` has the fingerprint of the file with a user's own estimator."""


@dataclass(frozen=True)
class Work:
    """What a run works on."""

    factory: Factory
    spec: LineSpec
    sources: Mapping[str, str]
    """Fingerprint of each source, by name; of the model's file too, where one is adopted, and of a user's code."""
    known: Mapping[str, str] = field(default_factory=dict)
    """Digest of the result of each finished step, by name."""
    as_of: str | None = None
    """For a retraining: the instant whose knowledge counts. Rows that were answered and whose truth was known by then
    are part of the table; `None` before the first."""

    def knowing(self, step: str, digest: str) -> "Work":
        """Return the work after one more step; what was read so far is not read again."""
        given = {one.name for one in fields(self)}
        after = replace(self, known={**self.known, step: digest})
        read = {name: value for name, value in vars(self).items() if name not in given}
        vars(after).update(read)
        return after

    def once(self, name: str, read: Callable[[], _T]) -> _T:
        """Return what a step reads and later steps need too: the first that asks reads it."""
        kept = vars(self).setdefault("_kept", {})
        if name not in kept:
            kept[name] = read()
        return kept[name]

    @property
    def metadata(self) -> Metadata:
        """What was computed and what happened in this factory."""
        return self.factory.metadata

    @property
    def adopts(self) -> ModelSpec | None:
        """The model that the run takes instead of training one; `None` where it trains, as every retraining does."""
        return self.spec.train.model if self.as_of is None else None

    @cached_property
    def times_enough(self) -> int:
        """How many times as many rows as usual judge the candidate of a retraining: twice as many as did not decide."""
        return 1 if self.as_of is None else 2 ** undecided(self.factory, self.spec.line, before=self.as_of)

    @cached_property
    def shift(self) -> str | None:
        """When the oldest shift began that was open at the instant of a retraining."""
        return None if self.as_of is None else shift_open_at(self.factory, self.spec.line, self.as_of)

    @property
    def annotated(self) -> RowsAnnotated | None:
        """Which labels people gave to rows of the table, the newest of it; `None` where they gave none. It is looked up once a run."""
        return self.once("annotated", lambda: newest_of(self.factory, self.spec.line, RowsAnnotated))

    @cached_property
    def ingested(self) -> Ingested:
        """What reading the sources gave."""
        return self.metadata.get(self.known["ingest"], Ingested)

    @cached_property
    def views(self) -> tuple[ViewFacts, ...]:
        """The feature views whose columns the rows have."""
        return views_of(self.ingested, self.metadata)

    @cached_property
    def entities(self) -> frozenset[str]:
        """Columns by which the feature views are looked up."""
        return frozenset(name for view in self.views for name in view.entity)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """Columns that a model may use."""
        return feature_columns(self.spec, self.dataset, self.entities)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset version."""
        return self.metadata.get(self.ingested.dataset, Dataset)

    @cached_property
    def split(self) -> Split:
        """Which rows train and which test."""
        return self.metadata.get(self.known["split"], Split)

    @cached_property
    def trained(self) -> Trained:
        """The model before packaging."""
        return self.metadata.get(self.known["train"], Trained)

    @cached_property
    def parity(self) -> Parity:
        """How near the package is to the model; it names the package before its threshold was chosen."""
        return self.metadata.get(self.known["package"], Parity)

    @cached_property
    def explanation(self) -> Explanation:
        """What the package makes of its columns, and what a linear model says of the same rows."""
        return self.metadata.get(self.known["explain"], Explanation)

    @cached_property
    def decision(self) -> Decision:
        """Where the positive class begins."""
        return self.metadata.get(self.known["decide"], Decision)

    @cached_property
    def package(self) -> Package:
        """The model that can serve."""
        return self.metadata.get(self.decision.package, Package)

    @cached_property
    def evaluation(self) -> Evaluation:
        """How good the package is."""
        return self.metadata.get(self.known["evaluate"], Evaluation)

    @cached_property
    def certificate(self) -> Certificate:
        """What the gates said."""
        return self.metadata.get(self.known["gate"], Certificate)

    @cached_property
    def rows(self) -> "Rows":
        """The rows of the dataset version with their parts."""
        from linewright.line.split_rows import read_rows  # noqa: PLC0415 -- who only plans reads none of them

        return read_rows(self.factory, self.dataset, self.split)

    @cached_property
    def task(self) -> TaskFacts:
        """What is asked of the line's task before anything is computed."""
        return task_facts(resolve_task(self.spec, self.dataset, self.ingested.labels))

    @cached_property
    def rules(self) -> "TaskRules":
        """The rules of the line's task."""
        from linewright.model.tasks import task  # noqa: PLC0415 -- who only plans computes nothing, and numpy takes a while to import

        return task(self.task.name)


def resolve_task(spec: LineSpec, dataset: Dataset, labels: tuple[str, ...]) -> str:
    """Return the line's task: what the file says, else what the label asks for.

    Two values mean binary; numbers mean regression, unless they are a few whole ones; all else is multiclass.
    """
    if spec.train.task != AUTO:
        return spec.train.task
    if spec.label.event is not None:
        return task_of("time")
    if spec.label.positive is not None or len(labels) == 2:
        return task_of("two")
    kind = next(column.type for column in dataset.columns if column.name == spec.label.column)
    return task_of(form_of_many(kind, labels))


def headline(work: Work) -> str:
    """Return the metric that people read first."""
    return work.task.metrics[0] if work.spec.train.metric == "auto" else work.spec.train.metric


def chosen_by(work: Work) -> str:
    """Return the metric that may choose among models: that which people read first, but for amounts, which train nothing."""
    first = headline(work)
    return work.task.metrics[0] if first == VALUE else first


def compared_by(work: Work) -> str:
    """Return the metric of comparisons that name none."""
    return VALUE if work.spec.value is not None else headline(work)


def read_model_file(factory: Factory, model: ModelSpec) -> bytes:
    """Return the bytes of the file of an imported model."""
    path = factory.root / model.file
    if path.is_dir():
        raise SpecError(
            "this is a folder",
            where=f"{MODEL_FILE}.file",
            found=model.file,
            allowed="a file of ONNX, LightGBM or XGBoost",
            hint="of an MLflow model, name the file in it; linewright new NAME --model FOLDER finds it",
        )
    if not path.is_file():
        raise _absent(
            path,
            factory.root,
            model.file,
            where=f"{MODEL_FILE}.file",
            allowed="a file of ONNX, LightGBM or XGBoost",
        )
    return path.read_bytes()


def read_backbone(root: Path, backbone: str) -> bytes:
    """Return the bytes of the file of a network that reads pictures."""
    path = root / backbone
    if not path.is_file():
        raise _absent(path, root, backbone, where=f"{BACKBONE_FILE}.backbone", allowed="a file of ONNX")
    return path.read_bytes()


def read_code_file(root: Path, python: str) -> bytes:
    """Return the bytes of the file that ``FILE.py:FUNCTION`` names."""
    file = python.rpartition(":")[0]
    path = (root / file).resolve()
    if not path.is_relative_to(root):
        raise SpecError(
            "the file lies outside of the factory's folder",
            where=CODE_FILE,
            found=file,
            allowed="a file in it",
            hint="move it there: a copy of the folder is then a copy of the line",
        )
    if not path.is_file():
        raise _absent(path, root, file, where=CODE_FILE, allowed="a file of Python in the factory's folder")
    return path.read_bytes()


def _absent(path: Path, root: Path, file: str, *, where: str, allowed: str) -> SpecError:
    return SpecError(
        "there is no such file",
        where=where,
        found=file,
        allowed=allowed,
        hint=near_file(path) or f"paths start from {root}",
    )


def planned_bytes(work: Work, name: str, file: str, read: Callable[[], bytes]) -> bytes:
    """Return the bytes of a file beside the sources as they were planned; kept from then on, so that the model can be rebuilt."""
    planned, artifacts = work.sources[name], work.factory.artifacts
    if artifacts.has(planned):  # run before: its file may be gone by now
        return artifacts.get(planned)
    data = read()
    if digest_of_bytes(data) != planned:
        raise Transient(
            "the file changed after the run was planned",
            where=name,
            found=file,
            hint=f"run again: linewright run {work.spec.line}",
        )
    artifacts.put(data)
    return data


def views_of(ingested: Ingested, metadata: Metadata) -> tuple[ViewFacts, ...]:
    """Return the feature views whose columns the rows have that were read."""
    return tuple(one.facts for one in views_in(metadata, ingested))


def optional_columns(spec: LineSpec) -> list[str]:
    """Return the columns that a request may leave out: those that the contract names nullable."""
    return sorted(name for name, rule in spec.contract.columns.items() if rule.nullable is True)


def missing_texts(spec: LineSpec) -> tuple[str, ...]:
    """Return the texts that mean "no value" in a row of the table; SQL over sources leaves none of them."""
    sources = list(table_sources(spec).values())
    return sources[0].missing_texts if len(sources) == 1 and spec.table.sql is None else ("",)
