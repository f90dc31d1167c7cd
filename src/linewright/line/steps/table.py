"""The steps of a line, in order, and what each depends on.

A step finds its result by its key, the digest of its name, its code version and its inputs. `plan` and `run` walk
the same table, so that what is planned is what is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from linewright.data.column_roles import roles, unnamed_entities, unnamed_stamps
from linewright.data.dataset.blobs import is_whole
from linewright.data.facts import Dataset, Ingested
from linewright.data.spec import ContractSpec
from linewright.line.record.data.other_sites import PEER
from linewright.line.retention.forgotten import forgotten_of
from linewright.line.retention.forgotten_in_views import forgotten_of_others
from linewright.line.run_context import (
    BACKBONE_FILE,
    CODE_FILE,
    MODEL_FILE,
    Work,
    chosen_by,
    headline,
    missing_texts,
    optional_columns,
    resolve_task,
)
from linewright.line.spec import LineSpec
from linewright.line.steps.rival import rival_of
from linewright.line.views.sources import SENT, VIEW
from linewright.model.spec import ModelSpec
from linewright.store.values import Result, digest_of


@dataclass(frozen=True, kw_only=True)
class LineStep:
    """One step of a line."""

    name: str
    code: int
    """Raised when the step computes something else from the same inputs."""
    doing: str
    """What it does, for a person who waits."""
    inputs: Callable[[Work], dict[str, str]]
    """Everything that its result depends on: name to digest or short text."""
    carried_out_by: str
    """``module:function`` of the function from `Work` to `Result`. Imported when it is first carried out: planning must
    not wait for the training libraries."""
    reads_sources: bool = False
    notes_environment: bool = False
    """Whether it is noted where its result was computed: of what a model's bytes and numbers come from."""
    fits: bool = False
    """Whether libraries that fit models compute in it."""
    keeps_fits: bool = False
    """Whether it keeps what it has finished so far for one that begins again; let go once its result is settled."""

    def do(self, work: Work) -> Result:
        """Compute the result."""
        module, _, function = self.carried_out_by.partition(":")
        return getattr(import_module(module), function)(work)

    def key(self, inputs: Mapping[str, str]) -> str:
        """Return the address under which the result of equal inputs is found."""
        return digest_of({"step": self.name, "code": self.code, "inputs": dict(inputs)})


def settled(step: LineStep, key: str, work: Work) -> str | None:
    """Return the digest of a step's result; `None` where it has to be computed, first or anew.

    The rows of a dataset that were lost from the store are read from the sources again.
    """
    digest = work.metadata.settled(key)
    if digest is None or not step.reads_sources:
        return digest
    dataset = work.metadata.get(work.metadata.get(digest, Ingested).dataset, Dataset)
    return digest if is_whole(dataset, work.factory.artifacts, work.metadata) else None


def _ingest_inputs(work: Work) -> dict[str, str]:
    spec, forgotten = work.spec, forgotten_of(work.factory, work.spec.line).input
    asked = {
        "table": spec.table.model_dump(mode="json", exclude={"limits"}),
        "label": _label(spec, "positive", "delay"),
        "contract": _asked_of_rows(spec.contract),
        "on_new_column": spec.on_new_column,
        "sources": sorted(spec.sources),
        # Rows without a label are good, and which they are hangs on how faulty ones are called.
        **({"faulty": spec.label.positive or ""} if spec.anomaly is not None else {}),
        **({"checks": said} if (said := spec.checks.model_dump(mode="json", exclude_defaults=True)) else {}),
        **_of_task(spec),
        **_of_answers(spec),
        **({"entities": "looked at if named"} if spec.features and not spec.contract.columns else {}),
    }
    others = forgotten_of_others(work.factory, spec.line, spec.features) if spec.features else None
    places = [word + name for name in spec.features for word in (VIEW, SENT)]
    views = {place: work.sources[place] for place in places if place in work.sources}
    return (
        views
        | {f"source:{name}": work.sources[name] for name in spec.sources}
        | {
            "table and contract": digest_of(asked),
            **({"rows known by": work.as_of} if work.as_of else {}),
            **({"list of those who are forgotten": forgotten} if forgotten else {}),
            **({"lists of those whom lines with the same views have forgotten": others} if others else {}),
            **({"labels of annotators": work.annotated.dataset} if work.annotated else {}),
        }
    )


def _label(spec: LineSpec, *without: str) -> dict[str, Any]:
    """Return what a line file says of the label; a word of a later version counts only if it is used, so that no line runs again for it."""
    said = spec.label.model_dump(mode="json", exclude=set(without))
    for later in ("event", "start"):
        if said[later] is None:
            del said[later]
    return said


_OF_ENDPOINTS = frozenset({"explore", "max_age", "remember"})
"""Fields of a section that change neither rows nor models."""
_LATER = frozenset({"allowed", "reconcile", "levels"})
"""Fields of a section that 0.1.0 did not have: they are in a key if they are used."""


def _of_task(spec: LineSpec) -> dict[str, Any]:
    """Return the section of a task that has one: it makes the rows, and the answers."""
    sections = {"recommend": spec.recommend, "forecast": spec.forecast}
    return {
        name: {
            field: value
            for field, value in one.model_dump(mode="json").items()
            if field not in _OF_ENDPOINTS and (value or field not in _LATER)
        }
        for name, one in sections.items()
        if one is not None
    }


def _of_answers(spec: LineSpec) -> dict[str, Any]:
    """Return what is said of the values that endpoints keep, and trains nothing."""
    asked = spec.forecast
    if asked is None:
        return {}
    return {
        **({} if asked.max_age is None else {"max_age": asked.max_age}),
        **({"remember": True} if asked.remember else {}),
    }


def _asked_of_rows(contract: ContractSpec) -> dict[str, Any]:
    """Return what a contract says about the rows alone: neither the clock nor the version before changes a dataset."""
    asked = contract.model_dump(
        mode="json", exclude={"fresh": True, "rows": {"change"}, "checks": {"__all__": {"limits"}}}
    )
    for name, rule in contract.columns.items():
        asked["columns"][name]["nullable"] = (
            rule.may_lack
        )  # whether a request may leave it out changes no row
        del asked["columns"][name]["personal"]  # who sees the values changes none
    return asked


def _split_inputs(work: Work) -> dict[str, str]:
    spec = work.spec
    asked = {
        "split": spec.train.split.model_dump(mode="json"),
        # Rows are copies by what is left without the columns that are excluded, the subject and the weight.
        "table": spec.table.model_dump(mode="json", exclude={"sql", "limits"}),
        "label": _label(spec, "positive"),
        "task": resolve_task(spec, work.dataset, work.ingested.labels),
    }
    moment = {"rows known by": work.as_of} if work.as_of else {}
    more = {"times as many rows": str(work.times_enough)} if work.times_enough > 1 else {}
    shift = {"shift since": work.shift} if work.shift else {}
    return {"dataset": work.ingested.dataset, "split": digest_of(asked), **moment, **more, **shift}


def _train_inputs(work: Work) -> dict[str, str]:
    spec = work.spec
    if work.adopts is not None:
        return _adopt_inputs(work, work.adopts)
    # A cap on seconds ends training or does nothing: it counts as left out.
    train = spec.train.model_copy(update={"max_seconds": None})
    said = train.model_dump(
        mode="json",
        exclude={"split", "metric", "task", "model", "python", "also", "share", "sentences", "pictures"},
    )
    function = train.python and train.python.rpartition(":")[2]
    files = {
        **({"code file": work.sources[CODE_FILE]} if train.python is not None else {}),
        **({"backbone file": work.sources[BACKBONE_FILE]} if BACKBONE_FILE in work.sources else {}),
    }
    pictures = train.pictures and train.pictures.model_dump(mode="json", exclude={"backbone"})
    shares = {} if spec.train.share == "alone" else {"share": spec.train.share}
    if spec.train.sentences != "never":
        shares["sentences"] = spec.train.sentences
    asked = {
        "train": said
        | shares
        | ({"pictures": pictures} if pictures else {})
        | {"also": sorted(set(train.also)), "function": function},
        "metric": chosen_by(work),
        "task": work.task.name,
        "table": spec.table.model_dump(mode="json", exclude={"sql", "limits", "zone"}),
        "columns": sorted(spec.contract.columns),
        **_of_columns(work),
        "label": _label(spec),
        **_of_task(spec),
        **({} if (allowed := work.ingested.allowed) is None else {"may be listed": digest_of(list(allowed))}),
    }
    return {
        "dataset": work.ingested.dataset,
        "split": work.known["split"],
        "training": digest_of(asked),
        **files,
        **{f"rows of {name}": digest for name, digest in work.sources.items() if name.startswith(PEER)},
    }


def _of_columns(work: Work) -> dict[str, Any]:
    """Return what decides, beside the contract and the roles, which columns of a dataset are features; nothing where those alone do."""
    spec = work.spec
    taken = {name for name in roles(spec).values() if name} | set(spec.table.exclude)
    left_out = set() if spec.contract.columns else unnamed_stamps(spec) - taken
    entities = unnamed_entities(spec, work.entities)
    return {
        **({"entities left out": sorted(entities)} if entities else {}),
        **({"features": "all of views"} if spec.features and spec.contract.columns else {}),
        **({"stamps left out": sorted(left_out)} if left_out else {}),
    }


def _adopt_inputs(work: Work, model: ModelSpec) -> dict[str, str]:
    spec = work.spec
    asked = {
        "model": model.model_dump(
            mode="json",
            exclude={"file", *(name for name in ("scale", "size") if getattr(model, name) is None)},
        ),
        "task": work.task.name,
        "table": spec.table.model_dump(mode="json", exclude={"sql", "limits", "zone"}),
        "label": _label(spec),
        **_of_columns(work),
    }
    return {
        "dataset": work.ingested.dataset,
        "split": work.known["split"],
        "model file": work.sources[MODEL_FILE],
        "training": digest_of(asked),
        # All that the metric changes.
        "baseline": "median" if chosen_by(work) == "mae" else "mean",
    }


def _package_inputs(work: Work) -> dict[str, str]:
    return {
        "model": work.known["train"],
        "missing texts": digest_of(missing_texts(work.spec)),
        "columns of a row": digest_of(work.ingested.row_sql),
        "columns that a request may leave out": digest_of(optional_columns(work.spec)),
        **({"feature views": digest_of(facts)} if (facts := work.views) else {}),
    }


def _explain_inputs(work: Work) -> dict[str, str]:
    return {"package": work.known["package"], "split": work.known["split"]}


def _decide_inputs(work: Work) -> dict[str, str]:
    value, maintenance = work.spec.value, work.spec.maintenance
    return {
        "package": work.known["package"],
        "value": digest_of(value.model_dump(mode="json", exclude={"against"}) if value else None),
    } | (
        ({"maintenance": digest_of(["as-new", maintenance.model_dump(mode="json")])} if maintenance else {})
        | ({"anomaly": digest_of(work.spec.anomaly.model_dump(mode="json"))} if work.spec.anomaly else {})
    )


def _evaluate_inputs(work: Work) -> dict[str, str]:
    return {
        "decision": work.known["decide"],
        "explanation": work.known["explain"],
        "split": work.known["split"],
        "metric": headline(work),
    }


def _gate_inputs(work: Work) -> dict[str, str]:
    gates = [gate.model_dump(mode="json") for gate in work.spec.gates]
    rival = rival_of(work, work.decision.package)
    return {
        "decision": work.known["decide"],
        "split": work.known["split"],
        "gates": digest_of(gates),
        "evaluation": work.known["evaluate"],
        "rival": rival.digest,
    } | ({"reason not to compare": digest_of(rival.incomparable)} if rival.incomparable else {})


STEPS = (
    LineStep(
        name="ingest",
        code=1,
        doing="reading the sources and checking the contract",
        inputs=_ingest_inputs,
        carried_out_by="linewright.line.steps.ingest:ingest_step",
        reads_sources=True,
    ),
    LineStep(
        name="split",
        code=1,
        doing="splitting training and test rows",
        inputs=_split_inputs,
        carried_out_by="linewright.line.steps.ingest:split_step",
    ),
    LineStep(
        name="train",
        code=1,
        doing="training",
        inputs=_train_inputs,
        carried_out_by="linewright.line.steps.train:train_step",
        notes_environment=True,
        fits=True,
        keeps_fits=True,
    ),
    LineStep(
        name="package",
        code=1,
        doing="exporting the model and proving that the export answers alike",
        inputs=_package_inputs,
        carried_out_by="linewright.line.steps.train:package_step",
        notes_environment=True,
        fits=True,
    ),
    LineStep(
        name="explain",
        code=1,
        doing="explaining it on the test rows",
        inputs=_explain_inputs,
        carried_out_by="linewright.line.steps.explain:explain_step",
        notes_environment=True,
        fits=True,
    ),
    LineStep(
        name="decide",
        code=1,
        doing="choosing the threshold, if there is one",
        inputs=_decide_inputs,
        carried_out_by="linewright.line.steps.choose_threshold:decide_step",
        notes_environment=True,
    ),
    LineStep(
        name="evaluate",
        code=1,
        doing="evaluating it on the test rows",
        inputs=_evaluate_inputs,
        carried_out_by="linewright.line.steps.evaluate:evaluate_step",
        notes_environment=True,
    ),
    LineStep(
        name="gate",
        code=1,
        doing="comparing it with the gates",
        inputs=_gate_inputs,
        carried_out_by="linewright.line.steps.evaluate:gate_step",
    ),
)


def load_steps() -> None:
    """Import what carries out the steps, ahead of the first one."""
    for step in STEPS:
        import_module(step.carried_out_by.partition(":")[0])
