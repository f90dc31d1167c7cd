"""Prove that the package of a forecast gives each row one answer, alone and with others; `learn_forecast` has compared the graph with its numbers."""

import numpy as np
from numpy.typing import NDArray

from linewright.errors import SpecError, Terminal
from linewright.model.facts import Parity
from linewright.model.forecast.graph import ALLOWED
from linewright.model.package.model import Model
from linewright.model.tasks.horizons import Horizons

_MOST = 256
_ALONE = 16


def parity_of_steps(model: Model, graph: bytes, *, x: NDArray[np.float32]) -> Parity:
    """Compare what a package says of rows at once with what it says of each alone, and look whether intervals are in order."""
    del graph
    if not len(x):
        raise SpecError("no held-out rows to compare the package on", hint="widen `train.split.test`")
    asked = x[:_MOST]
    together = model.scores(asked)
    alone = np.concatenate([model.scores(asked[row : row + 1]) for row in range(min(len(asked), _ALONE))])
    said = Horizons(together)
    unit = np.maximum(np.abs(alone), Horizons(alone).scale)
    largest = float((np.abs(together[: len(alone)] - alone) / unit).max())
    flips = int(((said.low > said.forecast) | (said.forecast > said.high)).sum())
    if not largest <= ALLOWED or flips:  # also if it is not a number
        raise Terminal(
            "the package does not answer a row alone as it does with others",
            where=f"package {model.digest}",
            found=f"a difference of {largest:.3g} and {flips} intervals out of order, in {len(asked):,} rows",
            allowed=f"{ALLOWED:g} and none",
            hint="report this with the line file; the previous champion serves on",
        )
    return Parity(package=model.digest, rows=len(asked), largest=largest, allowed=ALLOWED, flips=flips)
