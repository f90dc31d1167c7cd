"""Lists that are drawn: a share of the answers shows items in an order of chance, so that other lists can be valued from what was taken.

The pool of a row is its `POOL` times as many best items as an answer lists. With probability `share` an answer is a random ordered sample
of the pool, each equally likely; else the best items, in order. So an item of the pool stands at a position with probability
share / (size of the pool), and the item that the model puts there with 1 - share more: its propensity, exactly, whatever stands elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import shake_256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.tasks.item_lists import NOTHING, ItemLists

POOL = 2
_DIGITS = 8
_WHOLE = 2.0 ** (8 * _DIGITS)


def explored(
    answers: Sequence[Mapping[str, Any]],
    scores: NDArray[np.float64],
    names: Sequence[str],
    *,
    share: float,
    ids: Sequence[str],
) -> list[dict[str, Any]]:
    """Return answers of which a share is drawn, each with the propensity of what it shows.

    Examples
    --------
    >>> scores = np.array([[2, 1, 0.9, 0.3, 0.5, 0.1, 4, 2, 1]])
    >>> said = [{"prediction": ["bread"], "scores": [0.9], "history_used": 4}]
    >>> explored(said, scores, ("ale", "bread"), share=0.2, ids=["a"])[0]["propensities"]
    [0.9]
    """
    return [
        {**answer, **_drawn(answer, pool, share, identity)}
        for answer, pool, identity in zip(answers, pools(scores, names), ids, strict=True)
    ]


def pools(scores: NDArray[np.float64], names: Sequence[str]) -> Iterator[list[tuple[str, float]]]:
    """Iterate over the pools of rows: items with what they were ranked by, the best first."""
    lists = ItemLists(scores)
    rows = zip(
        lists.items.astype(np.int64).tolist(), lists.values.tolist(), lists.shown.tolist(), strict=True
    )
    for items, values, shown in rows:
        kept: list[tuple[str, float]] = [
            (names[int(code) - 1], float(value))
            for code, value in zip(items, values, strict=True)
            if code > NOTHING
        ]
        yield kept[: POOL * int(shown)]


def _drawn(
    answer: Mapping[str, Any], pool: list[tuple[str, float]], share: float, identity: str
) -> dict[str, Any]:
    best = answer["prediction"]
    digits = shake_256(f"explore/{identity}".encode()).digest(_DIGITS * (len(best) + 1))
    chances = [int.from_bytes(digits[at : at + _DIGITS]) / _WHOLE for at in range(0, len(digits), _DIGITS)]
    is_drawn = chances[0] < share
    shown = list(pool)
    if is_drawn:  # the first places of a shuffle (Fisher and Yates)
        for place, chance in enumerate(chances[1:]):
            other = place + min(int(chance * (len(shown) - place)), len(shown) - place - 1)
            shown[place], shown[other] = shown[other], shown[place]
    shown = shown[: len(best)]
    each = share / max(len(pool), 1)
    return {
        "prediction": [item for item, _ in shown],
        "scores": [value for _, value in shown],
        "propensities": [
            each + (1 - share) * (item == first) for (item, _), first in zip(shown, best, strict=True)
        ],
        "explored": is_drawn,
        "explore": share,
    }
