"""CatBoost as a family beside those of the built-in engine: ``train: {also: [catboost]}``; extra ``catboost``.

Its trees ask the same question of all nodes of a level [1]_. They are read from its JSON, become trees like those of XGBoost, and
are kept, exported and explained as such; nothing of CatBoost is needed to answer. Levels of a category are asked about one by one: its
statistics of categories cost a long chain of comparisons in the graph that serves, or, of combinations, cannot be said there.

References
----------
.. [1] L. Prokhorenkova et al., CatBoost: unbiased boosting with categorical features, NeurIPS 2018.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Terminal
from linewright.model.facts import Task
from linewright.model.families.xgboost import XGBoostFitted, XGBoostNative, start_of
from linewright.model.families.xgboost_format import XGBoostTree
from linewright.model.tasks import link_of
from linewright.model.tasks.links import (
    IDENTITY,
    LOGISTIC,
    SOFTMAX,
    Floats,
    Link,
    Matrix,
    Valid,
    centre_and_scale,
)

LEVELS = 40
"""Levels of a category that are told apart, the most frequent ones."""

_LOSSES: Mapping[Link, str] = {LOGISTIC: "Logloss", SOFTMAX: "MultiClass", IDENTITY: "RMSE"}
_OTHER = -1
"""Stands for every code that is not told apart: rare and new ones, and those beyond `LEVELS`."""
_LOWEST = float(np.finfo(np.float32).min)
"""CatBoost's border between missing values and all numbers."""
_MOST_ASKED = 256
_CLOSE = 1e-6
"""Largest difference between its answers and those of the trees that were read; leaves are float32 numbers here."""
_WORD = 1 << 32
_NOTHING_TO_LEARN = ("constant or ignored", "targets are equal")
"""How its errors tell of rows that are all alike."""


class CatBoost:
    """CatBoost on one thread with a fixed seed; a `Trainer`.

    Settings: any of CatBoost's parameters for oblivious trees; ``rounds``, the cap while `valid` is watched; and ``patience``, the
    rounds without improvement after which to stop.
    """

    family = "catboost"

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,
        valid: Valid | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> XGBoostFitted:
        """Fit trees; see `Trainer.fit`."""
        # Here and not at the top, so that the file can be read where the extra is absent.
        catboost: Any = import_module("catboost")
        columns, truth = _Columns.of(x, categorical), _Truth.of(target, weight, task, classes)
        watched = None if rounds is not None or valid is None else truth.watched(valid)

        def held(rows: Matrix, answers: npt.NDArray[Any], mass: Floats) -> Any:
            start = np.tile(truth.start[list(truth.seen)], (len(rows), 1))
            return columns.pool(catboost, rows, label=truth.told(answers), weight=mass, baseline=start)

        model = catboost.CatBoost(
            _parameters(link_of(task), seed, settings, rounds=rounds, is_watched=bool(watched))
        )
        pool = held(x, target, weight)
        try:
            model.fit(pool, eval_set=held(*watched) if watched else None)
        except catboost.CatBoostError as error:
            text = str(error)
            if not any(words in text for words in _NOTHING_TO_LEARN):
                raise Terminal(f"CatBoost failed: {text[:400]}", where="train.also", hint=_HINT) from error
            nothing = (_nothing(float(weight.sum())),) * len(truth.start)
            return XGBoostFitted(truth.native(nothing, width=x.shape[1], bias=0.0))
        document = _document(model, pool)
        factor, bias = document.scale_and_bias
        if factor != 1.0:
            raise _unread("a sum of trees that is scaled")
        trees = tuple(_trees(document, columns, seen=truth.seen, outputs=len(truth.start)))
        native = truth.native(trees, width=x.shape[1], bias=np.asarray(bias))
        fitted = XGBoostFitted(native, rounds=model.tree_count_)
        asked = _asked(x, categorical)
        raw = np.asarray(model.predict(columns.pool(catboost, asked), "RawFormulaVal"), dtype=np.float64)
        apart = truth.apart(fitted.scores(asked), raw.reshape(len(asked), -1))
        if not apart <= _CLOSE:
            raise Terminal(
                f"the trees that CatBoost {catboost.__version__} wrote answer otherwise than it does",
                where="train.also",
                found=f"{apart:.2g} apart",
                allowed=f"{_CLOSE:g}",
                hint=_HINT,
            )
        return fitted


_HINT = "take catboost out of train.also, and the families of the built-in engine train"


def _parameters(
    link: Link, seed: int, settings: Mapping[str, Any], *, rounds: int | None, is_watched: bool
) -> dict[str, Any]:
    own = {name: value for name, value in settings.items() if name not in {"rounds", "patience"}}
    stopping = (
        {"od_type": "Iter", "od_wait": settings["patience"], "use_best_model": True} if is_watched else {}
    )
    return {
        **own,
        **stopping,
        "iterations": rounds or settings["rounds"],
        "loss_function": _LOSSES[link],
        "grow_policy": "SymmetricTree",
        "one_hot_max_size": LEVELS + 2,
        "nan_mode": "Min",
        "boost_from_average": False,
        "thread_count": 1,
        "random_seed": seed,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Truth:
    """What CatBoost learns: numbers about 0, or which of the classes that occur; it takes no class without a row."""

    task: Task
    centre: float
    scale: float
    start: Floats
    """What the trees are added to, one for each output."""
    seen: tuple[int, ...]
    """Outputs whose class occurs."""

    @property
    def link(self) -> Link:
        """How sums become answers."""
        return link_of(self.task)

    @classmethod
    def of(cls, target: npt.NDArray[Any], weight: Floats, task: Task, classes: int) -> "_Truth":
        link = link_of(task)
        if not link.is_class:
            centre, scale = centre_and_scale(target, weight)
            return cls(task=task, centre=centre, scale=scale, start=np.zeros(1), seen=(0,))
        seen = np.unique(target).tolist() if link is SOFTMAX else [0]
        start = start_of(target, weight, classes)
        return cls(task=task, centre=0.0, scale=1.0, start=start, seen=tuple(seen))

    def told(self, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the target as CatBoost gets it."""
        if not self.link.is_class:
            return (target - self.centre) / self.scale
        return np.searchsorted(self.seen, target) if self.link is SOFTMAX else target

    def watched(self, valid: Valid) -> Valid:
        """Leave out watched rows of classes that do not occur."""
        x, target, weight = valid
        known = np.isin(target, self.seen) if self.link is SOFTMAX else np.ones(len(x), dtype=np.bool_)
        return x[known], target[known], weight[known]

    def native(self, trees: tuple[XGBoostTree, ...], *, width: int, bias: Floats | float) -> XGBoostNative:
        """Return the model that trees make."""
        intercept = self.start.copy()
        intercept[list(self.seen)] += bias
        return XGBoostNative(
            task=self.task,
            width=width,
            intercept=tuple((self.centre + self.scale * intercept).tolist()),
            scale=self.scale,
            trees=trees,
        )

    def apart(self, scores: Floats, raw: Floats) -> float:
        """Return the largest difference between scores and what CatBoost adds up for the same rows."""
        margins = np.tile(self.start, (len(raw), 1))
        margins[:, list(self.seen)] += raw
        said = self.link.to_scores(self.centre + self.scale * margins)
        return float(np.abs(scores - said).max()) / self.scale


@dataclass(frozen=True, kw_only=True, eq=False)
class _Columns:
    """How CatBoost is given a matrix: numbers, then words for codes."""

    numbers: tuple[int, ...]
    never_missing: tuple[int, ...]
    """Numbers of which no row lacked one when it was fitted."""
    levels: Mapping[int, tuple[int, ...]]
    """Codes that are told apart, by column."""

    @classmethod
    def of(cls, x: Matrix, categorical: tuple[int, ...]) -> "_Columns":
        numbers = tuple(column for column in range(x.shape[1]) if column not in categorical)
        return cls(
            numbers=numbers,
            never_missing=tuple(column for column in numbers if not np.isnan(x[:, column]).any()),
            levels={column: _levels(x[:, column]) for column in categorical},
        )

    def pool(self, catboost: Any, x: Matrix, **given: Any) -> Any:
        """Return rows as CatBoost takes them."""
        numbers = x[:, list(self.numbers)]
        for place, column in enumerate(self.numbers):
            if column in self.never_missing:
                # It refuses to watch rows that lack what no row lacked; to the left go missing ones, as the smallest do.
                numbers[np.isnan(numbers[:, place]), place] = _LOWEST
        words = [_words(x[:, column], levels) for column, levels in self.levels.items()]
        data = catboost.FeaturesData(
            num_feature_data=np.ascontiguousarray(numbers, dtype=np.float32) if self.numbers else None,
            cat_feature_data=np.stack(words, axis=1) if words else None,
        )
        return catboost.Pool(data, thread_count=1, **given)


def _levels(codes: npt.NDArray[Any]) -> tuple[int, ...]:
    """Return the most frequent codes of levels, and that of missing values; the code 0 is for rare and new ones."""
    found, counts = np.unique(codes[codes > 0], return_counts=True)
    kept = found[np.argsort(-counts, kind="stable")[:LEVELS]]
    return tuple(sorted(kept.astype(np.int64).tolist()))


def _words(codes: npt.NDArray[Any], levels: Sequence[int]) -> npt.NDArray[np.object_]:
    words = np.array([b"%d" % level for level in (*levels, _OTHER)], dtype=object)
    known = np.array([*levels, np.inf])
    place = np.searchsorted(known, codes)
    return words[np.where(known[place] == codes, place, len(levels))]


def _asked(x: Matrix, categorical: tuple[int, ...]) -> Matrix:
    """Return some rows, the same with each number from another row, and some without numbers or with new codes."""
    rows = x[np.unique(np.linspace(0, len(x) - 1, min(_MOST_ASKED, len(x))).astype(np.int64))]
    mixed = np.column_stack([np.roll(rows[:, column], column) for column in range(x.shape[1])])
    odd = mixed[:16].copy()
    numbers = [column for column in range(x.shape[1]) if column not in categorical]
    odd[::2, numbers] = np.nan
    odd[1::2, list(categorical)] = 0.0
    return np.concatenate([rows, mixed, odd])


# What CatBoost writes; what is not read is left out


class _Split(msgspec.Struct):
    split_type: str
    border: float = 0.0
    float_feature_index: int = -1
    cat_feature_index: int = -1
    value: int = 0


class _Oblivious(msgspec.Struct):
    leaf_values: list[float]
    leaf_weights: list[float]
    splits: list[_Split] | None = None


class _Hashed(msgspec.Struct):
    hash: int
    value: str


class _Features(msgspec.Struct):
    cat_features_hash: list[_Hashed] | None = None


class _Document(msgspec.Struct):
    oblivious_trees: list[_Oblivious]
    scale_and_bias: tuple[float, list[float]]
    features_info: _Features


def _document(model: Any, pool: Any) -> _Document:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json", pool=pool)
        return msgspec.json.decode(path.read_bytes(), type=_Document)


# Questions


@dataclass(frozen=True)
class _Above:
    """Whether a number is above a bound; a missing one is not."""

    column: int
    bound: float


@dataclass(frozen=True)
class _Is:
    """Whether a code is this one; or for `_OTHER`, whether it is none of those that are told apart."""

    column: int
    code: int


_Question = _Above | _Is


class _Questions:
    """What the splits of a model ask."""

    def __init__(self, document: _Document, columns: _Columns) -> None:
        self._numbers, self._categories = columns.numbers, tuple(columns.levels)
        # Hashes are written with and without a sign.
        hashed = document.features_info.cat_features_hash or ()
        self._codes = {one.hash % _WORD: int(one.value) for one in hashed}

    def of(self, split: _Split) -> _Question:
        """Return what a split asks."""
        match split.split_type:
            case "FloatFeature":
                return _Above(self._numbers[split.float_feature_index], split.border)
            case "OneHotFeature":
                return _Is(self._categories[split.cat_feature_index], self._codes[split.value % _WORD])
            case other:
                raise _unread(other)


def _unread(what: str) -> Terminal:
    return Terminal("CatBoost asks what no tree here can ask", where="train.also", found=what, hint=_HINT)


# Trees


@dataclass(frozen=True)
class _Leaf:
    values: tuple[float, ...]
    """One an output that CatBoost knows."""
    mass: float


@dataclass(frozen=True)
class _Inner:
    asks: _Question
    yes: "_Leaf | _Inner"
    no: "_Leaf | _Inner"
    mass: float


_Known = Mapping[int, tuple[float, float] | frozenset[int]]
"""What a way has said so far: of a number that it is above the first and not above the second; of a code, which it may be."""


def _trees(
    document: _Document, columns: _Columns, *, seen: tuple[int, ...], outputs: int
) -> Iterator[XGBoostTree]:
    """Give the trees, one for each output and round; for an output that CatBoost does not know, one that says nothing."""
    questions = _Questions(document, columns)
    told = {column: frozenset((*levels, _OTHER)) for column, levels in columns.levels.items()}
    for tree in document.oblivious_trees:
        asked = [questions.of(split) for split in tree.splits or ()]
        values = np.asarray(tree.leaf_values, dtype=np.float32).astype(np.float64).reshape(-1, len(seen))
        root = _grown(asked, [tuple(each) for each in values.tolist()], tree.leaf_weights, told)
        known = dict(zip(seen, _flat(root, columns.levels), strict=True))
        for output in range(outputs):
            yield known[output] if output in known else _nothing(root.mass)


def _grown(
    asked: Sequence[_Question],
    values: Sequence[tuple[float, ...]],
    masses: Sequence[float],
    known: _Known,
    *,
    level: int = 0,
    leaf: int = 0,
) -> _Leaf | _Inner:
    """Return what is left of a tree from a node on: no question whose answer is known, none that makes no difference."""
    if level == len(asked):
        return _Leaf(values[leaf], masses[leaf])
    asks = asked[level]
    if_no, if_yes = _after(asks, known)

    def side(told: _Known, *, is_yes: bool) -> _Leaf | _Inner:
        return _grown(asked, values, masses, told, level=level + 1, leaf=leaf | is_yes << level)

    if if_no is None or if_yes is None:
        return side(known, is_yes=if_no is None)
    yes, no = side(if_yes, is_yes=True), side(if_no, is_yes=False)
    if isinstance(yes, _Leaf) and isinstance(no, _Leaf) and yes.values == no.values:
        return _Leaf(yes.values, yes.mass + no.mass)
    return _Inner(asks, yes, no, yes.mass + no.mass)


def _after(asks: _Question, known: _Known) -> tuple[_Known | None, _Known | None]:
    """Return what is known after the answer no, and after yes; `None` for one that cannot be given."""
    before = known.get(asks.column)
    if isinstance(asks, _Is):
        assert isinstance(before, frozenset)  # noqa: S101 -- every category has its levels from the start
        no, yes = before - {asks.code}, before & {asks.code}
        return ({**known, asks.column: no} if no else None, {**known, asks.column: yes} if yes else None)
    low, high = before if isinstance(before, tuple) else (-np.inf, np.inf)
    return (
        {**known, asks.column: (low, asks.bound)} if asks.bound > low else None,
        {**known, asks.column: (asks.bound, high)} if asks.bound < high else None,
    )


def _flat(root: _Leaf | _Inner, levels: Mapping[int, tuple[int, ...]]) -> Iterator[XGBoostTree]:
    """Give a tree for each output, in XGBoost's order, level by level.

    Codes that are listed go right, and so do numbers that are not below a bound.
    """
    nodes, left, codes = [root], list[int](), dict[int, tuple[int, ...]]()
    for node in nodes:  # which grows
        if isinstance(node, _Leaf):
            left.append(-1)
            continue
        sides = [node.no, node.yes]
        if isinstance(node.asks, _Is):
            # New codes go left, and only those that are told apart can be listed.
            is_other = node.asks.code == _OTHER
            codes[len(left)] = levels[node.asks.column] if is_other else (node.asks.code,)
            if is_other:
                sides.reverse()
        left.append(len(nodes))
        nodes += sides
    leaves = [(place, node.values) for place, node in enumerate(nodes) if isinstance(node, _Leaf)]
    bounds = [0.0 if isinstance(node, _Leaf) else _bound(node.asks) for node in nodes]
    tree = XGBoostTree(
        left=tuple(left),
        column=tuple(0 if isinstance(node, _Leaf) else node.asks.column for node in nodes),
        bound=tuple(bounds),
        is_missing_left=tuple(isinstance(node, _Inner) and isinstance(node.asks, _Above) for node in nodes),
        mass=tuple(node.mass for node in nodes),
        codes=codes,
    )
    for output in range(len(leaves[0][1])):
        for place, values in leaves:
            bounds[place] = values[output]
        yield msgspec.structs.replace(tree, bound=tuple(bounds))


def _bound(asks: _Question) -> float:
    """Return the smallest number above a border, where all numbers go that are above it."""
    if isinstance(asks, _Is):
        return 0.0
    border = np.float32(asks.bound)
    # No number is below the lowest, so that only missing ones go left.
    return _LOWEST if border <= _LOWEST else float(np.nextafter(border, np.float32(np.inf)))


def _nothing(mass: float) -> XGBoostTree:
    """Return a tree that adds nothing."""
    return next(_flat(_Leaf((0.0,), mass), {}))
