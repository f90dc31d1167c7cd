"""LightGBM's model text, read without the library: what becomes of its trees, and how it is rewritten for float32 numbers."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt, Terminal
from linewright.model.families.forest import LARGEST, Forest, Ints
from linewright.model.tasks.links import Floats

_ZERO = np.float32(1e-35)
"""LightGBM reads every number from -1e-35 to 1e-35 (both as float32, both included) as 0."""
_BELOW_ZERO = float(np.nextafter(-_ZERO, np.float32(-np.inf)))
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1 << 2, 2 << 2
_MISSING_MASK = 3 << 2
_LISTS = ("no", "column", "at_most", "missing_is_yes", "rows", "value")
_TREE = re.compile(r"^(?=Tree=\d+$)", re.MULTILINE)
_INTEGERS = (
    "num_leaves",
    "num_cat",
    "split_feature",
    "decision_type",
    "left_child",
    "right_child",
    "cat_boundaries",
    "cat_threshold",
    "leaf_count",
    "internal_count",
)
_NUMBERS = (
    "split_gain",
    "threshold",
    "leaf_value",
    "leaf_weight",
    "internal_value",
    "internal_weight",
    "shrinkage",
)
_HEAD = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_infos",
)
"""What is written of a tree, and of what stands before the first, where a text is written anew."""


def floor_to_float32(values: npt.ArrayLike) -> Floats:
    """Return the largest float32 numbers not above `values`, as doubles.

    For every float32 number x, ``x <= value`` and ``x <= floor_to_float32(value)`` say the same.

    Examples
    --------
    >>> floor_to_float32([0.5, 16777217.0]).tolist()
    [0.5, 16777216.0]
    """
    wanted = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
    near = wanted.astype(np.float32)
    with np.errstate(over="ignore"):  # below the smallest float32, which is never above what is wanted
        below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near > wanted, below, near).astype(np.float64)


def exact_text(text: str) -> str:
    """Rewrite a LightGBM model so that a reader with float32 thresholds gives the same answers.

    Each numeric threshold becomes the largest float32 not above it. Splits that have no place for missing values get
    one on the side where LightGBM sends them (it reads NaN as 0 there). What does not belong to the trees (parameters,
    importances) is left out. Answers to float32 rows are unchanged.
    """
    body = text[: text.index("end of trees")]
    header, *trees = _TREE.split(body)
    # With the line of sizes LightGBM reads trees in threads, where a mistake ends the process; without it, an error.
    header = re.sub(r"^tree_sizes=.*\n", "", header, flags=re.MULTILINE)
    return header + "".join(_exact_trees(trees)) + "end of trees\n"


def wider_text(text: str, width: int) -> str:
    """Return a model's text as one of a wider matrix, of which it does not read the columns behind its own."""
    names = words_of(text, "feature_names")
    more = range(len(names), width)
    text = _replace(text, "max_feature_idx", [str(width - 1)])
    text = _replace(text, "feature_names", [*names, *(f"f{i}" for i in more)])
    return _replace(text, "feature_infos", [*words_of(text, "feature_infos"), *("none" for _ in more)])


def trees_of(text: str) -> list[str]:
    """Return the text of each tree."""
    return _TREE.split(text)[1:]


def forest_of(text: str, *, outputs: int) -> Forest:
    r"""Return the trees of a text that `exact_text` made.

    Examples
    --------
    >>> forest_of("Tree=0\nnum_leaves=1\nleaf_value=2.5\nend of trees\n", outputs=1).value.tolist()
    [2.5]
    """
    parts = [_Tree.read(tree) for tree in trees_of(text)]
    if any(len({len(part.yes), *(len(getattr(part, name)) for name in _LISTS)}) > 1 for part in parts):
        raise _unfitting()
    sizes = [len(part.yes) for part in parts]
    starts = np.cumsum([0, *sizes])[:-1]
    tree = np.repeat(np.arange(len(parts)), sizes)

    def joined(name: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.concatenate([np.asarray(getattr(part, name), dtype=kind) for part in parts])

    yes, no = (
        np.where((side := joined(name, np.int64)) < 0, -1, side + starts[tree]) for name in ("yes", "no")
    )
    return Forest(
        tree=tree,
        yes=yes,
        no=no,
        column=joined("column", np.int64),
        at_most=joined("at_most", np.float64),
        codes={
            int(start) + split: codes
            for start, part in zip(starts, parts, strict=True)
            for split, codes in part.codes.items()
        },
        missing_is_yes=joined("missing_is_yes", np.bool_),
        rows=joined("rows", np.float64),
        value=joined("value", np.float64),
        output=tree % outputs,
        offset=np.zeros(outputs),
    )


class _Tree(NamedTuple):
    """One tree: its splits in LightGBM's order, then its leaves."""

    yes: list[int]
    no: list[int]
    column: list[int]
    at_most: list[float]
    codes: dict[int, Ints]
    missing_is_yes: list[bool]
    rows: list[float]
    """Rows, not weights; 0 for a tree without any split."""
    value: list[float]

    @classmethod
    def read(cls, tree: str) -> "_Tree":
        columns, kinds, thresholds = _splits(tree)
        values = [float(word) for word in words_of(tree, "leaf_value")]
        splits, blank = len(columns), [0] * len(values)
        sides = [[int(word) for word in words_of(tree, f"{side}_child")] for side in ("left", "right")]
        # Split i is meant by i, leaf i by -1 - i.
        yes, no = ([to if to >= 0 else splits - 1 - to for to in side] + [-1] * len(values) for side in sides)
        rows = [float(word) for name in ("internal", "leaf") for word in words_of(tree, f"{name}_count")]
        bounds, sets = (
            [int(word) for word in words_of(tree, f"cat_{name}")] for name in ("boundaries", "threshold")
        )
        codes = {
            at: _members(sets[bounds[int(thresholds[at])] : bounds[int(thresholds[at]) + 1]])
            for at, kind in enumerate(kinds)
            if kind & _CATEGORICAL
        }
        return cls(
            yes=yes,
            no=no,
            column=columns + blank,
            at_most=[*thresholds, *blank],
            codes=codes,
            missing_is_yes=[not kind & _CATEGORICAL and bool(kind & _DEFAULT_LEFT) for kind in kinds]
            + [False] * len(values),
            rows=rows if splits else [0.0],
            value=[0.0] * splits + values,
        )


def _members(words: list[int]) -> Ints:
    """Return the codes in a set of bits, 32 a word."""
    bits = np.unpackbits(np.array(words, dtype="<u4").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits)


def _splits(tree: str) -> tuple[list[int], list[int], list[float]]:
    columns = [int(word) for word in words_of(tree, "split_feature")]
    kinds = [int(word) for word in words_of(tree, "decision_type")]
    return columns, kinds, [float(word) for word in words_of(tree, "threshold")]


def _exact_trees(trees: Sequence[str]) -> Iterator[str]:
    # The splits of all trees at once: of one tree there are a few dozen, for which a call of numpy takes longer than what it does.
    splits = [_splits(tree) for tree in trees]
    if any(not len(columns) == len(kinds) == len(thresholds) for columns, kinds, thresholds in splits):
        raise _unfitting()
    kind = np.array([one for _, kinds, _ in splits for one in kinds], dtype=np.int64)
    threshold = np.array([one for *_, thresholds in splits for one in thresholds], dtype=np.float64)
    numeric = (kind & _CATEGORICAL) == 0
    if np.any(numeric & ((kind & _MISSING_MASK) == _MISSING_ZERO)):
        raise Terminal(
            "a split counts zeros as missing", where="LightGBM model", hint="leave zero_as_missing off"
        )
    threshold = np.where(numeric, _exact_thresholds(threshold), threshold)
    nowhere = numeric & ((kind & _MISSING_MASK) == 0)
    direction = np.where(threshold >= 0, _DEFAULT_LEFT, 0)
    kinds = map(str, np.where(nowhere, _MISSING_NAN | direction, kind).tolist())
    thresholds = map(_spell, threshold.tolist())
    for tree, (columns, *_) in zip(trees, splits, strict=True):
        if not columns:
            yield tree
            continue
        exact = _replace(tree, "threshold", list(islice(thresholds, len(columns))))
        yield _replace(exact, "decision_type", list(islice(kinds, len(columns))))


def _unfitting() -> Corrupt:
    return Corrupt("the parts of a tree do not fit together", where="LightGBM model")


def _exact_thresholds(thresholds: Floats) -> Floats:
    floors = floor_to_float32(thresholds)
    # Inside LightGBM's zero band all numbers are 0: a split below 0 parts below the band, any other above it.
    floors = np.where((floors >= -_ZERO) & (floors < 0), _BELOW_ZERO, floors)
    return np.where((floors >= 0) & (floors < _ZERO), float(_ZERO), floors)


def _spell(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def words_of(tree: str, name: str) -> list[str]:
    """Return the words behind a name in the text of a tree, or of what stands before the first; none where it is not there."""
    begin, end = _place(tree, name)
    return tree[begin:end].split()


def _place(tree: str, name: str) -> tuple[int, int]:
    """Return where what stands behind a name begins and ends; nowhere, (0, 0), where the name is not there."""
    # `str.find` looks for a line as `^name=` does, in a tenth of the time.
    wanted = f"{name}="
    line = 0 if tree.startswith(wanted) else tree.find(f"\n{wanted}") + 1
    if not line and not tree.startswith(wanted):
        return 0, 0
    end = tree.find("\n", line)
    return line + len(wanted), len(tree) if end < 0 else end


def written_anew(text: str) -> str:
    """Write a model from what this module reads of it, for the library: where a line comes twice, or is spelled in another way, that one reads another."""
    head = text[: text.index("\nTree=") + 1]
    said = {name: " ".join(words_of(head, name)) for name in _HEAD} | {
        "feature_names": " ".join(names_of(head))
    }
    lines = ["tree", *(f"{name}={words}" for name, words in said.items() if words), ""]
    for at, tree in enumerate(trees_of(text[: text.index("end of trees")])):
        lines.append(f"Tree={at}")
        for names, kind in ((_INTEGERS, int), (_NUMBERS, float)):
            lines += [
                f"{name}={' '.join(repr(kind(word)) for word in words_of(tree, name))}"
                for name in names
                if re.search(rf"^{name}=", tree, re.MULTILINE)
            ]
        lines += ["is_linear=0", "", ""]
    return "\n".join([*lines, "end of trees", ""])


def names_of(head: str) -> list[str]:
    """Return the names of columns, which blanks part: other white space may stand in one."""
    found = re.search(r"^feature_names=(.*)$", head, re.MULTILINE)
    return [name for name in found.group(1).split(" ") if name] if found else []


def _replace(tree: str, name: str, words: list[str]) -> str:
    begin, end = _place(tree, name)
    return f"{tree[:begin]}{' '.join(words)}{tree[end:]}" if end else tree
