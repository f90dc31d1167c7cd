"""Files that libraries of boosted trees write of their models, as ONNX.

They are plain data, which a plug-in reads without the library, which would follow whatever a file says beside its memory; what is read
is looked through before anything follows it. Answers are those of the library to rows of float32 numbers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

import msgspec
import numpy as np
from onnx import TensorProto, helper

from linewright.errors import RequestError
from linewright.model.export.onnx_writer import Graph, answer, write_forest, write_scores
from linewright.model.families.forest import Forest, hangs_together
from linewright.model.families.xgboost_format import XGBoostTree
from linewright.model.tasks.links import LOGISTIC, Link

ALLOWED = (
    "an ONNX file, the text that LightGBM's `Booster.save_model` writes, or the JSON or UBJSON of XGBoost's"
)
"""Files that a model may be."""

_CODE = 1 << 24
"""float32 numbers count on one by one up to here."""
_MOST_NODES = 20_000_000
"""A graph of more would not fit into an ONNX file."""
READERS: Mapping[bytes, str] = {
    b"tree\n": "linewright.plugins.lightgbm_file:read",
    b"tree\r": "linewright.plugins.lightgbm_file:read",
    b"{": "linewright.plugins.xgboost_file:read",
}
"""By what a file begins with: what reads it, which gives its `Sums`; imported when such a file comes."""
_EXPORT = "export the model to ONNX, or train its estimator in a line: train.python"


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a library, as ONNX."""

    library: Literal["LightGBM", "XGBoost"]
    graph: bytes
    """An ONNX file: a float input of all columns, or one input a column where some are categories; and one float output."""
    classes: int
    """So many probabilities it answers with, of the classes 0, 1, 2, …; 0 for a number."""
    objective: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """What a file says: trees that are added up, and what becomes of it."""

    library: Literal["LightGBM", "XGBoost"]
    version: str
    objective: str
    link: Link
    forest: Forest
    width: int
    columns: tuple[str, ...]
    """Names; empty where it has none."""
    levels: Mapping[int, tuple[str | float, ...]] = field(default_factory=dict[int, tuple[str | float, ...]])
    """By column, the categories whose places are its codes."""
    codes: tuple[int, ...] = ()
    """Columns of whole numbers that are codes themselves; what is behind the point is cut off."""
    bend: float = 1.0
    """What LightGBM multiplies log-odds with; the forest has it in its leaves."""
    text: str = ""
    """Of LightGBM, as `written_anew` wrote it."""
    trees: tuple[XGBoostTree, ...] = ()
    """Of XGBoost."""
    is_exp: bool = False
    """Whether the sums are logarithms of the answers."""

    def codes_of(self, column: int) -> dict[str, float] | None:
        """Return the code of each spelling of a category; `None` for a column of numbers."""
        levels = self.levels.get(column)
        if levels is None:
            return None
        return {spelling: float(code) for code, level in enumerate(levels) for spelling in _spellings(level)}


class UnfitError(Exception):
    """Why a file cannot be taken; readers raise it."""

    def __init__(self, what: str, *, found: object = None, allowed: str = "", hint: str = _EXPORT) -> None:
        super().__init__(what)
        self._what, self._found, self._allowed, self._hint = what, found, allowed, hint

    def at(self, where: str) -> RequestError:
        """Return it as an error that says where."""
        return RequestError(
            self._what, where=where, found=self._found, allowed=self._allowed, hint=self._hint
        )


@lru_cache(maxsize=2)  # a run looks at its model several times
def convert(data: bytes, *, where: str) -> Converted | None:
    """Return a file of LightGBM or XGBoost as ONNX; `None` for what looks like neither."""
    sums = read_foreign(data, where=where)
    try:
        return _converted(sums) if sums else None
    except UnfitError as error:
        raise error.at(where) from error


@lru_cache(maxsize=2)
def read_foreign(data: bytes, *, where: str) -> Sums | None:
    """Return what a file of LightGBM or XGBoost says, looked through; see `convert`."""
    try:
        read = _reader(data)
        with np.errstate(all="ignore"):  # what comes of numbers that are none is looked at
            return _whole(read(data)) if read else None
    except UnfitError as error:
        raise error.at(where) from error


def _whole(sums: Sums) -> Sums:
    if not hangs_together(sums.forest, sums.width):
        raise broken(sums.library, "its trees do not hang together")
    return sums


def _reader(data: bytes) -> Callable[[bytes], Sums] | None:
    if (data[:1] == b"\x80" and data[1:2] <= b"\x05") or data[:4] == b"PK\x03\x04":
        raise UnfitError(
            "this is no plain data, but an object of Python: to read it could run code",
            found="a pickle" if data[:1] == b"\x80" else "an archive, as skops and PyTorch write them",
            allowed=ALLOWED,
            hint="of a model of LightGBM, save what is in it: model.booster_.save_model('model.txt'), or "
            "mlflow.lightgbm.log_model(model.booster_); export others to ONNX (skl2onnx, for one), or train the estimator in a line: "
            "train.python",
        )
    place = next((place for begins, place in READERS.items() if data.startswith(begins)), None)
    if place is None:
        return None
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _converted(sums: Sums) -> Converted:
    nodes = len(sums.forest.tree) + sum(len(codes) for codes in sums.forest.codes.values())
    if nodes > _MOST_NODES:
        raise UnfitError(
            "the model is too large", found=f"{nodes:,} nodes", allowed=f"at most {_MOST_NODES:,}"
        )
    if len(set(sums.columns)) != len(sums.columns):
        raise UnfitError("two columns of the model have one name", found=", ".join(sums.columns))
    outputs = 2 if sums.link is LOGISTIC else len(sums.forest.offset)
    return Converted(
        library=sums.library,
        graph=_write(sums, outputs),
        classes=outputs if sums.link.is_class else 0,
        objective=sums.objective,
    )


# What readers share


def broken(library: str, why: str) -> UnfitError:
    """Return why what looks like a file of a library cannot be read."""
    return UnfitError(
        f"this is not a model of {library} that can be read",
        found=why,
        allowed=ALLOWED,
        hint="save the model again, or see whether the whole file arrived",
    )


def link_of_objective(name: str, known: Mapping[str, Link], library: str) -> Link:
    """Return how sums become answers."""
    if name in known:
        return known[name]
    raise UnfitError(
        "what the model adds up becomes its answer in a way that is not known here",
        found=f"the objective {name} of {library}",
        allowed=", ".join(sorted(known)),
        hint="export it to ONNX with what makes its answers, or train it with another objective",
    )


def levels_of(listed: Any) -> tuple[str | float, ...]:
    """Return the categories of a column."""
    for level in listed:
        is_whole = (
            isinstance(level, int | float) and not isinstance(level, bool) and float(level).is_integer()
        )
        if not is_whole and not isinstance(level, str):
            raise UnfitError(
                "the spelling of a category is not sure",
                found=repr(level),
                allowed="categories that are texts or whole numbers",
                hint="make texts of them before training",
            )
    return tuple(listed)


# As ONNX


def _write(sums: Sums, outputs: int) -> bytes:
    prefix = "trees."
    while any(name.startswith(prefix) for name in sums.columns):
        prefix += "."
    graph = Graph(prefix)
    if sums.levels:
        inputs = [
            helper.make_tensor_value_info(
                name, TensorProto.STRING if column in sums.levels else TensorProto.FLOAT, ["n", 1]
            )
            for column, name in enumerate(_named(sums))
        ]
        parts = [_column(graph, value.name, sums.codes_of(column)) for column, value in enumerate(inputs)]
        matrix = graph.add("Concat", *parts, axis=1)
    else:
        inputs = [helper.make_tensor_value_info(f"{prefix}x", TensorProto.FLOAT, ["n", sums.width])]
        matrix = _cut_off(graph, inputs[0].name, sums)
        if sums.columns:
            graph.metadata["feature_names"] = json.dumps(sums.columns)
    margins = write_forest(graph, sums.forest, x=matrix)
    scores = graph.add("Exp", margins) if sums.is_exp else write_scores(graph, margins, sums.link)
    answer(graph, scores, ())
    y = helper.make_tensor_value_info(f"{prefix}y", TensorProto.FLOAT, ["n", outputs])
    return graph.between(inputs, [y], name="trees", producer=(sums.library, sums.version))


def _named(sums: Sums) -> Sequence[str]:
    if not sums.columns:
        raise UnfitError(
            "the model has categories, and its columns have no names", allowed="names for all columns"
        )
    return sums.columns


def _column(graph: Graph, name: str, codes: Mapping[str, float] | None) -> str:
    """Say the codes of a column of categories; what is none of them has no code, as a missing value. Others stay."""
    if codes is None:
        return name
    return graph.add(
        "LabelEncoder",
        name,
        domain="ai.onnx.ml",
        keys_strings=list(codes),
        values_floats=list(codes.values()),
        default_float=float("nan"),
    )


def _spellings(level: str | float) -> tuple[str, ...]:
    return (level,) if isinstance(level, str) else (str(int(level)), f"{int(level)}.0")


def _cut_off(graph: Graph, x: str, sums: Sums) -> str:
    """Cut off what is behind the point in columns of codes, as LightGBM does; a code that is too large is none."""
    if not sums.codes:
        return x
    absent = graph.add("IsNaN", x)
    bounds = [graph.constant(bound, np.float32) for bound in (-1, _CODE)]
    there = graph.add("Clip", graph.add("Where", absent, graph.constant(-1, np.float32), x), *bounds)
    whole = graph.cast(graph.add("Cast", there, to=TensorProto.INT64), "float")
    place = np.isin(np.arange(sums.width), sums.codes)[None, :]
    return graph.add("Where", graph.constant(place, np.bool_), whole, x)
