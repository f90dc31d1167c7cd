"""Why a row is odd: how the score changes if a column is as in a typical row."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.model.onnx.reader import read_parts
from linewright.model.tasks.links import ODDITY
from linewright.store.values import decoder

ODD = "linewright.oddity"
"""Name of graphs that say how odd rows are."""
TYPICAL = "linewright.typical"
"""In their metadata: what each column of the matrix is in a typical row; null if it is missing."""
_AT_ONCE = 1 << 21
"""Numbers of the largest matrix that is made."""
Scores = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def typical_of(graph: bytes, *, width: int, where: str) -> NDArray[np.float32]:
    """Return what a typical row is, shape (width,)."""
    try:
        said = decoder(list[float | None]).decode(read_parts(graph).metadata[TYPICAL])
    except (KeyError, msgspec.MsgspecError) as error:
        raise Corrupt(
            "the graph does not say what a typical row is", where=where, found=str(error)
        ) from error
    if len(said) != width:
        raise Corrupt("the typical row is of another form than the model reads", where=where, found=len(said))
    return np.array([np.nan if one is None else one for one in said], dtype=np.float32)


def why_odd(
    scores: Scores, x: NDArray[np.float32], typical: NDArray[np.float32], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what each column adds to how odd rows are.

    Examples
    --------
    >>> odd = lambda rows: np.abs(rows).max(axis=1)
    >>> why_odd(odd, np.array([[0.5, 0.25]], np.float32), np.zeros(2, np.float32), ["a", "b"])[0]["contributions"]
    {'a': 0.375, 'b': 0.125}
    """
    names = list(dict.fromkeys(sources))
    places = [[at for at, one in enumerate(sources) if one == name] for name in names]
    (base,) = scores(typical[np.newaxis]).tolist()
    explained: list[dict[str, Any]] = []
    step = max(1, _AT_ONCE // max(1, 2 * len(names) * x.shape[1]))
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        own = scores(rows)
        without = np.repeat(rows[np.newaxis], len(names), axis=0)
        alone = np.broadcast_to(typical, without.shape).copy()
        for number, at in enumerate(places):
            without[number][:, at] = typical[at]
            alone[number][:, at] = rows[:, at]
        both = scores(np.concatenate([without, alone]).reshape(-1, x.shape[1])).reshape(2, len(names), -1)
        moved = ((own - both[0]) + (both[1] - base)) / 2
        explained += [
            {
                "score": score,
                "score_unit": ODDITY.unit,
                "base": base,
                "contributions": dict(zip(names, column.tolist(), strict=True)),
            }
            for score, column in zip(own.tolist(), moved.T, strict=True)
        ]
    return explained


def heat_maps(scores: Scores, x: NDArray[np.float32], grid: int) -> list[list[list[float]]]:
    """Return how odd each part of pictures is: the score of a picture whose oddest parts are all as odd as that part.

    Examples
    --------
    >>> heat_maps(lambda rows: rows.max(axis=1).astype(np.float64), np.array([[0, 0.25, 0.5, 1]], np.float32), 2)
    [[[0.0, 0.25], [0.5, 1.0]]]
    """
    maps: list[list[list[float]]] = []
    for row in x:
        of_parts = scores(np.repeat(row[:, np.newaxis], len(row), axis=1))
        maps.append(of_parts.round(4).reshape(grid, grid).tolist())
    return maps
