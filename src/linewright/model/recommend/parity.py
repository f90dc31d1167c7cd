"""Prove that the package of a recommender ranks as its numbers say, computed without the runtime that serves."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from linewright.errors import SpecError, Terminal
from linewright.model.export.parity import ALLOWED
from linewright.model.facts import Parity
from linewright.model.package.model import Model
from linewright.model.tasks.item_lists import ItemLists

_MOST = 256
_ALONE = 16


def parity_of_lists(model: Model, graph: bytes, *, x: NDArray[np.float32]) -> Parity:
    """Compare the lists of a package with those of the numbers in its graph, added up in double."""
    if not len(x):
        raise SpecError("no held-out rows to compare the package on", hint="widen `train.split.test`")
    asked = x[:_MOST]
    together = model.scores(asked)
    alone = np.concatenate([model.scores(asked[i : i + 1]) for i in range(min(len(asked), _ALONE))])
    largest = float(np.abs(together[: len(alone)] - alone).max())
    numbers = {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(graph).graph.initializer}
    lists, flips = ItemLists(together), 0
    for row, codes in enumerate(asked.astype(np.int64)):
        known = codes[codes > 0]
        if not len(known) or "weights" not in numbers:
            continue
        said = _added(numbers, known)
        listed = lists.items[row].astype(np.int64)
        kept = listed[listed > 0]
        # What popularity adds between equals is the same small part in both.
        apart = lists.values[row][: len(kept)] - said[kept]
        largest = float(np.maximum(largest, np.abs(apart).max(initial=0.0) - _TIE))
        order = said[kept]
        flips += int((order[1:] > order[:-1] + _TIE + ALLOWED).sum())
    if not largest <= ALLOWED or flips:  # also if it is not a number
        raise Terminal(
            "the package does not rank as its numbers say",
            where=f"package {model.digest}",
            found=f"a difference of {largest:.3g} and {flips} other places, in {len(asked):,} rows",
            allowed=f"{ALLOWED:g} and none",
            hint="report this with the line file; the previous champion serves on",
        )
    return Parity(
        package=model.digest, rows=len(asked), largest=max(largest, 0.0), allowed=ALLOWED, flips=flips
    )


_TIE = 1e-4


def _added(numbers: dict[str, NDArray[np.float32]], known: NDArray[np.int64]) -> NDArray[np.float64]:
    weights = numbers["weights"][known].astype(np.float64)
    if "neighbours" not in numbers:
        return weights.sum(axis=0)
    places = numbers["neighbours"][known]
    most = int(numbers["neighbours"].max()) + 1
    return np.bincount(places.ravel(), weights=weights.ravel(), minlength=most).astype(np.float64)
