"""The document that XGBoost writes of a model: JSON, or the same as UBJSON."""

import json
import struct
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from linewright.errors import Corrupt
from linewright.model.families.forest import LARGEST
from linewright.model.families.xgboost_format import (
    LOGARITHMS,
    SUMS,
    Document,
    Learner,
    XGBoostTree,
    forest_of,
    hangs_together,
    intercept_of,
    read_tree,
    rounds_of,
)
from linewright.model.imported.booster_file import Sums, UnfitError, broken, levels_of, link_of_objective
from linewright.model.tasks.links import IDENTITY, SOFTMAX, Link

_Form = TypeVar("_Form")

_OBJECTIVES: Mapping[str, Link] = {
    **{name: link for link, names in SUMS.items() for name in names},
    "multi:softmax": SOFTMAX,  # the sums of softprob, of which it names the largest
    "reg:linear": IDENTITY,  # what squarederror was called
    **dict.fromkeys(LOGARITHMS, IDENTITY),
}
_DEEPEST = 64
"""Documents are about ten deep."""
_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_PLAIN = {b"T": True, b"F": False, b"Z": None}


def read(data: bytes) -> Sums:
    """Return what a file says."""
    try:
        return _read_xgboost(data)
    except msgspec.ValidationError as error:
        booster = _booster_of(data)
        if booster not in ("", "gbtree"):
            raise UnfitError(
                "the model does not add up trees",
                found=f"the booster {booster}",
                allowed="the booster gbtree",
            ) from error
        raise broken("XGBoost", str(error)) from error
    except (
        msgspec.MsgspecError,
        ValueError,
        IndexError,
        KeyError,
        OverflowError,
        RecursionError,
        Corrupt,
    ) as error:
        raise broken("XGBoost", error.what if isinstance(error, Corrupt) else str(error)) from error


def _read_xgboost(data: bytes) -> Sums:
    document = document_of(data)
    learner, said = document.learner, document.learner.learner_model_param
    link = link_of_objective(learner.objective.name, _OBJECTIVES, "XGBoost")
    outputs = link.outputs(int(said.num_class))
    if outputs < 1 or said.num_target not in ("0", "1"):
        raise UnfitError(
            "the model answers several things at once", found=f"{said.num_target} targets", allowed="one"
        )
    # Its scikit-learn interface stops at the best round, and leaves a mark; a booster answers with all.
    best = learner.attributes.get("best_iteration") if "scikit_learn" in learner.attributes else None
    grown = rounds_of(learner, outputs=outputs, rounds=None if best is None else int(best) + 1)
    if isinstance(grown, str):
        raise UnfitError("the model cannot be taken", found=grown)
    if not grown:
        raise broken("XGBoost", "it has no trees")
    levels = _levels(learner)
    seen = {column: frozenset(range(len(each))) for column, each in levels.items()}
    asked = {tree.split_indices[node] for tree in grown for node in tree.categories_nodes}
    if asked - levels.keys():
        raise UnfitError(
            "which categories the codes of the model mean is not known",
            found="columns of codes alone",
            allowed="columns of text or whole numbers, whose categories XGBoost keeps from version 3.1 on",
            hint="train it with columns of pandas' type category, or with numbers; or export it to ONNX",
        )
    width = int(said.num_feature)
    trees = [_reachable(read_tree(tree, seen)) for tree in grown]
    if not all(hangs_together(tree, width) for tree in trees):
        raise broken("XGBoost", "its trees do not hang together")
    forest = forest_of(trees, intercept=intercept_of(learner, outputs=outputs), scale=1.0)
    if len(learner.feature_names) not in (0, width):
        raise broken("XGBoost", f"{len(learner.feature_names)} names of {width} columns")
    return Sums(
        library="XGBoost",
        version=".".join(map(str, document.version)),
        objective=learner.objective.name,
        link=link,
        forest=forest,
        width=width,
        columns=tuple(learner.feature_names),
        levels=levels,
        trees=tuple(trees),
        is_exp=learner.objective.name in LOGARITHMS,
    )


def _reachable(tree: XGBoostTree) -> XGBoostTree:
    """Return a tree where a bound that no number reaches is the largest float32 number, as in trees that are trained here."""
    if all(abs(bound) <= LARGEST for bound in tree.bound):
        return tree
    nodes = zip(tree.left, tree.bound, strict=True)
    bounds = tuple(min(max(bound, -LARGEST), LARGEST) if left >= 0 else bound for left, bound in nodes)
    return msgspec.structs.replace(tree, bound=bounds)


def _levels(learner: Learner) -> dict[int, tuple[str | float, ...]]:
    grown = learner.gradient_booster.model
    found = dict[int, tuple[str | float, ...]]()
    for column, each in enumerate(grown.cats.enc if grown else []):
        if each.offsets:
            text = bytes(int(value) & 0xFF for value in each.values)
            if not text.isascii():
                # XGBoost 3.2 counts letters where it keeps bytes, so that names are cut off and moved.
                raise UnfitError(
                    "the names of the categories are not whole in the file of XGBoost",
                    found="letters outside of ASCII",
                    allowed="letters of ASCII",
                    hint="spell the categories without them before training; or export it to ONNX",
                )
            ends = zip(each.offsets, each.offsets[1:], strict=False)
            found[column] = tuple(text[start:end].decode() for start, end in ends)
        elif each.values:
            found[column] = levels_of(each.values)
    return found


# The document


def document_of(data: bytes) -> Document:
    """Read a document, JSON or UBJSON, as `Booster.save_model` writes them."""
    return _decoded(data, Document)


def _booster_of(data: bytes) -> str:
    """Return the booster of a document that may have another form otherwise; empty where it does not say."""
    try:
        return _decoded(data, _Named).learner.gradient_booster.name
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


class _NamedTrained(msgspec.Struct):
    name: str


class _NamedLearner(msgspec.Struct):
    gradient_booster: _NamedTrained


class _Named(msgspec.Struct):
    learner: _NamedLearner


def _decoded(data: bytes, kind: type[_Form]) -> _Form:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A bound that no number reaches is Infinity, which is no JSON.
        told = json.loads(data) if data[1:2] in b'"\n\r\t ' else read_ubjson(data)
    return msgspec.convert(told, type=kind)


def read_ubjson(data: bytes) -> Any:
    r"""Read a value in UBJSON.

    Examples
    --------
    >>> read_ubjson(b"{i\x01a[$U#i\x02\x07\xff}")
    {'a': [7, 255]}
    """
    reader = _Ubjson(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise ValueError("something stands behind the document")
    return value


class _Ubjson:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data) - self.at:
            raise ValueError("it ends too early")
        self.at += size
        return self._data[self.at - size : self.at]

    def _number(self, kind: bytes) -> Any:
        if kind not in _NUMBERS:
            raise ValueError(f"no number is of type {kind!r}")
        form = ">" + _NUMBERS[kind]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _length(self) -> int:
        return int(self._number(self._take(1)))

    def value(self, depth: int, kind: bytes = b"") -> Any:
        kind = kind or self._take(1)
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        if kind in _PLAIN:
            return _PLAIN[kind]
        match kind:
            case b"S":
                return self._take(self._length()).decode()
            case b"{":
                return self._object(depth)
            case b"[":
                return self._array(depth)
            case _:
                return self._number(kind)

    def _object(self, depth: int) -> dict[str, Any]:
        found = dict[str, Any]()
        while (kind := self._take(1)) != b"}":
            name = self._take(int(self._number(kind))).decode()
            found[name] = self.value(depth + 1)
        return found

    def _array(self, depth: int) -> list[Any]:
        found = list[Any]()
        kind = self._take(1)
        if kind == b"$":
            kind = self._take(1)
            if kind not in _NUMBERS or self._take(1) != b"#":
                raise ValueError("an array of a type has numbers and a length")
            form = np.dtype(_NUMBERS[kind]).newbyteorder(">")
            return np.frombuffer(self._take(self._length() * form.itemsize), form).tolist()
        if kind == b"#":
            return [self.value(depth + 1) for _ in range(min(self._length(), len(self._data) - self.at))]
        while kind != b"]":
            found.append(self.value(depth + 1, kind))
            kind = self._take(1)
        return found
