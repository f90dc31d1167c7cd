"""Learn how texts become numbers, from the texts alone; `features.text` says what the numbers are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from linewright.features.facts import Text
from linewright.features.text import MOST_CHARACTERS, KnownGrams, grams, in_batches

MOST_GRAMS = 4_096
"""Grams that are known: the words that are read, then those of most texts, of at least two."""
MOST_TOPICS, MOST_WORDS = 32, 256
TEXTS_A_TOPIC = 10
"""Different texts for each direction, at least: fewer texts have fewer directions."""
TEXTS_A_WORD = 5
"""Texts that a word must be in to be a number of its own."""
MOST_CELLS = 32_000_000
"""Cells of the matrix that the words of a column may take."""
_MORE, _STEPS = 10, 4
"""Of the randomised method: directions that are looked for beside those that are kept, and rounds."""
MOST_LEARNED = 4_000_000
"""Characters of texts that are learned from, about; of more, every second, third, … text in the order of spelling."""


def learn_text(column: str, texts: Sequence[str], *, rows: int) -> Text:
    """Learn the known grams of a column, their weights, their directions, and which words are numbers of their own.

    Notes
    -----
    The weight of a gram is ``1 + ln((1 + n) / (1 + d))`` where d of n texts have it. The directions are the first right
    singular vectors of the weighted texts by a randomised method [1]_ with a fixed seed.

    References
    ----------
    .. [1] N. Halko, P. G. Martinsson and J. A. Tropp, Finding structure with randomness, SIAM Review 53 (2011), 217-288.

    Examples
    --------
    >>> texts = sorted(f"{what} the {thing}" for what in ("buy", "sell", "rent", "see") for thing in ("red car", "house", "cat"))
    >>> text = learn_text("advert", texts, rows=100)
    >>> text.topics, len(text.words) // 2, text.width
    (1, 1, 7)
    """
    characters = sum(min(len(text), MOST_CHARACTERS) for text in texts)
    taken = texts[:: max(1, -(-characters // MOST_LEARNED))]
    keys, counts, words = _known(taken, min(MOST_WORDS, MOST_CELLS // max(rows, 1)))
    weights = (1 + np.log((1 + len(taken)) / (1 + counts))).astype("<f4")
    directions = _directions(_matrix(taken, keys, weights.astype(np.float64)), len(taken) // TEXTS_A_TOPIC)
    return Text(
        column=column,
        keys=keys.astype("<u4").tobytes(),
        weights=weights.tobytes(),
        directions=directions.astype("<f2").tobytes(),
        topics=directions.shape[1],
        words=words.astype("<u2").tobytes(),
    )


def _known(
    texts: Sequence[str], most_words: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Return the keys of known grams, ascending; how many texts have each; and the places of the words that are read."""
    found = [np.empty(0, dtype=np.uint64)]
    for part in in_batches(texts):
        cut = grams(texts[part])
        once = np.unique(
            cut.texts.astype(np.uint64) << np.uint64(33)
            | cut.keys.astype(np.uint64) << np.uint64(1)
            | cut.is_word
        )
        found.append(once & np.uint64(2**33 - 1))
    known, counts = np.unique(np.concatenate(found), return_counts=True)
    known, counts = known[counts > 1], counts[counts > 1]
    is_word = (known & np.uint64(1)).astype(bool) & (counts >= TEXTS_A_WORD)
    order = np.lexsort((known, -counts))
    read = order[is_word[order]][:most_words]
    first = np.zeros(len(known), dtype=bool)
    first[read] = True
    taken = np.sort(np.lexsort((known, -counts, ~first))[:MOST_GRAMS])
    return (
        (known[taken] >> np.uint64(1)).astype(np.uint32),
        counts[taken],
        np.searchsorted(taken, np.sort(read)),
    )


def _matrix(texts: Sequence[str], keys: NDArray[np.uint32], weights: NDArray[np.float64]) -> Any:
    known, parts = KnownGrams(keys, weights), [sp.csr_matrix((0, len(keys)))]
    for part in in_batches(texts) if len(keys) else ():
        weighed = known.weigh(grams(texts[part]))
        parts.append(
            sp.csr_matrix(
                (weighed.values, (weighed.texts, weighed.grams)), shape=(part.stop - part.start, len(keys))
            )
        )
    return sp.vstack(parts, format="csr")


def _directions(matrix: Any, most: int) -> NDArray[np.float64]:
    """Return the first right singular vectors, shape (grams, topics); the largest number of each is positive."""
    topics = min(MOST_TOPICS, most, *matrix.shape)
    if not topics:
        return np.zeros((matrix.shape[1], 0))
    with threadpool_limits(1):
        sketch = matrix @ np.random.default_rng(0).normal(size=(matrix.shape[1], topics + _MORE))
        for _ in range(_STEPS):
            sketch = matrix @ np.linalg.qr(matrix.T @ np.linalg.qr(sketch)[0])[0]
        found = np.linalg.svd((matrix.T @ np.linalg.qr(sketch)[0]).T, full_matrices=False)[2][:topics].T
    largest = np.abs(found).argmax(axis=0)
    return found * np.sign(found[largest, np.arange(found.shape[1])])
