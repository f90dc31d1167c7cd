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
"""Of the runs of characters, each by one longer than the one before."""
_WORD, _PAIR = 64, 65
"""What tells the kinds of grams apart, beside `LENGTHS`."""
_AT_ONCE = 32_768
"""Characters of texts that are taken together, so that memory is bounded."""
_PARTS_AT_ONCE = 65_536
"""Products of a gram and a direction that are held at one time, about."""
_UPPER_BITS = 14
"""Of a key: they say where to look for it."""
_LOWER_BITS = np.uint32(32 - _UPPER_BITS)
_PLACE_BITS = 32
"""Of a number that has a text above them and the place of a known gram in them."""
_MOST_COUNTED = 1_000
_LOGS = 1 + np.log(np.arange(1, _MOST_COUNTED + 1, dtype=np.float64))

# Tables of the first code points, of alphabets that are old in Unicode, and last of all others, which stay as they are.
_FIRST = [chr(code) for code in range(0x600)]
_FAR = len(_FIRST)
_IS_BLANK = np.array([c.isspace() or not c.isprintable() for c in _FIRST])
_IS_DIGIT = np.array([c in "0123456789" for c in _FIRST])
_IS_CAPITAL = np.array([c.isupper() for c in _FIRST])
_IS_LETTER = np.array([c.isalpha() or "\u0300" <= c <= "\u036f" for c in _FIRST])
_BLANK, _ZERO = ord(" "), ord("0")
_SMALL = np.array([ord(c.lower()) if len(c.lower()) == 1 else ord(c) for c in _FIRST])
_FOLDED = np.append(np.where(_IS_BLANK, _BLANK, np.where(_IS_DIGIT, _ZERO, _SMALL)), 0).astype(np.uint64)
_IS_WORD = np.append(_IS_DIGIT | _IS_LETTER, True)
_BITS = 20
"""Enough to count the characters of a text."""
_MOST_COUNT = (1 << _BITS) - 1
_COUNTED = np.append(
    _IS_DIGIT
    | _IS_CAPITAL.astype(np.int64) << _BITS
    | (~(_IS_BLANK | _IS_WORD[:_FAR])).astype(np.int64) << 2 * _BITS,
    0,
)
"""One digit, one capital or one mark, in bits of their own, so that they are added up together."""
_PUNCTUATION = (0x2000, 0x206F)
"""Code points of general punctuation, blanks among them: they part words."""
_WIDE_BLANK = 0x3000


def _powers(base: int) -> NDArray[np.uint64]:
    ones = np.full(_AT_ONCE + MOST_CHARACTERS + 3, base, dtype=np.uint64)
    ones[0] = 1
    return ones.cumprod(dtype=np.uint64)


_BASE = 0x9E3779B97F4A7C15
_POWERS, _INVERSES = _powers(_BASE), _powers(pow(_BASE, -1, 2**64))
_SALTS = np.array([*LENGTHS, _WORD, _PAIR], dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
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
    starts = sizes.cumsum() - sizes
    at = np.minimum(raw, _FAR, dtype=np.int64)
    codes, is_word = _FOLDED.take(at), _IS_WORD.take(at)
    far = np.flatnonzero(at == _FAR)
    if len(far):
        beyond = raw[far]
        parts = (beyond >= _PUNCTUATION[0]) & (beyond <= _PUNCTUATION[1]) | (beyond == _WIDE_BLANK)
        codes[far], is_word[far] = np.where(parts, _BLANK, beyond), ~parts

    counts = np.add.reduceat(_COUNTED.take(at), starts)
    looked_at = np.maximum(sizes - 2, 1)
    shares = [(counts >> bits & _MOST_COUNT) / looked_at for bits in (0, _BITS, 2 * _BITS)]

    is_blank = codes == _BLANK
    keep = np.ones(len(raw), dtype=np.bool_)
    keep[1:] = ~(is_blank[1:] & is_blank[:-1])
    keep[starts] = True
    of = np.repeat(np.arange(len(taken)), np.add.reduceat(keep, starts, dtype=np.int64))
    places, keys, words = _cut(codes[keep], of, is_word[keep])
    whole = np.array([len(text) for text in texts], dtype=np.float64)
    number = np.bincount(places[words], minlength=len(taken)).astype(np.float64)
    return Grams(places, keys, words, np.stack([whole, number, *shares], axis=1))


def _cut(
    codes: NDArray[np.uint64], of: NDArray[np.int64], is_word: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
    numbers = codes + np.uint64(1)
    prints: list[NDArray[np.uint64]] = []
    texts: list[NDArray[np.int64]] = []
    runs = numbers
    for length in LENGTHS:
        runs = runs[:-1] + numbers[length - 1 :] * _POWERS[length - 1]
        is_in_one = of[: len(runs)] == of[length - 1 :]
        prints.append(runs[is_in_one])
        texts.append(of[: len(runs)][is_in_one])
    # Each text begins and ends with a blank, so that no word is cut and none goes on into the next text.
    edges = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    first = edges[::2]
    sums = np.add.reduceat(numbers * _POWERS[: len(numbers)], edges) if len(edges) else numbers[:0]
    words, of_words = sums[::2] * _INVERSES[first], of[first]
    after = np.flatnonzero(of_words[1:] == of_words[:-1])
    prints += [words, words[after] * np.uint64(_BASE) + words[after + 1]]
    texts += [of_words, of_words[after]]
    for each, salt in zip(prints, _SALTS, strict=True):
        np.bitwise_xor(each, salt, out=each)
    last = len(first) + len(after)
    keys = _mixed(np.concatenate(prints))
    is_one_word = np.zeros(len(keys), dtype=np.bool_)
    is_one_word[len(keys) - last : len(keys) - len(after)] = True
    return np.concatenate(texts), keys, is_one_word


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


class KnownGrams:
    """The grams that are known, with their weights."""

    def __init__(self, keys: NDArray[np.uint32], weights: NDArray[np.float64]) -> None:
        self._keys, self._weights = keys, weights
        # The first known key of those with the same upper bits, and how far the last of them is: a search by halves takes
        # ten times as long.
        shared = np.arange(1 << _UPPER_BITS, dtype=np.uint32) << _LOWER_BITS
        self._first = np.searchsorted(keys, shared).astype(np.int32)
        self._steps = int(np.diff(self._first, append=len(keys)).max()) - 1

    def weigh(self, found: Grams) -> Weighed:
        """Return n texts as vectors of the grams that are known."""
        if not len(self._keys):
            return Weighed(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        at = self._first.take(found.keys >> _LOWER_BITS)
        for _ in range(self._steps):
            at += self._keys.take(at, mode="clip") < found.keys
        known = np.flatnonzero(self._keys.take(at, mode="clip") == found.keys)
        places = np.sort(found.texts.take(known) << _PLACE_BITS | at.take(known))
        begins = np.flatnonzero(np.diff(places, prepend=-1))
        counts, once = np.diff(begins, append=len(places)), places.take(begins)
        texts, which = once >> _PLACE_BITS, once & ((1 << _PLACE_BITS) - 1)
        # By a table, for the logarithm of a library may differ with the length of what it is asked for.
        values = _LOGS.take(np.minimum(counts, _MOST_COUNTED) - 1) * self._weights.take(which)
        norms = np.sqrt(np.bincount(texts, weights=values * values, minlength=len(found.shapes)))
        return Weighed(texts, which, values / norms.take(texts))


class TextReader:
    """Turns texts into the numbers of one text encoding."""

    def __init__(self, text: Text) -> None:
        keys = np.frombuffer(text.keys, dtype="<u4")
        weights = np.frombuffer(text.weights, dtype="<f4").astype(np.float64)
        directions = np.frombuffer(text.directions, dtype="<f2")
        words = np.frombuffer(text.words, dtype="<u2")
        known = len(keys)
        if len(weights) != known or len(directions) != known * text.topics or max(words, default=-1) >= known:
            raise Corrupt(
                "the parts of a text encoding do not fit together",
                where=f"column {text.column!r}",
                found=f"{known} keys, {len(weights)} weights, {len(directions)} numbers of directions",
            )
        self._known = KnownGrams(keys, weights)
        self._directions = np.ascontiguousarray(directions.reshape(known, text.topics).T, dtype=np.float32)
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

    def _fill(self, numbers: NDArray[np.float32], some: Sequence[str]) -> None:
        found = grams(some)
        numbers[:, : len(SHAPES)] = found.shapes
        texts, which, values = self._known.weigh(found)
        if not len(texts):
            return
        begins = np.flatnonzero(np.diff(texts, prepend=-1))
        sums = np.empty((len(self._directions), len(begins)))
        # One direction after the other, several of a few texts: what is added up stays in the cache.
        step = max(1, _PARTS_AT_ONCE // len(which))
        held = np.empty((step, len(which)))
        for first in range(0, len(sums), step):
            directions = self._directions[first : first + step]
            parts = held[: len(directions)]
            parts[:] = directions.take(which, axis=1)
            parts *= values
            np.add.reduceat(parts, begins, axis=1, out=sums[first : first + step])
        numbers[texts[begins], self._topics] = sums.T
        places = self._place_of.take(which)
        listed = np.flatnonzero(places >= 0)
        numbers[texts.take(listed), places.take(listed)] = values.take(listed)
