"""What the step ``train`` does of a line that looks for anomalies."""

from functools import partial
from importlib.metadata import version

import numpy as np

from linewright.data.column_roles import feature_columns
from linewright.data.dataset.split import folds
from linewright.features.encode_table import encode_table
from linewright.features.learn import learn
from linewright.line.run_context import Work
from linewright.line.split_rows import label_text
from linewright.model.anomaly.learn import Learned, TaughtRows, learn_anomaly, require_good
from linewright.model.facts import Calibration, Trained
from linewright.model.pictures import picture_of, readers_of
from linewright.model.train.scored_rows import Scored, to_bytes

_LIBRARIES = ("numpy", "onnx", "scikit-learn")


def train_anomaly(work: Work) -> Trained:
    """Learn what good rows are like; rows that are known to be faulty choose the model and the threshold, and teach nothing."""
    context, rows, spec, rules = work.factory.context, work.rows.train, work.spec, work.rules
    classes = rules.classes(work.ingested.labels, spec.label.positive)
    target = rules.target(label_text(work.rows.frame[rows], spec.label.column), classes)
    good = rows[target == 0]
    require_good(len(good))
    seed = context.seed(work.known["split"])
    columns = feature_columns(spec, work.dataset)
    artifacts, kept = context.artifacts, work.factory.features_of
    features = work.rows.frame.select([*(column.name for column in columns), spec.label.column])
    encoder = learn(features[good], columns, partial(picture_of, artifacts=artifacts, kept=kept))
    x = encode_table(encoder, features[rows], pictures=readers_of(encoder, artifacts.get, kept))
    place = np.full(work.rows.frame.height, -1)
    place[rows] = np.arange(len(rows))
    pairs = folds(work.rows.frame, work.split, spec, spec.train.fold_count, parts=work.rows.parts)
    learned = learn_anomaly(
        TaughtRows(
            x=x,
            is_faulty=target == 1,
            categorical=encoder.categorical,
            folds=[(place[taught], place[held]) for taught, held in pairs],
            seed=seed,
        ),
        report=context.report,
    )
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=classes,
        encoder=encoder,
        trials=learned.trials,
        chosen=learned.chosen,
        reason=learned.reason,
        native=artifacts.put(learned.native),
        calibration=Calibration(),
        half_width=None,
        baseline=rules.baseline(target, np.ones(len(target)), classes),
        rows=learned.rows,
        seed=seed,
        libraries={name: version(name) for name in _LIBRARIES},
        executed=learned.executed,
        scored=artifacts.put(_scored(learned, rows)),
    )


def _scored(learned: Learned, rows: np.ndarray) -> bytes:
    """Return the rows that the threshold will be chosen by."""
    judged = np.flatnonzero(np.isfinite(learned.score))
    return to_bytes(
        Scored(
            rows=rows[judged].astype(np.int64),
            probability=learned.score[judged],
            weight=np.ones(len(judged)),
        )
    )
