"""What the parts of a picture say for its answer: each part in turn gets the mean colour of the picture, and the picture is predicted again."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import NotFound, RequestError
from linewright.features.facts import LOOKS, PicturePart
from linewright.model.package.model import SMALLEST, Model
from linewright.model.pictures import PictureReader
from linewright.serve.rows.body.typed import Row

GRIDS = (4, 8)
"""Parts of a side: the first of all pictures, the next if time allows."""
MOST_SECONDS = 4.0
"""Of one request."""
MOST_OCCLUDED = 8
"""Rows of a request: each is predicted up to 80 times."""


def check_occluded(rows: int, where: str) -> None:
    """Refuse too many pictures to explain."""
    if rows > MOST_OCCLUDED:
        raise RequestError(
            "too many pictures to explain in one request",
            where=where,
            found=rows,
            allowed=f"at most {MOST_OCCLUDED} rows",
            hint="send them in several requests, or without `explain`",
        )


def occlusions(
    model: Model,
    x: NDArray[np.float32],
    rows: Sequence[Row],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[dict[str, Any]]:
    """Return what the parts of the pictures of rows say for their answers."""
    end, answers = clock() + MOST_SECONDS, model.answers(model.scores(x))
    found: list[dict[str, Any]] = [{} for _ in rows]
    if not (answers and _is_explained(answers[0])):
        return found
    waiting = [
        (number, name, reader)
        for number, row in enumerate(rows)
        for name, reader in model.pictures.items()
        if isinstance(row.get(name), str)
    ]
    coarse, fine = GRIDS
    took = 0.0
    for grid in (coarse, fine):
        for number, name, reader in waiting:
            begun = clock()
            # Time is for the pictures after the first: that one is always looked at.
            if took and begun + took * (grid // coarse) ** 2 > end:
                return found
            with suppress(NotFound):
                at = x[number], reader, str(rows[number].get(name)), name
                found[number][name] = _patches(model, *at, grid=grid, answer=answers[number])
            took = max(took, clock() - begun) if grid == coarse else took
    return found


def _is_explained(answer: Mapping[str, Any]) -> bool:
    return "probabilities" in answer or isinstance(answer.get("prediction"), float)


def _patches(
    model: Model,
    x: NDArray[np.float32],
    reader: PictureReader,
    digest: str,
    name: str,
    *,
    grid: int,
    answer: Mapping[str, Any],
) -> dict[str, Any]:
    numbers = reader.occluded(digest, grid)
    varied = np.repeat(x[np.newaxis], len(numbers), axis=0)
    for place, encoding in enumerate(model.package.encoder.encodings):
        # What a picture looks like as a whole, its size and brightness, stays as it is.
        if isinstance(encoding, PicturePart) and encoding.column == name and encoding.part >= len(LOOKS):
            varied[:, place] = numbers[:, encoding.part - len(LOOKS)]
    scores = model.scores(np.concatenate([x[np.newaxis], varied]))
    of = str(answer["prediction"]) if "probabilities" in answer else None
    if of is None:
        return {"of": None, "patches": _less(scores, grid)}
    place = list(answer["probabilities"]).index(of)
    # From both columns of two: near 1 a probability is coarse, and the rest says how near it is.
    rest = np.delete(scores, place, axis=1).sum(axis=1)
    odds = np.log(np.maximum(scores[:, place], SMALLEST)) - np.log(np.maximum(rest, SMALLEST))
    return {"of": of, "patches": _less(scores[:, place], grid), "log_odds": _less(odds, grid)}


def _less(values: NDArray[np.float64], grid: int) -> list[list[float]]:
    return ((values[0] - values[1:]).round(6).reshape(grid, grid) + 0.0).tolist()
