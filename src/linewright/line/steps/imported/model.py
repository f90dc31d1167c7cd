"""What is kept of an imported model, whether it reads a table or pictures."""

from collections.abc import Sequence

import numpy as np

from linewright.features.facts import Encoder
from linewright.line.run_context import Work, chosen_by
from linewright.line.split_rows import label_text, weights
from linewright.model.facts import Adopted, Calibration, Trained
from linewright.model.imported.onnx_file import spelled_classes
from linewright.model.reasons import ChosenReason, MadeElsewhere
from linewright.model.spec import ModelSpec
from linewright.model.tasks.prediction_interval import fit_band, half_width
from linewright.model.train.scored_rows import Scored, to_bytes


def classes_of_imported(
    work: Work, asked: ModelSpec, own: Sequence[str], *, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes in the order of the task, and in that of the model; none of numbers."""
    rules, label = work.rules, work.spec.label
    labels = label_text(work.rows.frame[work.rows.train], label.column)
    spelled = spelled_classes(own, labels, said=asked.classes, where=where) if rules.is_class else ()
    # A class that the data lack still has its place among the answers.
    return rules.classes([*labels, *sorted(set(spelled) - set(labels))], label.positive), spelled


def trained_elsewhere(
    work: Work,
    data: bytes,
    scores: np.ndarray,
    *,
    adopted: Adopted,
    classes: tuple[str, ...],
    encoder: Encoder,
    libraries: dict[str, str],
) -> Trained:
    """Return what stands for training: the model's file, and how well it answers the training rows."""
    rules, artifacts, frame = work.rules, work.factory.context.artifacts, work.rows.frame[work.rows.train]
    weight = weights(frame, work.spec)
    target = rules.target(label_text(frame, work.spec.label.column), classes)
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=classes,
        encoder=encoder,
        trials=(),
        chosen="adopted",
        reason=ChosenReason(choice=MadeElsewhere()),
        native=artifacts.put(data),
        calibration=Calibration(),
        half_width=half_width(np.abs(target - scores), weight) if rules.has_interval else None,
        band=fit_band(scores, target.astype(np.float64), weight) if rules.has_interval else None,
        baseline=rules.baseline(target, weight, classes, metric=chosen_by(work)),
        rows=0,
        seed=0,
        libraries=libraries,
        # The threshold will be chosen by all training rows, since nobody knows which of them it has learned from.
        scored=artifacts.put(
            to_bytes(Scored(rows=work.rows.train.astype(np.int64), probability=scores[:, 1], weight=weight))
        )
        if rules.has_positive
        else None,
        adopted=adopted,
    )
