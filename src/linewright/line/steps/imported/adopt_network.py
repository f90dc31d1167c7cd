"""Take an imported network that reads pictures, instead of training a model on the features of a backbone."""

import numpy as np
import polars as pl

from linewright.errors import RequestError, Terminal
from linewright.features.encode_table import encode_table
from linewright.features.facts import LOOKS, Encoder, PicturePart
from linewright.line.run_context import MODEL_FILE, Work
from linewright.line.steps.imported.model import classes_of_imported, trained_elsewhere
from linewright.line.steps.tasks.pictures import COMPARED
from linewright.model.column_readers import readers_of
from linewright.model.facts import Adopted, Parity, Trained
from linewright.model.imported.network import (
    OTHERWISE,
    look_at_network,
    outputs_of,
    scale_of,
    side_of,
    to_backbone,
)
from linewright.model.imported.network_answers import GivenNetwork, form_of_answers, to_head, to_scores
from linewright.model.package.model import Model
from linewright.model.pictures import picture_through
from linewright.model.spec import ModelSpec

WHERE = MODEL_FILE
MOST_COMPARED = 256
"""Test pictures that the package and the file are both asked about."""
ALLOWED = 1e-3
"""Largest difference in a probability, or relative to a number: a network that is rewritten for a processor rounds otherwise."""


def picture_column(work: Work) -> str | None:
    """Return the column of pictures that a model of the line reads; `None` if there is none."""
    names = [one.name for one in work.features if one.type == "file"]
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
    """Take the network that the line file names: put it behind pixels, and find its classes."""
    artifacts = work.factory.artifacts
    if work.task.label not in COMPARED:
        raise RequestError(
            "an imported network predicts classes or numbers",
            where=WHERE,
            found=f"task {work.rules.name}",
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
    classes, spelled = classes_of_imported(work, asked, (), where=f"{WHERE}.classes")
    rows = work.rows.frame[work.rows.train]
    raw = encode_table(encoder, rows, readers={column: reader})[:, len(LOOKS) :]
    form = form_of_answers(raw, classes=len(classes), where=f"{WHERE}.file: output {output!r}")
    return trained_elsewhere(
        work,
        data,
        to_scores(raw, form, [spelled.index(name) for name in classes]),
        adopted=Adopted(output=output, classes=spelled, widths=(made.width,), form=form),
        classes=classes,
        encoder=encoder,
        libraries={network.producer: network.producer_version} if network.producer else {},
    )


def form_of(trained: Trained) -> Adopted:
    """Return how the answers of an imported model are read."""
    return trained.adopted or Adopted(output="", classes=(), widths=())


def head_of(trained: Trained) -> bytes:
    """Return the graph of the package: from what the network gives to the answers."""
    form = form_of(trained)
    order = [form.classes.index(name) for name in trained.classes]
    return to_head(form.form, order, before=len(LOOKS), width=form.widths[0])


def parity_of_network(work: Work, model: Model) -> Parity:
    """Compare the answers of a package with those of the file, which gets pixels that are scaled by hand."""
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
