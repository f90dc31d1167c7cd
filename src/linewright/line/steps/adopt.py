"""Adopting an imported model, where another line would train one."""

from functools import partial

import numpy as np
from msgspec.structs import replace

from linewright.data.column_roles import feature_columns
from linewright.errors import RequestError
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.run_context import MODEL_FILE, Work, chosen_by, planned_bytes, read_model_file
from linewright.line.split_rows import label_text, weights
from linewright.line.steps.adopt_network import (
    adopt_network,
    form_of,
    head_of,
    parity_of_network,
    picture_column,
)
from linewright.model.export.parity import parity
from linewright.model.facts import Adopted, Calibration, Parity, Trained
from linewright.model.imported.adopt import adopted_parity, to_package_graph
from linewright.model.imported.booster_file import read_foreign
from linewright.model.imported.library_model import LibraryModel
from linewright.model.imported.match_columns import encoder_of, match
from linewright.model.imported.onnx_file import (
    GivenModel,
    choose_output,
    look_at,
    require_answers,
    spelled_classes,
)
from linewright.model.package.model import Model
from linewright.model.reasons import ChosenReason, MadeElsewhere
from linewright.model.spec import ModelSpec
from linewright.model.tasks.prediction_interval import fit_band, half_width
from linewright.model.train.scored_rows import Scored, to_bytes

WHERE = "train.model"


def adopt(work: Work, asked: ModelSpec) -> Trained:
    """Take the model that the line file names: read it safely, and find its columns, classes and threshold."""
    spec, rules, context = work.spec, work.rules, work.factory.context
    data = planned_bytes(work, MODEL_FILE, asked.file, partial(read_model_file, work.factory, asked))
    if (column := picture_column(work)) is not None:
        return adopt_network(work, asked, data, column)
    given = look_at(data, where=f"{WHERE}.file")
    types = {column.name: column.type for column in work.dataset.columns}
    features = [column.name for column in feature_columns(spec, work.dataset)]
    found = match(given, types, usable=features, named=asked.columns, where=WHERE)
    if spec.label.column in found.columns:
        raise RequestError("the model reads the label", where=f"{WHERE}.columns", found=spec.label.column)
    if excluded := [name for name in found.columns if name in spec.table.exclude]:
        raise RequestError(
            "the model reads a column that the line excludes",
            where=f"{WHERE}.file",
            found=", ".join(excluded),
            hint="bring a model that does without it, or take it out of table.exclude",
        )
    encoder = encoder_of(found, types, asked.missing)
    frame = work.rows.frame[work.rows.train]
    labels, weight = label_text(frame, spec.label.column), weights(frame, spec)
    require_answers(given, rules.name, where=f"{WHERE}.file")
    output = choose_output(given, rules.name, wanted=asked.output, where=f"{WHERE}.output")
    spelled = (
        spelled_classes(given.classes, labels, said=asked.classes, where=f"{WHERE}.classes")
        if rules.is_class
        else ()
    )
    # A class that the data lack still has its place among the model's answers.
    classes = rules.classes([*labels, *sorted(set(spelled) - set(labels))], spec.label.positive)
    target = rules.target(labels, classes)
    adopted = Adopted(output=output.name, classes=spelled, widths=found.widths)
    model = GivenModel(data, adopted, encoder=encoder, classes=classes, where=f"{WHERE}.file")
    scores = model.scores(encode(encoder, to_columns(frame, encoder.columns)))
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=classes,
        encoder=encoder,
        trials=(),
        chosen="adopted",
        reason=ChosenReason(choice=MadeElsewhere()),
        native=context.artifacts.put(data),
        calibration=Calibration(),
        half_width=half_width(np.abs(target - scores), weight) if rules.has_interval else None,
        band=fit_band(scores, target.astype(np.float64), weight) if rules.has_interval else None,
        baseline=rules.baseline(target, weight, classes, metric=chosen_by(work)),
        rows=0,
        seed=0,
        libraries={given.producer: given.producer_version} if given.producer else {},
        scored=context.artifacts.put(_scored(work, scores, weight)) if rules.has_positive else None,
        adopted=adopted,
    )


def _scored(work: Work, scores: np.ndarray, weight: np.ndarray) -> bytes:
    """Return what the threshold will be chosen by: all training rows, since nobody knows which of them it has learned from."""
    return to_bytes(Scored(rows=work.rows.train.astype(np.int64), probability=scores[:, 1], weight=weight))


def given_model(trained: Trained, data: bytes) -> GivenModel:
    """Return the file that an adopted model came from, ready to answer."""
    return GivenModel(
        data, form_of(trained), encoder=trained.encoder, classes=trained.classes, where=f"{WHERE}.file"
    )


def parity_of_adopted(work: Work, data: bytes, model: Model, x: np.ndarray, *, seed: int) -> Parity:
    """Compare the package of an adopted model with the file, or with the library whose file it is.

    A library is also asked about rows that are hard: beside every bound of its trees, with missing values, one by one.

    Raises
    ------
    Terminal
        If they differ.
    """
    trained = work.trained
    if trained.encoder.pictures:
        return parity_of_network(work, model)
    sums = read_foreign(data, where=f"{WHERE}.file")
    if sums is None or trained.adopted is None:
        return adopted_parity(given_model(trained, data), model, x)
    order = [trained.adopted.classes.index(name) for name in trained.classes]
    library = LibraryModel(sums, encoder=trained.encoder, order=order)
    found = adopted_parity(library, model, x)
    if trained.encoder.is_raw:
        return found
    hard = parity(library, model, x=x, seed=seed)
    return replace(hard, rows=hard.rows + found.rows, largest=max(hard.largest, found.largest))


def adopted_graph(trained: Trained, data: bytes, x: np.ndarray) -> bytes:
    """Return the graph of the package of an adopted model; `x` are a few encoded rows."""
    if trained.encoder.pictures:
        return head_of(trained)
    return to_package_graph(
        data,
        form_of(trained),
        encoder=trained.encoder,
        classes=trained.classes,
        columns=given_model(trained, data).answers(x[:2]).shape[1],
        where=f"{WHERE}.file",
    )
