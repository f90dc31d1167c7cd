"""Adopting a model that was made elsewhere, where another line would train one."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from linewright.errors import RequestError, Transient
from linewright.features.encode import encode
from linewright.features.facts import Boolean, Encoder, Encoding, Number, Raw
from linewright.features.learn import to_columns
from linewright.line.work import MODEL_FILE, Work, label_text, read_model_file, weights
from linewright.model.adopt import to_package_graph
from linewright.model.facts import Adopted, Calibration, Trained
from linewright.model.given import (
    Given,
    GivenModel,
    choose_output,
    look_at,
    spelled_classes,
)
from linewright.model.spec import ModelSpec
from linewright.model.threshold import choose_threshold
from linewright.model.train import half_width
from linewright.store.values import digest_of_bytes

WHERE = "train.model"
NUMBERS = frozenset({"integer", "number", "boolean"})
TEXTS = frozenset({"category", "text"})
_HALF = 0.5


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that the inputs of a model read."""

    columns: tuple[str, ...]
    """In the order of the inputs."""
    widths: tuple[int, ...]
    """How many each input takes."""
    dtypes: tuple[Literal["float", "double", "int64", "bool", "string"], ...]
    """What each column becomes."""
    because: str
    """How they were found."""

    @property
    def is_matrix(self) -> bool:
        """Whether the model reads one table of float32, as our own do."""
        return len(self.widths) == 1 and set(self.dtypes) == {"float"}


def match(
    given: Given, types: Mapping[str, str], *, usable: Sequence[str], named: Sequence[str], where: str
) -> Match:
    """Find the columns that a model reads.

    Parameters
    ----------
    given
        The model.
    types
        Type of each column of the table.
    usable
        Columns that may be features, in the order of the table: of these the numbers feed an input that does not say
        which columns it takes.
    named
        Columns in the order of the inputs, where a person has said them.
    where
        What errors name.

    Raises
    ------
    RequestError
        If the columns cannot be found, or one is not of the type that its input reads.
    """
    names, because = _names(given, types, usable, named)
    widths = _widths(given, len(names))
    if widths is None:
        raise _other_number(given, names, where)
    absent = [name for name in names if name not in types]
    if absent:
        raise RequestError(
            "the model reads columns that the table does not have",
            where=where,
            found=", ".join(absent),
            allowed=", ".join(types),
            hint="write the table's columns in the order of the model's inputs, as `columns`",
        )
    if len(set(names)) != len(names):
        raise RequestError("a column is named twice", where=f"{where}.columns", found=", ".join(names))
    dtypes: list[Any] = [
        one.dtype for one, width in zip(given.inputs, widths, strict=True) for _ in range(width)
    ]
    for name, dtype in zip(names, dtypes, strict=True):
        _check_type(name, types[name], dtype, where)
    return Match(columns=tuple(names), widths=tuple(widths), dtypes=tuple(dtypes), because=because)


def _names(
    given: Given, types: Mapping[str, str], usable: Sequence[str], named: Sequence[str]
) -> tuple[list[str], str]:
    if named:
        return list(named), "as named"
    if all(one.width == 1 for one in given.inputs) and (
        len(given.inputs) > 1 or given.inputs[0].name in types
    ):
        return [one.name for one in given.inputs], "each input has the name of its column"
    if given.columns:
        return list(given.columns), "the model's metadata name them"
    is_text = given.inputs[0].dtype == "string"
    wanted = TEXTS if is_text else NUMBERS
    names = [name for name in usable if types[name] in wanted]
    return names, f"the {'text' if is_text else 'numeric'} columns in the order of the table"


def _widths(given: Given, names: int) -> list[int] | None:
    known = sum(one.width or 0 for one in given.inputs)
    free = [one for one in given.inputs if one.width is None]
    if len(free) > 1 or (not free and known != names) or names <= known - (not free):
        return None
    return [names - known if one.width is None else one.width for one in given.inputs]


def _other_number(given: Given, names: Sequence[str], where: str) -> RequestError:
    reads = ", ".join(
        f"{one.name} ({one.width or 'any number of'} {one.dtype} column{'' if one.width == 1 else 's'})"
        for one in given.inputs
    )
    return RequestError(
        "the model reads another number of columns than there are",
        where=where,
        found=f"{len(names)} columns: {', '.join(names) or 'none'}",
        allowed=reads,
        hint="leave out what it does not read (`new` with --exclude), or write `columns` in the order of its inputs",
    )


def _check_type(name: str, kind: str, dtype: str, where: str) -> None:
    allowed = TEXTS if dtype == "string" else NUMBERS
    if kind not in allowed:
        raise RequestError(
            "a column is not of the type that the model reads",
            where=f"{where}: column {name!r}",
            found=kind,
            allowed=f"{' or '.join(sorted(allowed))}, for the model reads {dtype}",
            hint="correct its type in contract.columns, or the order of the columns",
        )


def encoder_of(found: Match, types: Mapping[str, str], missing: str) -> Encoder:
    """Return what turns rows of the table into what the model reads."""
    if not found.is_matrix:
        pairs = zip(found.columns, found.dtypes, strict=True)
        raws: tuple[Encoding, ...] = tuple(
            Raw(column=name, dtype=dtype, missing=missing if dtype == "string" else "")
            for name, dtype in pairs
        )
        return Encoder(encodings=raws)
    return Encoder(
        encodings=tuple(
            Boolean(column=name) if types[name] == "boolean" else Number(column=name)
            for name in found.columns
        )
    )


def adopt(work: Work) -> Trained:
    """Take the model that the line file names: read it safely, and find its columns, classes and threshold."""
    spec, rules, context = work.spec, work.rules, work.factory.context
    asked = spec.train.model or ModelSpec(file="")
    data = _read(work)
    given = look_at(data, where=f"{WHERE}.file")
    types = {column.name: column.type for column in work.dataset.columns}
    if spec.label.column in asked.columns:
        raise RequestError("the model reads the label", where=f"{WHERE}.columns", found=spec.label.column)
    features = [name for name in types if name != spec.label.column]
    found = match(given, types, usable=features, named=asked.columns, where=WHERE)
    encoder = encoder_of(found, types, asked.missing)
    frame = work.rows.frame[work.rows.train]
    labels, weight = label_text(frame, spec.label.column), weights(frame, spec)
    output = choose_output(given, rules.name, wanted=asked.output, where=f"{WHERE}.output")
    spelled = (
        spelled_classes(given, labels, said=asked.classes, where=f"{WHERE}.classes")
        if rules.name != "regression"
        else ()
    )
    # A class that the data lack still has its place among the model's answers.
    classes = rules.classes([*labels, *sorted(set(spelled) - set(labels))], spec.label.positive)
    target = rules.target(labels, classes)
    adopted = Adopted(output=output.name, classes=spelled, widths=found.widths)
    model = GivenModel(data, adopted, encoder=encoder, classes=classes, where=f"{WHERE}.file")
    scores = model.scores(encode(encoder, to_columns(frame, encoder.columns)))
    threshold, because = _HALF, "the model's own: the likelier class is answered"
    if rules.name == "binary" and spec.value:
        chosen = choose_threshold(scores[:, 1], target, weight, spec.value)
        threshold, because = chosen.at, chosen.because.replace("out-of-fold", "training")
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=classes,
        encoder=encoder,
        trials=(),
        chosen="adopted",
        chosen_because="the line file names a model that was made elsewhere, so none was trained here",
        native=context.artifacts.put(data),
        calibration=Calibration(),
        threshold=threshold if rules.name == "binary" else None,
        threshold_because=because if rules.name == "binary" else "",
        half_width=half_width(np.abs(target - scores), weight) if rules.name == "regression" else None,
        baseline=rules.baseline(target, weight, classes),
        rows=0,
        seed=0,
        libraries={given.producer: given.producer_version} if given.producer else {},
        adopted=adopted,
    )


def _read(work: Work) -> bytes:
    data = read_model_file(work)
    if digest_of_bytes(data) != work.sources[MODEL_FILE]:
        raise Transient(
            "the model's file changed after the run was planned",
            where=f"{WHERE}.file",
            hint=f"run again: linewright run {work.spec.line}",
        )
    return data


def given_model(trained: Trained, data: bytes) -> GivenModel:
    """Return the file that an adopted model came from, ready to answer."""
    adopted = trained.adopted or Adopted(output="", classes=(), widths=())
    return GivenModel(data, adopted, encoder=trained.encoder, classes=trained.classes, where=f"{WHERE}.file")


def adopted_graph(trained: Trained, data: bytes, x: np.ndarray) -> bytes:
    """Return the graph of the package of an adopted model; `x` are a few encoded rows."""
    adopted = trained.adopted or Adopted(output="", classes=(), widths=())
    return to_package_graph(
        data,
        adopted,
        encoder=trained.encoder,
        classes=trained.classes,
        columns=given_model(trained, data).answers(x[:2]).shape[1],
        where=f"{WHERE}.file",
    )
