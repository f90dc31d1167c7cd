"""Finding texts as whole words: not inside of longer runs of ASCII letters, digits and underscores."""

import re
from collections.abc import Collection
from urllib.parse import quote

import msgspec


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
        self._words = [(one.encode(), re.compile(pattern_of(one).encode())) for one in sorted(spelled)]

    def are_in(self, whole: str | bytes) -> bool:
        """Return whether one of them stands in a text."""
        data = whole.encode() if isinstance(whole, str) else whole
        return any(text in data and word.search(data) is not None for text, word in self._words)


def _spellings(text: str) -> set[str]:
    return {text, msgspec.json.encode(text).decode()[1:-1], quote(text, safe="")}
