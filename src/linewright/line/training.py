"""The stations ``train`` and ``package``: from training rows to a model that can serve."""

from functools import partial

import msgspec
import numpy as np
from msgspec import UNSET

from linewright.data.facts import Dataset
from linewright.data.split import folds
from linewright.features.encode import encode
from linewright.features.learn import learn, to_columns
from linewright.line.adopting import adopt, adopted_graph, given_model
from linewright.line.gathering import moments_of_rows
from linewright.line.scoring import json_rows
from linewright.line.work import Work, feature_columns, headline, label_text, missing_texts, weights
from linewright.model.adopt import adopted_parity
from linewright.model.export import to_onnx
from linewright.model.facts import Parity, RequestColumn, Trained
from linewright.model.metrics import metric
from linewright.model.package import Model, build, keep_package, load, open_model
from linewright.model.parity import parity
from linewright.model.train import train
from linewright.model.trainers import read_native
from linewright.serve.scoring import Scorer

GOLDEN_ROWS = 16
"""Rows that an endpoint tries after it has loaded a package."""
PARITY_ROWS = 4096


def train_station(work: Work) -> Trained:
    """Learn the encoder and the model from the training rows alone, or adopt the model that was given."""
    if work.adopts is not None:
        return adopt(work, work.adopts)
    spec, rows, rules = work.spec, work.rows, work.rules
    context = work.factory.context
    frame = rows.frame[rows.train]
    encoder = learn(frame, feature_columns(spec, work.dataset))
    labels = label_text(frame, spec.label.column)
    classes = rules.classes(labels, spec.label.positive)
    target = rules.target(labels, classes)
    weight = weights(frame, spec)
    seed = context.seed(work.known["split"])
    happened = moments_of_rows(work)
    training = train(
        x=encode(encoder, to_columns(frame, encoder.columns)),
        target=target,
        weight=weight,
        encoder=encoder,
        task=rules.name,
        classes=classes,
        folds=_fold_positions(work),
        spec=spec.train,
        value=spec.value,
        seed=seed,
        report=context.report,
        at=None if happened is None else happened[rows.train],
        metric=metric(headline(work), rules.name),
        workers=context.workers,
        fits=work.factory.fits_of(spec.line).part(work.known["split"]),
    )
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=classes,
        encoder=encoder,
        trials=training.trials,
        chosen=training.chosen,
        chosen_because=training.because,
        native=context.artifacts.put(training.native),
        calibration=training.calibration,
        threshold=training.threshold,
        threshold_because=training.threshold_because,
        half_width=training.half_width,
        baseline=rules.baseline(target, np.where(training.learned, weight, 0.0), classes),
        rows=len(target) if training.recent is None else int(training.learned.sum()),
        seed=seed,
        libraries=training.libraries,
        executed=training.executed,
        recent=UNSET if training.recent is None else training.recent,
    )


def _fold_positions(work: Work) -> list[tuple[np.ndarray, np.ndarray]]:
    rows, spec = work.rows, work.spec
    position = np.full(rows.frame.height, -1)
    position[rows.train] = np.arange(len(rows.train))
    pairs = folds(rows.frame, work.split, spec, spec.train.folds, parts=rows.parts)
    return [(position[train], position[valid]) for train, valid in pairs]


def package_station(work: Work) -> Parity:
    """Export the model as a package, and prove that the package answers as the model does."""
    trained, context = work.trained, work.factory.context
    native = context.artifacts.get(trained.native)
    held_out = work.rows.frame[work.rows.test[:PARITY_ROWS]]
    x = encode(trained.encoder, to_columns(held_out, trained.encoder.columns))
    graph = (
        adopted_graph(trained, native, x)
        if trained.adopted
        else to_onnx(native, width=len(trained.encoder.encodings))
    )
    package = partial(
        build,
        trained,
        label=work.spec.label.column,
        key=work.spec.table.key,
        columns=request_columns(work.dataset, trained),
        missing=missing_texts(work.spec),
        graph=graph,
    )
    golden = _golden(work, open_model(package(golden=b""), graph))
    context.artifacts.put(graph)
    context.artifacts.put(golden)
    digest = keep_package(package(golden=golden), context.artifacts, context.metadata)
    model = load(digest, context.artifacts.get)
    Scorer(model).check_golden(context.artifacts.get)
    if trained.adopted:
        return adopted_parity(given_model(trained, native), model, x)
    return parity(read_native(native), model, x=x, seed=context.seed(digest))


def request_columns(dataset: Dataset, trained: Trained) -> tuple[RequestColumn, ...]:
    """Return the columns that a request row may have: those of the table, features first named by the encoder."""
    used = set(trained.encoder.columns)
    return tuple(
        RequestColumn(
            name=column.name,
            type=column.type,
            nullable=column.nullable,
            role="feature" if column.name in used else "carried",
            format=column.format,
        )
        for column in dataset.columns
    )


def _golden(work: Work, model: Model) -> bytes:
    """Rows of the test part as a client would send them, with the answers of the batch path."""
    encoder = model.package.encoder
    frame = work.rows.frame[work.rows.test[:GOLDEN_ROWS]].select(encoder.columns)
    answers = model.answers(model.scores(encode(encoder, to_columns(frame, encoder.columns))))
    return msgspec.json.encode({"rows": json_rows(frame), "predictions": answers})
