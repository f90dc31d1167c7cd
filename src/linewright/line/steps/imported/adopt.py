"""Adopting an imported model, where another line would train one."""

from functools import partial

import numpy as np
from msgspec.structs import replace

from linewright.errors import RequestError
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.run_context import MODEL_FILE, Work, planned_bytes, read_model_file
from linewright.line.steps.imported.adopt_network import (
    adopt_network,
    form_of,
    head_of,
    parity_of_network,
    picture_column,
)
from linewright.line.steps.imported.model import classes_of_imported, trained_elsewhere
from linewright.model.export.parity import parity
from linewright.model.facts import Adopted, Parity, Trained
from linewright.model.imported.adopt import adopted_parity, to_package_graph
from linewright.model.imported.booster_file import read_foreign
from linewright.model.imported.library_model import LibraryModel
from linewright.model.imported.match_columns import encoder_of, match
from linewright.model.imported.onnx_file import (
    GivenModel,
    choose_output,
    look_at,
    require_answers,
)
from linewright.model.package.model import Model
from linewright.model.spec import ModelSpec

WHERE = "train.model"


def adopt(work: Work, asked: ModelSpec) -> Trained:
    """Take the model that the line file names: read it safely, and find its columns, classes and threshold."""
    spec, rules = work.spec, work.rules
    data = planned_bytes(work, MODEL_FILE, asked.file, partial(read_model_file, work.factory, asked))
    if (column := picture_column(work)) is not None:
        return adopt_network(work, asked, data, column)
    given = look_at(data, where=f"{WHERE}.file")
    types = {column.name: column.type for column in work.dataset.columns}
    features = [column.name for column in work.features]
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
    require_answers(given, rules.name, where=f"{WHERE}.file")
    output = choose_output(given, rules.name, wanted=asked.output, where=f"{WHERE}.output")
    classes, spelled = classes_of_imported(work, asked, given.classes, where=f"{WHERE}.classes")
    adopted = Adopted(output=output.name, classes=spelled, widths=found.widths)
    model = GivenModel(data, adopted, encoder=encoder, classes=classes, where=f"{WHERE}.file")
    frame = work.rows.frame[work.rows.train]
    return trained_elsewhere(
        work,
        data,
        model.scores(encode(encoder, to_columns(frame, encoder.columns))),
        adopted=adopted,
        classes=classes,
        encoder=encoder,
        libraries={given.producer: given.producer_version} if given.producer else {},
    )


def given_model(trained: Trained, data: bytes) -> GivenModel:
    """Return the file that an adopted model came from, ready to answer."""
    return GivenModel(
        data, form_of(trained), encoder=trained.encoder, classes=trained.classes, where=f"{WHERE}.file"
    )


def parity_of_adopted(work: Work, data: bytes, model: Model, x: np.ndarray, *, seed: int) -> Parity:
    """Compare the package of an adopted model with the file, or with the library whose file it is.

    A library is also asked about rows that are hard: beside every bound of its trees, with missing values, one by one.
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
