"""The text that LightGBM writes of a model."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from linewright.errors import Corrupt, Terminal
from linewright.model.families.lightgbm_format import (
    exact_text,
    forest_of,
    names_of,
    trees_of,
    words_of,
    written_anew,
)
from linewright.model.imported.booster_file import Sums, UnfitError, broken, levels_of, link_of_objective
from linewright.model.tasks.links import IDENTITY, LOGISTIC, SOFTMAX, Link

_LOGARITHMS = frozenset({"poisson", "gamma", "tweedie"})
"""Objectives whose sums are logarithms of the answers."""
_OBJECTIVES: Mapping[str, Link] = {
    "binary": LOGISTIC,
    "multiclass": SOFTMAX,
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie"),
        IDENTITY,
    ),
}


def read(data: bytes) -> Sums:
    """Return what a file says."""
    try:
        return _read_lightgbm(data.decode().replace("\r\n", "\n"))
    except Terminal as error:
        raise UnfitError(
            f"{error.what}, which float32 numbers cannot follow", hint="train it without zero_as_missing"
        ) from error
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, RecursionError, Corrupt) as error:
        raise broken("LightGBM", error.what if isinstance(error, Corrupt) else str(error)) from error


def _read_lightgbm(text: str) -> Sums:
    ends = [re.search(rf"^end of {part}$", text, re.MULTILINE) for part in ("trees", "parameters")]
    if not ends[0] or (re.search(r"^parameters:$", text, re.MULTILINE) and not ends[1]):
        raise broken("LightGBM", "it ends too early")
    trees = trees_of(text[: ends[0].start()])
    head = text[: text.index("\nTree=") + 1] if trees else text
    said = len(words_of(head, "tree_sizes"))
    if not trees or said not in (0, len(trees)):
        raise broken("LightGBM", f"{len(trees)} trees, where {said} are announced")
    name, *more = words_of(head, "objective") or ["of your own, or none"]
    link = link_of_objective(f"{name} sqrt" if "sqrt" in more else name, _OBJECTIVES, "LightGBM")
    for sign, what in (
        ("average_output", "averages of trees (boosting rf)"),
        ("is_linear=1", "leaves that are linear models"),
    ):
        if re.search(rf"^{sign}$", text, re.MULTILINE):
            raise UnfitError(
                "the model does not add up trees",
                found=what,
                allowed="sums of trees with a number in each leaf",
            )
    outputs = int(words_of(head, "num_tree_per_iteration")[0])
    classes = words_of(head, "num_class") or ["1"]
    if len(trees) % outputs or (outputs > 1) != (link is SOFTMAX) or classes != [str(outputs)]:
        raise broken("LightGBM", f"{len(trees)} trees for {outputs} outputs")
    for tree in trees:
        _require_counts(tree)
    exact = written_anew(exact_text(text))
    forest = forest_of(exact, outputs=outputs)
    names, infos = names_of(head), words_of(head, "feature_infos")
    if len({len(names), len(infos), int(words_of(head, "max_feature_idx")[0]) + 1}) > 1:
        raise broken("LightGBM", f"{len(names)} names of columns, and ranges of {len(infos)}")
    levels, codes = _levels(text[ends[0].end() :], infos)
    tail = text[ends[1].end() :].strip() if ends[1] else None
    if forest.codes and (tail is None or (tail and not tail.startswith("pandas_categorical:"))):
        # Behind the trees stands what the codes mean.
        raise broken("LightGBM", "it ends too early")
    if {forest.column[split] for split in forest.codes} - {*levels, *codes}:
        raise broken("LightGBM", "it asks a column of numbers for categories")
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
        is_exp=name in _LOGARITHMS,
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
        raise broken("LightGBM", "a tree has other leaves, or other sets of codes, than it says")


def _levels(tail: str, infos: Sequence[str]) -> tuple[dict[int, tuple[str | float, ...]], tuple[int, ...]]:
    """Return the categories of columns that were categories in pandas, and columns of whole numbers that are codes."""
    # The range of numbers stands in brackets; codes are listed; nothing is known of a column that never differs.
    places = [place for place, info in enumerate(infos) if info != "none" and not info.startswith("[")]
    found = re.search(r"^pandas_categorical:(.*)$", tail, re.MULTILINE)
    listed: Any = json.loads(found.group(1)) if found else None
    if not listed:
        return {}, tuple(places)
    if not isinstance(listed, list) or len(listed) != len(places):
        raise UnfitError(
            "which columns the categories of the model belong to is not sure",
            found=f"{len(listed)} lists of categories, and {len(places)} columns that are asked for them",
            allowed="as many of the one as of the other",
            hint="train it where all columns of pandas' type category differ and have no order, and with categorical_feature='auto'",
        )
    return {place: levels_of(each) for place, each in zip(places, listed, strict=True)}, ()
