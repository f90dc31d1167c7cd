"""The stations of a line, in order, and what each depends on.

A station finds its result by its key, the digest of its name, its code version and its inputs. `plan` and `run` walk
the same table, so that what is planned is what is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from linewright.data.ingest import ingest
from linewright.data.split import split
from linewright.line.compare import BASELINE, fair_rows, rival_of, scores_of
from linewright.line.training import missing_texts, package_station, train_station
from linewright.line.work import Work, label_text, resolve_task, weights
from linewright.model.evaluate import evaluate
from linewright.model.facts import Certificate, Evaluation, Package
from linewright.model.gates import certify
from linewright.model.spec import FairnessGate
from linewright.store.values import Result, digest_of


@dataclass(frozen=True, kw_only=True)
class Station:
    """One step of a line."""

    name: str
    code: int
    """Raised when the station computes something else from the same inputs."""
    doing: str
    """What it does, for a person who waits."""
    inputs: Callable[[Work], dict[str, str]]
    """Everything that its result depends on: name to digest or short text."""
    do: Callable[[Work], Result]
    reads_sources: bool = False

    def key(self, inputs: Mapping[str, str]) -> str:
        """Return the address under which the result of equal inputs is found."""
        return digest_of({"station": self.name, "code": self.code, "inputs": dict(inputs)})


def words(part: str) -> str:
    """Return what an input is called in a sentence."""
    return f"source {part.removeprefix('source:')!r}" if part.startswith("source:") else f"the {part}"


def _ingest_inputs(work: Work) -> dict[str, str]:
    spec = work.spec
    asked = {
        "table": spec.table.model_dump(mode="json"),
        "label": spec.label.model_dump(mode="json", exclude={"positive", "delay"}),
        "contract": spec.contract.model_dump(mode="json"),
        "on_new_column": spec.on_new_column,
        "sources": sorted(spec.sources),
    }
    return {f"source:{name}": print_ for name, print_ in work.sources.items()} | {
        "table and contract": digest_of(asked)
    }


def _split_inputs(work: Work) -> dict[str, str]:
    spec = work.spec
    asked = {
        "split": spec.train.split.model_dump(mode="json"),
        "table": spec.table.model_dump(mode="json", include={"key", "time", "known", "group", "zone"}),
        "label": spec.label.model_dump(mode="json", exclude={"positive"}),
        "task": resolve_task(spec, work.dataset),
    }
    return {"dataset": work.ingested.dataset, "split": digest_of(asked)}


def _train_inputs(work: Work) -> dict[str, str]:
    spec = work.spec
    asked = {
        "train": spec.train.model_dump(mode="json", exclude={"split", "metric", "task"}),
        "task": work.rules.name,
        "table": spec.table.model_dump(mode="json", exclude={"sql", "zone"}),
        "columns": sorted(spec.contract.columns),
        "label": spec.label.model_dump(mode="json"),
        "value": spec.value.model_dump(mode="json") if spec.value else None,
    }
    return {"dataset": work.ingested.dataset, "split": work.known["split"], "training": digest_of(asked)}


def _package_inputs(work: Work) -> dict[str, str]:
    formats = {name: rule.format for name, rule in work.spec.contract.columns.items()}
    return {"model": work.known["train"], "columns": digest_of([formats, missing_texts(work.spec)])}


def _evaluate_inputs(work: Work) -> dict[str, str]:
    return {"package": work.parity.package, "split": work.known["split"], "metric": headline(work)}


def _gate_inputs(work: Work) -> dict[str, str]:
    gates = [gate.model_dump(mode="json") for gate in work.spec.gates]
    rival = rival_of(work, work.parity.package)
    return {
        "package": work.parity.package,
        "split": work.known["split"],
        "gates": digest_of(gates),
        "evaluation": work.known["evaluate"],
        "rival": rival.digest,
    }


def headline(work: Work) -> str:
    """Return the metric that people read first."""
    return work.rules.metrics[0] if work.spec.train.metric == "auto" else work.spec.train.metric


def _ingest(work: Work) -> Result:
    return ingest(work.factory.context, work.spec, work.factory.root)


def _split(work: Work) -> Result:
    return split(work.factory.context, work.ingested.dataset, work.dataset, work.spec.train.split, work.spec)


def _clusters(work: Work, rows: np.ndarray) -> np.ndarray | None:
    if work.split.by != "group" or work.spec.table.group is None:
        return None
    groups = label_text(work.rows.frame[rows], work.spec.table.group)
    return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]


def _evaluate(work: Work) -> Evaluation:
    rows, trained, rules = work.rows.test, work.trained, work.rules
    frame = work.rows.frame[rows]
    return evaluate(
        package=work.parity.package,
        split=work.known["split"],
        task=rules.name,
        classes=trained.classes,
        headline=headline(work),
        truth=rules.target(label_text(frame, work.spec.label.column), trained.classes),
        scores=scores_of(work, work.parity.package, rows),
        baseline_scores=rules.baseline_scores(trained.baseline, len(rows)),
        weight=weights(frame, work.spec),
        clusters=_clusters(work, rows),
        threshold=trained.threshold,
        seed=work.factory.context.seed(work.parity.package),
    )


def _gate(work: Work) -> Certificate:
    rules, trained, package = work.rules, work.trained, work.parity.package
    rival = rival_of(work, package)
    fair = fair_rows(work, rival.digest)
    frame = work.rows.frame[fair.rows]
    compared = rival.digest != BASELINE
    certificate = certify(
        package=package,
        rival=rival.digest,
        gates=work.spec.gates,
        headline=headline(work),
        task=rules.name,
        classes=trained.classes,
        truth=rules.target(label_text(frame, work.spec.label.column), trained.classes),
        scores=scores_of(work, package, fair.rows),
        rival_scores=scores_of(work, rival.digest, fair.rows) if compared else None,
        rival_threshold=work.metadata.get(rival.digest, Package).threshold if compared else None,
        baseline_scores=rules.baseline_scores(trained.baseline, len(fair.rows)),
        weight=weights(frame, work.spec),
        clusters=_clusters(work, fair.rows),
        threshold=trained.threshold,
        groups={
            gate.fairness: np.asarray(label_text(frame, gate.fairness), dtype=object)
            for gate in work.spec.gates
            if isinstance(gate, FairnessGate)
        },
        split=work.known["split"],
        rows_digest=fair.digest,
        excluded=fair.excluded,
        seed=work.factory.context.seed(digest_of([package, rival.digest])),
    )
    return msgspec.structs.replace(certificate, evaluation=work.known["evaluate"])


STATIONS = (
    Station(
        name="ingest",
        code=1,
        doing="reading the sources and checking the contract",
        inputs=_ingest_inputs,
        do=_ingest,
        reads_sources=True,
    ),
    Station(name="split", code=1, doing="parting training and test rows", inputs=_split_inputs, do=_split),
    Station(name="train", code=1, doing="training", inputs=_train_inputs, do=train_station),
    Station(
        name="package",
        code=1,
        doing="exporting the model and proving that the export answers alike",
        inputs=_package_inputs,
        do=package_station,
    ),
    Station(
        name="evaluate", code=1, doing="judging it on the test rows", inputs=_evaluate_inputs, do=_evaluate
    ),
    Station(name="gate", code=1, doing="asking the gates", inputs=_gate_inputs, do=_gate),
)
