"""Take an imported network that reads pictures, instead of training a model on the features of a backbone."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from linewright.data.column_roles import feature_columns
from linewright.errors import RequestError, Terminal
from linewright.features.encode_table import encode_table
from linewright.features.facts import LOOKS, Encoder, PicturePart
from linewright.line.run_context import MODEL_FILE, Work, chosen_by
from linewright.line.split_rows import label_text, weights
from linewright.line.steps.pictures import COMPARED
from linewright.model.column_readers import readers_of
from linewright.model.facts import Adopted, Calibration, Parity, Trained
from linewright.model.imported.network import (
    OTHERWISE,
    look_at_network,
    outputs_of,
    scale_of,
    side_of,
    to_backbone,
)
from linewright.model.imported.network_answers import GivenNetwork, form_of_answers, to_head, to_scores
from linewright.model.imported.onnx_file import spelled_classes
from linewright.model.package.model import Model
from linewright.model.pictures import picture_through
from linewright.model.reasons import ChosenReason, MadeElsewhere
from linewright.model.spec import ModelSpec
from linewright.model.tasks.prediction_interval import fit_band, half_width
from linewright.model.train.scored_rows import Scored, to_bytes

WHERE = MODEL_FILE
MOST_COMPARED = 256
"""Test pictures that the package and the file are both asked about."""
ALLOWED = 1e-3
"""Largest difference in a probability, or relative to a number: a network that is rewritten for a processor rounds otherwise."""


def picture_column(work: Work) -> str | None:
    """Return the column of pictures that a model of the line reads; `None` if there is none.

    Raises
    ------
    RequestError
        If there are several.
    """
    names = [one.name for one in feature_columns(work.spec, work.dataset) if one.type == "file"]
    if len(names) > 1:
        raise RequestError(
            "a network reads one picture, and the table has several",
            where=WHERE,
            found=", ".join(names),
            allowed="1 column of type file",
            hint="put the others into table.exclude",
        )
    return names[0] if names else None


def adopt_network(work: Work, asked: ModelSpec, data: bytes, column: str) -> Trained:
    """Take the network that the line file names: put it behind pixels, and find its classes.

    Raises
    ------
    RequestError, Denied
        If it cannot read the pictures, or its answers are not those of the line's task.
    """
    spec, rules, artifacts = work.spec, work.rules, work.factory.artifacts
    if work.task.label not in COMPARED:
        raise RequestError(
            "an imported network predicts classes or numbers",
            where=WHERE,
            found=f"task {rules.name}",
            allowed="binary, multiclass, regression",
        )
    network = look_at_network(data, where=f"{WHERE}.file")
    (output, *_) = outputs_of(network, [asked.output] if asked.output else [], where=f"{WHERE}.output")
    made = to_backbone(
        data,
        side=side_of(network, asked.size, where=f"{WHERE}.size", otherwise=OTHERWISE),
        scale=scale_of(network, asked.scale, where=f"{WHERE}.scale"),
        outputs=(output,),
        where=f"{WHERE}.file",
        is_pooled=False,
    )
    picture, reader = picture_through(
        column,
        backbone=artifacts.put(made.graph),
        side=made.side,
        width=made.width,
        artifacts=artifacts,
        kept=work.factory.features_of,
    )
    parts = range(len(LOOKS) + made.width)
    encoder = Encoder(
        encodings=tuple(PicturePart(column=column, part=part) for part in parts), pictures=(picture,)
    )
    frame = work.rows.frame[work.rows.train]
    labels, weight = label_text(frame, spec.label.column), weights(frame, spec)
    classes, spelled = _classes(work, asked, labels)
    target = rules.target(labels, classes)
    raw = encode_table(encoder, frame, readers={column: reader})[:, len(LOOKS) :]
    form = form_of_answers(raw, classes=len(classes), where=f"{WHERE}.file: output {output!r}")
    scores = to_scores(raw, form, [spelled.index(name) for name in classes])
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
        libraries={network.producer: network.producer_version} if network.producer else {},
        scored=artifacts.put(
            to_bytes(Scored(rows=work.rows.train.astype(np.int64), probability=scores[:, 1], weight=weight))
        )
        if rules.has_positive
        else None,
        adopted=Adopted(output=output, classes=spelled, widths=(made.width,), form=form),
    )


def _classes(work: Work, asked: ModelSpec, labels: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes in the order of the task, and in that of the network."""
    rules = work.rules
    if not rules.is_class:
        return (), ()
    spelled = spelled_classes((), labels, said=asked.classes, where=f"{WHERE}.classes")
    # A class that the data lack still has its place among the answers.
    return rules.classes([*labels, *sorted(set(spelled) - set(labels))], work.spec.label.positive), spelled


def form_of(trained: Trained) -> Adopted:
    """Return how the answers of an imported model are read."""
    return trained.adopted or Adopted(output="", classes=(), widths=())


def head_of(trained: Trained) -> bytes:
    """Return the graph of the package: from what the network gives to the answers."""
    form = form_of(trained)
    order = [form.classes.index(name) for name in trained.classes]
    return to_head(form.form, order, before=len(LOOKS), width=form.widths[0])


def parity_of_network(work: Work, model: Model) -> Parity:
    """Compare the answers of a package with those of the file, which gets pixels that are scaled by hand.

    Raises
    ------
    Terminal
        If they differ by more than `ALLOWED`.
    """
    trained, asked, artifacts = (
        work.trained,
        work.spec.train.model or ModelSpec(file=""),
        work.factory.artifacts,
    )
    form, (picture,) = form_of(trained), trained.encoder.pictures
    rows = work.rows.frame[work.rows.test[:MOST_COMPARED]]
    rows = rows.filter(pl.col(picture.column).is_not_null())
    given = GivenNetwork(
        artifacts.get(trained.native),
        output=form.output,
        side=picture.side,
        scale=asked.scale,
        where=f"{WHERE}.file",
    )
    raw = given.answers([artifacts.get(digest) for digest in rows[picture.column]])
    order = [form.classes.index(name) for name in trained.classes]
    expected = to_scores(raw, form.form, order) if len(raw) else np.empty(0)
    readers = readers_of(trained.encoder, artifacts.get, work.factory.features_of)
    found = model.scores(encode_table(trained.encoder, rows, readers=readers)) if len(raw) else np.empty(0)
    unit = 1.0 if trained.classes else np.maximum(1.0, np.abs(expected))
    apart = float((np.abs(found - expected) / unit).max(initial=0.0))
    if not apart <= ALLOWED:
        raise Terminal(
            "the package does not answer as the network that was given",
            where=f"package {model.digest}",
            found=f"a difference of {apart:.3g}",
            allowed=f"{ALLOWED:g}",
            hint="export it with float32 weights",
        )
    return Parity(package=model.digest, rows=len(rows), largest=apart, allowed=ALLOWED, flips=0)
