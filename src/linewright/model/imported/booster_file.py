"""Files that LightGBM and XGBoost write of their models, as ONNX.

Both are plain data: LightGBM's is a text, XGBoost's is JSON or UBJSON. They are read here, without the libraries, which would follow
whatever a file says beside their memory; what is read is looked through before anything follows it. Answers are those of the library
to rows of float32 numbers.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import msgspec
import numpy as np
from onnx import TensorProto, helper

from linewright.errors import Corrupt, RequestError, Terminal
from linewright.model.export.onnx_writer import Graph, answer, write_forest, write_scores
from linewright.model.families.forest import LARGEST, Forest, hangs_together
from linewright.model.families.lightgbm_format import (
    exact_text,
    forest_of,
    names_of,
    trees_of,
    words_of,
    written_anew,
)
from linewright.model.families.xgboost_format import (
    LOGARITHMS,
    SUMS,
    Learner,
    XGBoostTree,
    booster_of,
    document_of,
    intercept_of,
    read_tree,
    rounds_of,
)
from linewright.model.families.xgboost_format import forest_of as forest_of_xgboost
from linewright.model.families.xgboost_format import hangs_together as is_tree
from linewright.model.tasks.links import IDENTITY, LOGISTIC, SOFTMAX, Link

ALLOWED = (
    "an ONNX file, the text that LightGBM's `Booster.save_model` writes, or the JSON or UBJSON of XGBoost's"
)
"""Files that a model may be."""

_CODE = 1 << 24
"""float32 numbers count on one by one up to here."""
_MOST_NODES = 20_000_000
"""A graph of more would not fit into an ONNX file."""
_EXP = frozenset({"poisson", "gamma", "tweedie"}) | LOGARITHMS
_LIGHTGBM: Mapping[str, Link] = {
    "binary": LOGISTIC,
    "multiclass": SOFTMAX,
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie"),
        IDENTITY,
    ),
}
_XGBOOST: Mapping[str, Link] = {
    **{name: link for link, names in SUMS.items() for name in names},
    "multi:softmax": SOFTMAX,  # the sums of softprob, of which it names the largest
    "reg:linear": IDENTITY,  # what squarederror was called
    **dict.fromkeys(LOGARITHMS, IDENTITY),
}


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

    @property
    def is_exp(self) -> bool:
        """Whether the sums are logarithms of the answers."""
        return self.objective in _EXP

    def codes_of(self, column: int) -> dict[str, float] | None:
        """Return the code of each spelling of a category; `None` for a column of numbers."""
        levels = self.levels.get(column)
        if levels is None:
            return None
        return {spelling: float(code) for code, level in enumerate(levels) for spelling in _spellings(level)}


class _UnfitError(Exception):
    """Why a file cannot be taken."""

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
    """Return a file of LightGBM or XGBoost as ONNX; `None` for what looks like neither.

    Parameters
    ----------
    data
        The file's bytes; nothing about them is trusted.
    where
        What errors name.

    Returns
    -------
    Converted or None
        The same for the same bytes.

    Raises
    ------
    RequestError
        If it is a pickle; if it cannot be read, as it ends too early; or if its answers are not sums of trees in one of the forms that
        are known here.
    """
    sums = read_foreign(data, where=where)
    try:
        return _converted(sums) if sums else None
    except _UnfitError as error:
        raise error.at(where) from error


@lru_cache(maxsize=2)
def read_foreign(data: bytes, *, where: str) -> Sums | None:
    """Return what a file of LightGBM or XGBoost says, looked through; see `convert`."""
    try:
        read = _reader(data)
        with np.errstate(all="ignore"):  # what comes of numbers that are none is looked at
            return _whole(read(data)) if read else None
    except _UnfitError as error:
        raise error.at(where) from error


def _whole(sums: Sums) -> Sums:
    if not hangs_together(sums.forest, sums.width):
        raise _broken(sums.library, "its trees do not hang together")
    return sums


def _reader(data: bytes) -> Callable[[bytes], Sums] | None:
    if (data[:1] == b"\x80" and data[1:2] <= b"\x05") or data[:4] == b"PK\x03\x04":
        raise _UnfitError(
            "this is no plain data, but an object of Python: to read it could run code",
            found="a pickle" if data[:1] == b"\x80" else "an archive, as skops and PyTorch write them",
            allowed=ALLOWED,
            hint="of a model of LightGBM, save what is in it: model.booster_.save_model('model.txt'), or "
            "mlflow.lightgbm.log_model(model.booster_); export others to ONNX (skl2onnx, for one), or train the estimator in a line: "
            "train.python",
        )
    if data[:5] in (b"tree\n", b"tree\r"):
        return _lightgbm
    return _xgboost if data[:1] == b"{" else None


def _converted(sums: Sums) -> Converted:
    nodes = len(sums.forest.tree) + sum(len(codes) for codes in sums.forest.codes.values())
    if nodes > _MOST_NODES:
        raise _UnfitError(
            "the model is too large", found=f"{nodes:,} nodes", allowed=f"at most {_MOST_NODES:,}"
        )
    if len(set(sums.columns)) != len(sums.columns):
        raise _UnfitError("two columns of the model have one name", found=", ".join(sums.columns))
    outputs = 2 if sums.link is LOGISTIC else len(sums.forest.offset)
    return Converted(
        library=sums.library,
        graph=_write(sums, outputs),
        classes=outputs if sums.link.is_class else 0,
        objective=sums.objective,
    )


def _broken(library: str, why: str) -> _UnfitError:
    return _UnfitError(
        f"this is not a model of {library} that can be read",
        found=why,
        allowed=ALLOWED,
        hint="save the model again, or see whether the whole file arrived",
    )


def _objective(name: str, known: Mapping[str, Link], library: str) -> Link:
    if name in known:
        return known[name]
    raise _UnfitError(
        "what the model adds up becomes its answer in a way that is not known here",
        found=f"the objective {name} of {library}",
        allowed=", ".join(sorted(known)),
        hint="export it to ONNX with what makes its answers, or train it with another objective",
    )


# LightGBM


def _lightgbm(data: bytes) -> Sums:
    try:
        return _read_lightgbm(data.decode().replace("\r\n", "\n"))
    except Terminal as error:
        raise _UnfitError(
            f"{error.what}, which float32 numbers cannot follow", hint="train it without zero_as_missing"
        ) from error
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, RecursionError, Corrupt) as error:
        raise _broken("LightGBM", error.what if isinstance(error, Corrupt) else str(error)) from error


def _read_lightgbm(text: str) -> Sums:
    ends = [re.search(rf"^end of {part}$", text, re.MULTILINE) for part in ("trees", "parameters")]
    if not ends[0] or (re.search(r"^parameters:$", text, re.MULTILINE) and not ends[1]):
        raise _broken("LightGBM", "it ends too early")
    trees = trees_of(text[: ends[0].start()])
    head = text[: text.index("\nTree=") + 1] if trees else text
    said = len(words_of(head, "tree_sizes"))
    if not trees or said not in (0, len(trees)):
        raise _broken("LightGBM", f"{len(trees)} trees, where {said} are announced")
    name, *more = words_of(head, "objective") or ["of your own, or none"]
    link = _objective(f"{name} sqrt" if "sqrt" in more else name, _LIGHTGBM, "LightGBM")
    for sign, what in (
        ("average_output", "averages of trees (boosting rf)"),
        ("is_linear=1", "leaves that are linear models"),
    ):
        if re.search(rf"^{sign}$", text, re.MULTILINE):
            raise _UnfitError(
                "the model does not add up trees",
                found=what,
                allowed="sums of trees with a number in each leaf",
            )
    outputs = int(words_of(head, "num_tree_per_iteration")[0])
    classes = words_of(head, "num_class") or ["1"]
    if len(trees) % outputs or (outputs > 1) != (link is SOFTMAX) or classes != [str(outputs)]:
        raise _broken("LightGBM", f"{len(trees)} trees for {outputs} outputs")
    for tree in trees:
        _require_counts(tree)
    exact = written_anew(exact_text(text))
    forest = forest_of(exact, outputs=outputs)
    names, infos = names_of(head), words_of(head, "feature_infos")
    if len({len(names), len(infos), int(words_of(head, "max_feature_idx")[0]) + 1}) > 1:
        raise _broken("LightGBM", f"{len(names)} names of columns, and ranges of {len(infos)}")
    levels, codes = _lightgbm_levels(text[ends[0].end() :], infos)
    tail = text[ends[1].end() :].strip() if ends[1] else None
    if forest.codes and (tail is None or (tail and not tail.startswith("pandas_categorical:"))):
        # Behind the trees stands what the codes mean.
        raise _broken("LightGBM", "it ends too early")
    if {forest.column[split] for split in forest.codes} - {*levels, *codes}:
        raise _broken("LightGBM", "it asks a column of numbers for categories")
    bend = next((float(word[8:]) for word in more if word.startswith("sigmoid:")), 1.0)
    return Sums(
        library="LightGBM",
        version=" ".join(words_of(head, "version")),
        objective=name,
        link=link,
        forest=replace(forest, value=bend * forest.value) if link is LOGISTIC else forest,
        width=len(names),
        columns=() if names == [f"Column_{i}" for i in range(len(names))] else tuple(names),
        levels=levels,
        codes=codes,
        bend=bend,
        text=exact,
    )


def _require_counts(tree: str) -> None:
    """Refuse a tree whose sets of codes lie elsewhere than where it says: the library would read beside its memory."""
    leaves, sets = (int(words_of(tree, name)[0]) for name in ("num_leaves", "num_cat"))
    bounds = [int(word) for word in words_of(tree, "cat_boundaries")]
    asked = [
        float(threshold)
        for threshold, kind in zip(words_of(tree, "threshold"), words_of(tree, "decision_type"), strict=True)
        if int(kind) & 1
    ]
    if (
        leaves != len(words_of(tree, "leaf_value"))
        # Each set is of one split: a set that many shared would be read as many times.
        or sorted(asked) != list(range(sets))
        or (sets and (len(bounds) != sets + 1 or bounds[0] != 0 or bounds != sorted(bounds)))
        or (sets and bounds[-1] != len(words_of(tree, "cat_threshold")))
    ):
        raise _broken("LightGBM", "a tree has other leaves, or other sets of codes, than it says")


def _lightgbm_levels(
    tail: str, infos: Sequence[str]
) -> tuple[dict[int, tuple[str | float, ...]], tuple[int, ...]]:
    """Return the categories of columns that were categories in pandas, and columns of whole numbers that are codes."""
    # The range of numbers stands in brackets; codes are listed; nothing is known of a column that never differs.
    places = [place for place, info in enumerate(infos) if info != "none" and not info.startswith("[")]
    found = re.search(r"^pandas_categorical:(.*)$", tail, re.MULTILINE)
    listed: Any = json.loads(found.group(1)) if found else None
    if not listed:
        return {}, tuple(places)
    if not isinstance(listed, list) or len(listed) != len(places):
        raise _UnfitError(
            "which columns the categories of the model belong to is not sure",
            found=f"{len(listed)} lists of categories, and {len(places)} columns that are asked for them",
            allowed="as many of the one as of the other",
            hint="train it where all columns of pandas' type category differ and have no order, and with categorical_feature='auto'",
        )
    return {place: _levels(each) for place, each in zip(places, listed, strict=True)}, ()


def _levels(listed: Any) -> tuple[str | float, ...]:
    for level in listed:
        is_whole = (
            isinstance(level, int | float) and not isinstance(level, bool) and float(level).is_integer()
        )
        if not is_whole and not isinstance(level, str):
            raise _UnfitError(
                "the spelling of a category is not sure",
                found=repr(level),
                allowed="categories that are texts or whole numbers",
                hint="make texts of them before training",
            )
    return tuple(listed)


# XGBoost


def _xgboost(data: bytes) -> Sums:
    try:
        return _read_xgboost(data)
    except msgspec.ValidationError as error:
        booster = booster_of(data)
        if booster not in ("", "gbtree"):
            raise _UnfitError(
                "the model does not add up trees",
                found=f"the booster {booster}",
                allowed="the booster gbtree",
            ) from error
        raise _broken("XGBoost", str(error)) from error
    except (
        msgspec.MsgspecError,
        ValueError,
        IndexError,
        KeyError,
        OverflowError,
        RecursionError,
        Corrupt,
    ) as error:
        raise _broken("XGBoost", error.what if isinstance(error, Corrupt) else str(error)) from error


def _read_xgboost(data: bytes) -> Sums:
    document = document_of(data)
    learner, said = document.learner, document.learner.learner_model_param
    link = _objective(learner.objective.name, _XGBOOST, "XGBoost")
    outputs = link.outputs(int(said.num_class))
    if outputs < 1 or said.num_target not in ("0", "1"):
        raise _UnfitError(
            "the model answers several things at once", found=f"{said.num_target} targets", allowed="one"
        )
    # Its scikit-learn interface stops at the best round, and leaves a mark; a booster answers with all.
    best = learner.attributes.get("best_iteration") if "scikit_learn" in learner.attributes else None
    grown = rounds_of(learner, outputs=outputs, rounds=None if best is None else int(best) + 1)
    if isinstance(grown, str):
        raise _UnfitError("the model cannot be taken", found=grown)
    if not grown:
        raise _broken("XGBoost", "it has no trees")
    levels = _xgboost_levels(learner)
    seen = {column: frozenset(range(len(each))) for column, each in levels.items()}
    asked = {tree.split_indices[node] for tree in grown for node in tree.categories_nodes}
    if asked - levels.keys():
        raise _UnfitError(
            "which categories the codes of the model mean is not known",
            found="columns of codes alone",
            allowed="columns of text or whole numbers, whose categories XGBoost keeps from version 3.1 on",
            hint="train it with columns of pandas' type category, or with numbers; or export it to ONNX",
        )
    width = int(said.num_feature)
    trees = [_reachable(read_tree(tree, seen)) for tree in grown]
    if not all(is_tree(tree, width) for tree in trees):
        raise _broken("XGBoost", "its trees do not hang together")
    forest = forest_of_xgboost(trees, intercept=intercept_of(learner, outputs=outputs), scale=1.0)
    if len(learner.feature_names) not in (0, width):
        raise _broken("XGBoost", f"{len(learner.feature_names)} names of {width} columns")
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
    )


def _reachable(tree: XGBoostTree) -> XGBoostTree:
    """Return a tree where a bound that no number reaches is the largest float32 number, as in trees that are trained here."""
    if all(abs(bound) <= LARGEST for bound in tree.bound):
        return tree
    nodes = zip(tree.left, tree.bound, strict=True)
    bounds = tuple(min(max(bound, -LARGEST), LARGEST) if left >= 0 else bound for left, bound in nodes)
    return msgspec.structs.replace(tree, bound=bounds)


def _xgboost_levels(learner: Learner) -> dict[int, tuple[str | float, ...]]:
    grown = learner.gradient_booster.model
    found = dict[int, tuple[str | float, ...]]()
    for column, each in enumerate(grown.cats.enc if grown else []):
        if each.offsets:
            text = bytes(int(value) & 0xFF for value in each.values)
            if not text.isascii():
                # XGBoost 3.2 counts letters where it keeps bytes, so that names are cut off and moved.
                raise _UnfitError(
                    "the names of the categories are not whole in the file of XGBoost",
                    found="letters outside of ASCII",
                    allowed="letters of ASCII",
                    hint="spell the categories without them before training; or export it to ONNX",
                )
            ends = zip(each.offsets, each.offsets[1:], strict=False)
            found[column] = tuple(text[start:end].decode() for start, end in ends)
        elif each.values:
            found[column] = _levels(each.values)
    return found


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
        raise _UnfitError(
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
