"""What word vectors know of a line's texts, in sentences for people."""

from linewright.features.facts import Encoder
from linewright.model.figures import figure, percent

FEW = 0.5
"""Share of the words of texts below which vectors are probably of another language, or texts of something else than words."""


def vectors_in_words(encoder: Encoder) -> tuple[str, ...]:
    """Say of each column of texts how many of its words have a vector; nothing where no vectors were given.

    Examples
    --------
    >>> from linewright.features.facts import Text, WordVectors
    >>> found = WordVectors(keys=b"", weights=b"", directions=b"", topics=0, found=30, of=1_000)
    >>> text = Text(column="note", keys=b"", weights=b"", directions=b"", topics=0, words=b"", vectors=found)
    >>> vectors_in_words(Encoder(encodings=(), texts=(text,)))
    ("3 % of the words in 'note' have a vector: so few that the file may be of another language",)
    """
    return tuple(
        f"{percent(figure(found.found / max(found.of, 1), 2))} of the words in {text.column!r} have a vector"
        + (": so few that the file may be of another language" if found.found < FEW * found.of else "")
        for text in encoder.texts
        if (found := text.vectors)
    )
