"""Word vectors that were trained elsewhere: read from a file, and along the few directions in which a column's texts differ.

Files are texts as word2vec, fastText and GloVe write them [1]_ [2]_ [3]_: a line a word, then its numbers, parted by blanks; a first
line of two whole numbers (how many words, how many numbers) may be there or not. The words that texts use most stand first, so
that only the first lines are read.

A text is the mean of the vectors of its words, each of length 1, weighed by how few training texts have the word. Directions are the
principal components of these means: they rest on the training texts alone, without a label. What the package keeps is each word's
product with them, so that words that no training text has still mean something, and nothing of the file is needed any more.

References
----------
.. [1] T. Mikolov et al., Distributed representations of words and phrases, NeurIPS (2013).
.. [2] P. Bojanowski et al., Enriching word vectors with subword information, TACL 5 (2017), 135-146.
.. [3] J. Pennington, R. Socher and C. D. Manning, GloVe: global vectors for word representation, EMNLP (2014), 1532-1543.
"""

from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from linewright.errors import SpecError
from linewright.features.facts import SHAPES, WordVectors
from linewright.features.text import grams, in_batches, weigh, words_of

MOST_VECTORS = 30_000
"""Lines of a file that are read, beside its first line of sizes."""
MOST_NUMBERS = 1_024
"""Of a word."""
MOST_DIRECTIONS = 32
TEXTS_A_DIRECTION = 10
"""Different texts for each direction, at least."""
_LONGEST = 64 * MOST_NUMBERS
"""Bytes of a line."""
_DIGITS = 10
"""Of the numbers in a first line of sizes, at most."""
_LEAST_VARIANCE = 1e-7
"""Of a direction, as a share of that of the first: less is rounding."""
_ROUNDING = 1e-12
"""Variance of means of vectors of length 1 that is none."""


class Vectors(NamedTuple):
    """Vectors of words."""

    keys: NDArray[np.uint32]
    """The words, as the keys of word grams, ascending, shape (n,)."""
    numbers: NDArray[np.float32]
    """Of length 1 each, shape (n, width)."""


def head(file: BufferedIOBase) -> bytes:
    """Return the lines of a file that are read; nothing behind one that is too long, which `parse` refuses."""
    lines: list[bytes] = []
    for line in islice(iter(lambda: file.readline(_LONGEST), b""), MOST_VECTORS + 1):
        lines.append(line)
        if len(line) == _LONGEST and not line.endswith(b"\n"):
            break
    return b"".join(lines)


def parse(data: bytes, *, where: str) -> Vectors:
    r"""Read vectors of words.

    Parameters
    ----------
    data
        The first lines of a file.
    where
        What messages call it.

    Returns
    -------
    Vectors
        Of what is one word of a text, folded as texts are (`features.text`); of spellings that fold to the same the first counts.

    Raises
    ------
    SpecError
        If a line has another number of numbers than the first, or something else than finite numbers; the message names the line.

    Examples
    --------
    >>> found = parse(b"2 2\nking 3 4\nqueen 1 0\n", where="train.word_vectors")
    >>> len(found.keys), sorted(found.numbers.round(2).tolist())
    (2, [[0.6000000238418579, 0.800000011920929], [1.0, 0.0]])
    """
    words: list[str] = []
    rows: list[NDArray[np.float32]] = []
    for word, numbers in _read(data.rstrip().split(b"\n"), where):
        words.append(word)
        rows.append(numbers)
    if not words:
        raise _wrong("no word of the file has a vector", where, found="no line with one word and its numbers")
    places, keys = _one_word_each(words)
    # The first of equal keys, for its word is the more frequent.
    keys, first = np.unique(keys, return_index=True)
    numbers = np.stack(rows)[places[first]]
    lengths = np.linalg.norm(numbers.astype(np.float64), axis=1, keepdims=True)
    some = lengths[:, 0] > 0
    if not some.any():
        raise _wrong("no word of the file has a vector", where, found=f"{len(words):,} lines")
    return Vectors(keys[some], (numbers[some] / lengths[some]).astype(np.float32))


def _read(lines: Sequence[bytes], where: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Iterate over words and their numbers; what has a blank in it is no word."""
    first = lines[0].split()
    is_sized = len(first) == 2 and all(one.isdigit() and len(one) < _DIGITS for one in first)
    width = int(first[1]) if is_sized else len(first) - 1
    if not 1 < width <= MOST_NUMBERS or len(lines) == is_sized:
        raise _wrong(
            "the file holds no word vectors", where, found=f"line 1 of the file: {width} numbers of a word"
        )
    for place, line in enumerate(lines[is_sized : MOST_VECTORS + is_sized], 1 + is_sized):
        fields = line.split()
        if len(fields) > width + 1 and not _is_number(fields[1]):
            continue
        if len(fields) != width + 1:
            raise _wrong(
                "a word has another number of numbers than the others",
                where,
                found=f"line {place:,} of the file: {max(len(fields) - 1, 0)} numbers",
                allowed=f"{width}",
            )
        try:
            numbers = np.array(fields[1:], dtype=np.float32)
        except ValueError:
            numbers = np.full(1, np.nan, dtype=np.float32)
        if not np.isfinite(numbers).all():
            raise _wrong(
                "a word has something else than finite numbers", where, found=f"line {place:,} of the file"
            )
        yield fields[0].decode(errors="replace"), numbers


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _wrong(what: str, where: str, *, found: str, allowed: str = "") -> SpecError:
    return SpecError(
        what,
        where=where,
        found=found,
        allowed=allowed or f"a line a word, then 2 to {MOST_NUMBERS:,} numbers, parted by blanks",
        hint="name a file in the text form of word2vec, fastText (.vec) or GloVe (.txt); a binary one (.bin) has to be written as text first",
    )


def _one_word_each(words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return which of some texts are one word and nothing else, and their keys."""
    places, keys = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.uint32)]
    for part in in_batches(words):
        cut = grams(words[part])
        is_one = (cut.shapes[:, SHAPES.index("words")] == 1) & (cut.shapes[:, SHAPES.index("marks")] == 0)
        found = words_of(cut)
        taken = is_one[found.texts]
        places.append(found.texts[taken] + part.start)
        keys.append(found.keys[taken])
    return np.concatenate(places), np.concatenate(keys)


def learn_vectors(texts: Sequence[str], vectors: Vectors) -> WordVectors:
    """Learn the weights of words that have a vector, and the directions in which the mean vectors of texts differ.

    Parameters
    ----------
    texts
        Different training texts.
    vectors
        Vectors of words.

    Returns
    -------
    WordVectors
        Equal texts and vectors give equal bytes on one machine. Without words and directions where fewer than 10 texts are there, or
        where no two of them differ in words that have a vector.

    Notes
    -----
    The weight of a word is ``1 + ln((1 + n) / (1 + d))`` where d of n texts have it; those of no training text weigh most.
    """
    n, (known, width) = len(texts), vectors.numbers.shape
    documents, found, of = np.zeros(known), 0, 0
    for part in in_batches(texts):
        words = words_of(grams(texts[part]))
        met = np.isin(words.keys, vectors.keys)
        of, found = of + len(met), found + int(met.sum())
        documents += np.bincount(weigh(words, vectors.keys, np.ones(known)).grams, minlength=known)
    weights = (1 + np.log((1 + n) / (1 + documents))).astype("<f4")
    total, products = np.zeros(width), np.zeros((width, width))
    with threadpool_limits(1):
        for part in in_batches(texts):
            weighed = weigh(words_of(grams(texts[part])), vectors.keys, weights.astype(np.float64))
            if not len(weighed.texts):
                continue
            parts = weighed.values[:, None] * vectors.numbers[weighed.grams]
            means = np.add.reduceat(parts, np.flatnonzero(np.diff(weighed.texts, prepend=-1)), axis=0)
            total += means.sum(axis=0)
            products += means.T @ means
        directions = _directions(products / max(n, 1) - np.outer(total, total) / max(n, 1) ** 2, n)
        table = (vectors.numbers @ directions).astype("<f2")
    some = bool(directions.shape[1])
    return WordVectors(
        keys=vectors.keys.astype("<u4").tobytes() if some else b"",
        weights=weights.tobytes() if some else b"",
        directions=table.tobytes() if some else b"",
        topics=table.shape[1],
        found=found,
        of=of,
    )


def _directions(covariance: NDArray[np.float64], texts: int) -> NDArray[np.float64]:
    """Return principal components, the first ones first, shape (width, topics); the largest number of each is positive."""
    variances, components = np.linalg.eigh(covariance)
    variances, components = variances[::-1], components[:, ::-1]
    varies = int((variances > max(_LEAST_VARIANCE * variances[0], _ROUNDING)).sum())
    taken = components[:, : min(MOST_DIRECTIONS, texts // TEXTS_A_DIRECTION, varies)]
    largest = np.abs(taken).argmax(axis=0)
    return taken * np.sign(taken[largest, np.arange(taken.shape[1])])
