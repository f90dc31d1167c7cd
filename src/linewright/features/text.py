"""Texts as numbers: hashed grams, weighted and projected, and what a text looks like. Imports numpy alone: an endpoint loads it.

A *gram* is a run of 2, 3 or 4 characters, a word, or two words that follow each other. Before it is cut, a text is folded:
letters are small, each digit is 0, and blanks beside each other are one. The key of a gram is a polynomial fingerprint of its code
points modulo 2**64 [1]_, mixed by the finaliser of MurmurHash3 [2]_, of which the upper 32 bits are kept; nothing of it depends
on the interpreter, the process or the machine. A text is the vector of the grams that are known, each ``(1 + ln count) *
weight``, scaled to length 1; a model reads what it looks like (`SHAPES`), its products with a few directions, and its values at
some words.

Known grams are those of many training texts, and the directions are the first right singular vectors of those texts
(latent semantic analysis [3]_): `features.learn_text` finds both, without a label.

References
----------
.. [1] R. M. Karp and M. O. Rabin, Efficient randomized pattern-matching algorithms, IBM J. Res. Dev. 31 (1987), 249-260.
.. [2] A. Appleby, MurmurHash3, function ``fmix64``; public domain.
.. [3] S. Deerwester et al., Indexing by latent semantic analysis, JASIS 41 (1990), 391-407.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.features.facts import SHAPES, Text

MOST_CHARACTERS = 10_000
"""Characters of a text that are looked at: the first ones. Its number of characters counts them all."""
LENGTHS = (2, 3, 4)
"""Of the runs of characters."""
_WORD, _PAIR = 64, 65
"""What tells the kinds of grams apart, beside `LENGTHS`."""
_KINDS = np.array([*LENGTHS, _WORD, _PAIR], dtype=np.uint64)
_AT_ONCE = 32_768
"""Characters of texts that are taken together, so that memory is bounded."""
_MOST_COUNTED = 1_000
_LOGS = 1 + np.log(np.arange(1, _MOST_COUNTED + 1, dtype=np.float64))

# Tables of the first code points, of alphabets that are old in Unicode; letters beyond them stay as they are.
_FIRST = [chr(code) for code in range(0x600)]
_LAST = len(_FIRST) - 1
_IS_BLANK = np.array([c.isspace() or not c.isprintable() for c in _FIRST])
_IS_DIGIT = np.array([c in "0123456789" for c in _FIRST])
_IS_CAPITAL = np.array([c.isupper() for c in _FIRST])
_IS_LETTER = np.array([c.isalpha() or "\u0300" <= c <= "\u036f" for c in _FIRST])
_BLANK, _ZERO = ord(" "), ord("0")
_SMALL = np.array([ord(c.lower()) if len(c.lower()) == 1 else ord(c) for c in _FIRST], dtype=np.uint32)
_FOLDED = np.where(_IS_BLANK, _BLANK, np.where(_IS_DIGIT, _ZERO, _SMALL)).astype(np.uint32)
_PUNCTUATION = (0x2000, 0x206F)
"""Code points of general punctuation, blanks among them: they part words."""
_WIDE_BLANK = 0x3000


def _powers(base: int) -> NDArray[np.uint64]:
    ones = np.full(_AT_ONCE + MOST_CHARACTERS + 3, base, dtype=np.uint64)
    ones[0] = 1
    return ones.cumprod(dtype=np.uint64)


_BASE = 0x9E3779B97F4A7C15
_POWERS, _INVERSES = _powers(_BASE), _powers(pow(_BASE, -1, 2**64))
_SALT = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(33)


class Grams(NamedTuple):
    """Grams of some texts, and what these look like."""

    texts: NDArray[np.int64]
    """Place of the text that a gram is of, shape (m,)."""
    keys: NDArray[np.uint32]
    """Shape (m,)."""
    is_word: NDArray[np.bool_]
    """Whether it is one word, shape (m,)."""
    shapes: NDArray[np.float64]
    """Shape (texts, len(SHAPES))."""


def grams(texts: Sequence[str]) -> Grams:
    """Cut texts into grams. Together they should be about 32,768 characters or fewer, or one: memory grows with them.

    Examples
    --------
    >>> one, other = grams(["CALL 0800 now"]), grams(["call 0123 NOW!"])
    >>> len(one.keys), len(set(one.keys.tolist()) & set(other.keys.tolist()))
    (44, 38)
    >>> other.shapes.round(2).tolist()
    [[14.0, 3.0, 0.29, 0.21, 0.07]]
    """
    taken = [text[:MOST_CHARACTERS] for text in texts]
    joined = "".join([f" {text} " for text in taken]).encode("utf-32-le", "surrogatepass")
    raw = np.frombuffer(joined, dtype="<u4")
    sizes = np.array([len(text) + 2 for text in taken], dtype=np.int64)
    of = np.repeat(np.arange(len(taken)), sizes)
    low = np.minimum(raw, _LAST)
    is_far = raw > _LAST
    parts = is_far & ((raw >= _PUNCTUATION[0]) & (raw <= _PUNCTUATION[1]) | (raw == _WIDE_BLANK))
    codes = np.where(is_far, raw, _FOLDED[low])
    codes[parts] = _BLANK
    is_blank, is_digit = codes == _BLANK, codes == _ZERO
    is_word = is_digit | np.where(is_far, ~parts, _IS_LETTER[low])

    looked_at = np.maximum(sizes - 2, 1)
    shares = [
        np.bincount(of, weights=mask, minlength=len(taken)) / looked_at
        for mask in (is_digit, _IS_CAPITAL[low] & ~is_far, ~(is_blank | is_word))
    ]

    keep = np.ones(len(raw), dtype=bool)
    keep[1:] = ~(is_blank[1:] & is_blank[:-1] & (of[1:] == of[:-1]))
    places, keys, words = _cut(codes[keep], of[keep], is_word[keep])
    whole = np.array([len(text) for text in texts], dtype=np.float64)
    number = np.bincount(places[words], minlength=len(taken)).astype(np.float64)
    return Grams(places, keys, words, np.stack([whole, number, *shares], axis=1))


def _cut(
    codes: NDArray[np.uint32], of: NDArray[np.int64], is_word: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
    prefix = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * _POWERS[: len(codes)], out=prefix[1:])
    runs = [np.flatnonzero(of[: 1 - length] == of[length - 1 :]) for length in LENGTHS]
    # Each text begins and ends with a blank, so that no word is cut and none goes on into the next text.
    edges = np.diff(is_word.view(np.int8))
    first, end = np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1) + 1
    starts = np.concatenate([*runs, first])
    ends = np.concatenate([*(at + length for at, length in zip(runs, LENGTHS, strict=True)), end])
    prints = (prefix[ends] - prefix[starts]) * _INVERSES[starts]
    texts, words = of[starts], of[first]
    after = np.flatnonzero(words[1:] == words[:-1])
    of_words = prints[len(prints) - len(first) :]
    pairs = of_words[after] * np.uint64(_BASE) + of_words[after + 1]
    kinds = np.repeat(_KINDS, [*map(len, runs), len(first), len(after)])
    keys = _mixed(np.concatenate([prints, pairs]) ^ (kinds * _SALT))
    return np.concatenate([texts, words[after]]), keys, kinds == _WORD


def _mixed(prints: NDArray[np.uint64]) -> NDArray[np.uint32]:
    prints ^= prints >> _SHIFT
    prints *= np.uint64(0xFF51AFD7ED558CCD)
    prints ^= prints >> _SHIFT
    prints *= np.uint64(0xC4CEB9FE1A85EC53)
    return (prints >> np.uint64(32)).astype(np.uint32)


def in_batches(texts: Sequence[str]) -> Iterator[slice]:
    """Iterate over the parts of a list of texts that `grams` may take at once."""
    start, size = 0, 0
    for place, text in enumerate(texts):
        more = min(len(text), MOST_CHARACTERS) + 2
        if place > start and size + more > _AT_ONCE:
            yield slice(start, place)
            start, size = place, 0
        size += more
    if start < len(texts):
        yield slice(start, len(texts))


class Weighed(NamedTuple):
    """The known grams of some texts, each once a text, in the order of texts and keys."""

    texts: NDArray[np.int64]
    grams: NDArray[np.int64]
    """Places among the known keys."""
    values: NDArray[np.float64]
    """``(1 + ln count) * weight``, the texts scaled to length 1."""


def weigh(found: Grams, keys: NDArray[np.uint32], weights: NDArray[np.float64]) -> Weighed:
    """Return texts as vectors of the grams that are known.

    Parameters
    ----------
    found
        Grams of n texts.
    keys, weights
        Known grams, ascending, and their weights, shape (known,); at least one.
    """
    at = np.searchsorted(keys, found.keys).clip(max=len(keys) - 1)
    known = keys[at] == found.keys
    places, counts = np.unique(found.texts[known] * len(keys) + at[known], return_counts=True)
    texts, which = np.divmod(places, len(keys))
    # By a table, for the logarithm of a library may differ with the length of what it is asked for.
    values = _LOGS[np.minimum(counts, _MOST_COUNTED) - 1] * weights[which]
    norms = np.sqrt(np.bincount(texts, weights=values * values, minlength=len(found.shapes)))
    return Weighed(texts, which, values / norms[texts])


class TextReader:
    """Turns texts into the numbers of one text encoding.

    Raises
    ------
    Corrupt
        If the parts of the encoding do not fit together.
    """

    def __init__(self, text: Text) -> None:
        self._keys = np.frombuffer(text.keys, dtype="<u4")
        self._weights = np.frombuffer(text.weights, dtype="<f4").astype(np.float64)
        directions = np.frombuffer(text.directions, dtype="<f2")
        words = np.frombuffer(text.words, dtype="<u2")
        known = len(self._keys)
        if (
            len(self._weights) != known
            or len(directions) != known * text.topics
            or max(words, default=-1) >= known
        ):
            raise Corrupt(
                "the parts of a text encoding do not fit together",
                where=f"column {text.column!r}",
                found=f"{known} keys, {len(self._weights)} weights, {len(directions)} numbers of directions",
            )
        self._directions = directions.reshape(known, text.topics).astype(np.float32)
        self._topics = slice(len(SHAPES), len(SHAPES) + text.topics)
        self.width = text.width
        self._place_of = np.full(known, -1)
        self._place_of[words] = np.arange(len(words)) + self._topics.stop
        self.missing = np.zeros((1, self.width), dtype=np.float32)
        """The numbers of no text, shape (1, width)."""
        self.missing[0, SHAPES.index("characters")] = np.nan

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of texts, shape (n, width), as `Text` has them; a text's do not depend on the others."""
        numbers = np.zeros((len(texts), self.width), dtype=np.float32)
        for taken in in_batches(texts):
            self._fill(numbers[taken], texts[taken])
        return numbers

    def _fill(self, numbers: NDArray[np.float32], texts: Sequence[str]) -> None:
        found = grams(texts)
        numbers[:, : len(SHAPES)] = found.shapes
        weighed = weigh(found, self._keys, self._weights) if len(self._keys) else None
        if weighed is None or not len(weighed.texts):
            return
        parts = weighed.values[:, None] * self._directions[weighed.grams]
        begins = np.flatnonzero(np.diff(weighed.texts, prepend=-1))
        numbers[weighed.texts[begins], self._topics] = np.add.reduceat(parts, begins, axis=0)
        places = self._place_of[weighed.grams]
        listed = places >= 0
        numbers[weighed.texts[listed], places[listed]] = weighed.values[listed]
