"""The step ``decide``: where the positive class begins, by what decisions are worth."""

from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from linewright.features.encode_table import encode_table
from linewright.line.check.amounts import amounts_in
from linewright.line.run_context import Work
from linewright.line.split_rows import label_text, weights
from linewright.model.facts import Decision, Maintenance, Package
from linewright.model.package.model import keep_package, load, open_model, read_golden
from linewright.model.reasons import LikelierClass
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.threshold import Threshold, choose_alarm_threshold, choose_threshold
from linewright.model.train.scored_rows import from_bytes
from linewright.model.value_amounts import value_of
from linewright.serve.rows.scorer import Scorer

_MOST_ROWS = 20_000
"""Training rows that show what is as good as new, at most."""


def decide_step(work: Work) -> Decision:
    """Choose the threshold on the training rows, and keep the package that decides by it; nothing is trained."""
    package = work.metadata.get(work.parity.package, Package)
    if not rules_of(package.task).has_positive:
        return Decision(package=_maintained(work, package), threshold=None, rows=0)
    threshold, rows = _chosen(work)
    value = value_of(work.spec.value)
    artifacts = work.factory.artifacts
    golden = read_golden(package, artifacts.get)
    decided = replace(
        package,
        threshold=threshold.at,
        value=value,
        golden=artifacts.put(
            msgspec.json.encode(
                {
                    "rows": golden.rows,
                    "predictions": [_decided(one, package, threshold.at) for one in golden.predictions],
                }
            )
        ),
    )
    digest = keep_package(decided, artifacts, work.metadata)
    Scorer(load(digest, artifacts.get)).check_golden(artifacts.get)
    return Decision(package=digest, threshold=threshold.at, reason=threshold.reason, rows=rows, value=value)


def _maintained(work: Work, package: Package) -> str:
    """Keep the package whose answers say by when to act, if the line says what that is worth; return the digest of the one that decides."""
    declared = work.spec.maintenance
    if declared is None:
        return work.parity.package
    artifacts = work.factory.artifacts
    amounts = _as_new(work, package, Maintenance(**declared.model_dump()))
    golden = read_golden(package, artifacts.get)
    answers = open_model(replace(package, maintenance=amounts), artifacts.get(package.graph))
    predictions = Scorer(answers).score(list(golden.rows)) if golden.rows else []
    body = msgspec.json.encode({"rows": golden.rows, "predictions": predictions})
    kept = replace(package, maintenance=amounts, golden=artifacts.put(body))
    digest = keep_package(kept, artifacts, work.metadata)
    Scorer(load(digest, artifacts.get)).check_golden(artifacts.get)
    return digest


def _as_new(work: Work, package: Package, amounts: Maintenance) -> Maintenance:
    """Measure on training rows what a unit of time costs of what is as good as new."""
    frame = work.rows.frame[work.rows.train]
    if frame.height > _MOST_ROWS:  # by chance: every k-th row may be of one and the same machine
        frame = frame[np.sort(np.random.default_rng(0).choice(frame.height, _MOST_ROWS, replace=False))]
    model = open_model(
        package,
        work.factory.artifacts.get(package.graph),
        files=work.factory.artifacts.get,
        kept=work.factory.features_of,
    )
    scores = model.scores(encode_table(package.encoder, frame, readers=model.readers))
    return work.rules.as_new(scores, package.classes, amounts, weights(frame, work.spec))


def _chosen(work: Work) -> tuple[Threshold, int]:
    trained, value = work.trained, value_of(work.spec.value)
    if trained.adopted is not None and value is None:
        return Threshold(at=0.5, reason=LikelierClass()), 0
    scored = from_bytes(work.factory.artifacts.get(str(trained.scored)))
    frame = work.rows.frame[scored.rows]
    if work.spec.anomaly is not None:
        found = choose_alarm_threshold(
            scored.probability,
            work.rules.target(label_text(frame, work.spec.label.column), trained.classes).astype("int64"),
            scored.weight,
            None if value is None else amounts_in(frame, value),
            alarms=work.spec.anomaly.alarms,
        )
        return found, len(scored.rows)
    found = choose_threshold(
        scored.probability,
        work.rules.target(label_text(frame, work.spec.label.column), trained.classes).astype("int64"),
        scored.weight,
        None if value is None else amounts_in(frame, value),
        of="out-of-fold" if trained.adopted is None else "training",
    )
    return found, len(scored.rows)


def _decided(answer: dict[str, Any], package: Package, threshold: float) -> dict[str, Any]:
    """Return the answer to a golden row as it is with a threshold: its probabilities stay."""
    other, positive = package.classes
    is_positive = rules_of(package.task).said([answer], package.classes)[0, 1] >= threshold
    return {**answer, "prediction": positive if is_positive else other, "threshold": threshold}
