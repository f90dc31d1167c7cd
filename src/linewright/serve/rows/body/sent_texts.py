"""Texts of a request that an encoder of sentences has to read: each takes milliseconds, so their number has a limit."""

from collections.abc import Mapping, Sequence

from linewright.errors import RequestError
from linewright.model.sentence_encoder import SentenceReader
from linewright.serve.rows.body.scalars import spell_all
from linewright.serve.rows.body.typed import Row, column_of

MOST_TEXTS = 1_000
"""Of a request whose numbers are not in memory: the encoder takes some milliseconds for each."""
MOST_TOKENS = 40_000
"""Of these texts together: about 20 seconds."""


def check_texts(rows: Sequence[Row], readers: Mapping[str, object]) -> None:
    """Refuse more texts than one request may have read by an encoder of sentences."""
    texts = tokens = 0
    for name, reader in readers.items():
        if not isinstance(reader, SentenceReader):
            continue
        for one in reader.unread_tokens({text for text in spell_all(column_of(rows, name)) if text}):
            texts, tokens = texts + 1, tokens + one
            if texts > MOST_TEXTS or tokens > MOST_TOKENS:
                raise RequestError(
                    "one request has too many texts that an encoder of sentences has to read",
                    where=f"rows: column {name!r}",
                    found=f"more than {MOST_TEXTS:,} texts"
                    if texts > MOST_TEXTS
                    else f"more than {MOST_TOKENS:,} tokens",
                    allowed=f"{MOST_TEXTS:,} texts of {MOST_TOKENS:,} tokens together, about 30,000 words",
                    hint="send them in several requests",
                )
