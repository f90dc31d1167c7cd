"""Finding texts as whole words: not inside of longer runs of ASCII letters, digits and underscores."""

import json
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import chain
from urllib.parse import quote

import msgspec

_RUN = re.compile(rb"[0-9A-Za-z_]+")
_FEW = 16
"""Words that are looked for one by one."""


def pattern_of(text: str) -> str:
    """Return the regular expression of a text as a word.

    Examples
    --------
    >>> [bool(re.search(pattern_of("P-1"), whole)) for whole in ("label P-1, twice", "P-1", "P-12")]
    [True, True, False]
    """
    return rf"(?:^|[^0-9A-Za-z_]){re.escape(text)}(?:$|[^0-9A-Za-z_])"


class WholeWords:
    """Some texts that are looked for as words, also as JSON and as addresses spell them.

    Examples
    --------
    >>> words = WholeWords({"P 1"})
    >>> words.are_in(b"label P 1"), words.are_in("/lines/a?key=P%201"), words.are_in("P 12")
    (True, True, False)
    """

    def __init__(self, texts: Collection[str]) -> None:
        spelled = {each for text in texts if text for each in _spellings(text)}
        self.longest = max((len(one.encode()) for one in spelled), default=0)
        """Bytes of the longest spelling."""
        self._words = [one.encode() for one in sorted(spelled)]
        self._by_run: dict[bytes, list[bytes]] = {}
        for one in self._words:
            self._by_run.setdefault(_first_run(one), []).append(one)

    def are_in(self, whole: str | bytes) -> bool:
        """Return whether one of them stands in a text."""
        data = whole.encode() if isinstance(whole, str) else whole
        return any(one in data and _pattern(one).search(data) is not None for one in self._candidates(data))

    def _candidates(self, data: bytes) -> Iterator[bytes]:
        if len(self._words) <= _FEW:
            return iter(self._words)
        # The first run of a word is a run of the text too.
        runs = {b"", *_RUN.findall(data)}
        return chain.from_iterable(self._by_run.get(run, ()) for run in runs)


def _first_run(word: bytes) -> bytes:
    found = _RUN.search(word)
    return found[0] if found else b""


@lru_cache(maxsize=1_024)
def _pattern(word: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern_of(word.decode()).encode())


def _spellings(text: str) -> set[str]:
    return {text, msgspec.json.encode(text).decode()[1:-1], json.dumps(text)[1:-1], quote(text, safe="")}
