"""Texts as numbers by an encoder of sentences, a network that was trained on other texts: for lines with few labels.

Grams (`features.text`) say which words a text has; an encoder says what it means, so that a model knows words that none of its training
texts had. What a text becomes hangs on the text, the encoder and the libraries that read it alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import onnxruntime

from linewright.errors import Terminal
from linewright.features.facts import SentenceEncoder, Text
from linewright.features.text import TextReader
from linewright.model.numbers_cache import Numbers, NumbersCache
from linewright.model.onnx.session import check_graph, open_session
from linewright.store.protocols import Artifacts
from linewright.store.values import digest_of

Files = Callable[[str], bytes]
MOST_KEPT = 3_000_000
"""Bytes of numbers that are kept in memory, those of 2,000 texts, each by a digest of the text."""
_MOST_CHARACTERS = 2_000
"""Of a text that are cut into tokens: more than the first tokens take."""


class SentenceReader:
    """Turns the texts of a column into the numbers of their grams, and behind these those of an encoder of sentences."""

    def __init__(self, text: Text, sentences: SentenceEncoder, files: Files) -> None:
        self._grams, self._sentences, self._files = TextReader(text), sentences, files
        self.missing: Numbers = np.concatenate(
            [self._grams.missing, np.zeros((1, sentences.width), dtype=np.float32)], axis=1
        )
        """The numbers of no text, shape (1, width)."""

    def read(self, texts: Sequence[str]) -> Numbers:
        """Return the numbers of texts, shape (n, width); a text's do not depend on the others."""
        found = [self._of(text) for text in texts]
        said = np.stack(found) if found else np.empty((0, self._sentences.width), dtype=np.float32)
        return np.concatenate([self._grams.read(texts), said], axis=1)

    def unread_tokens(self, texts: Iterable[str]) -> Iterator[int]:
        """Give the number of tokens of each text whose numbers are not in memory: `read` takes half a millisecond for a token."""
        for text in texts:
            read = text[:_MOST_CHARACTERS].encode("utf-8", "replace")
            if _SEEN.get(self._key(read)) is None:
                yield self._encoder().tokens(read.decode())

    def _of(self, text: str) -> Numbers:
        read = text[:_MOST_CHARACTERS].encode("utf-8", "replace")
        key = self._key(read)
        known = _SEEN.get(key)
        if known is None:
            known = self._encoder().numbers(read.decode())
            _SEEN.put(key, known)
        return known

    def _key(self, read: bytes) -> str:
        return digest_of([self._sentences.model, self._sentences.tokenizer, read.hex()])

    def _encoder(self) -> "_Encoder":
        return _encoder(self._sentences.model, self._sentences.tokenizer, self._files)


class _Encoder:
    """A graph and its tokenizer, ready to run."""

    def __init__(self, graph: bytes, tokenizer: bytes, where: str) -> None:
        check_graph(graph)
        self._session: onnxruntime.InferenceSession = open_session(graph, where, all_rewrites=True)
        self._tokens = plugin().reader(tokenizer)

    def tokens(self, text: str) -> int:
        """Return how many tokens of a text are read."""
        return len(self._tokens.encode(text).ids)

    def numbers(self, text: str) -> Numbers:
        """Return the mean vector of the tokens of a text, scaled to length 1."""
        ids = np.array([self._tokens.encode(text).ids], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        # One by one: a text has the same numbers whichever others come with it.
        vectors: Any = self._session.run(None, feed)[0]
        mean = np.asarray(vectors, dtype=np.float64)[0].mean(axis=0)
        return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)


def plugin() -> Any:
    """Return what reads texts."""
    try:
        return import_module("linewright.plugins.minilm")
    except ModuleNotFoundError as error:
        raise Terminal(
            "an encoder of sentences needs more packages",
            found=f"no {error.name}",
            hint="pip install 'linewright[texts]'",
        ) from error


def sentence_encoder_of(text: Text, artifacts: Artifacts) -> tuple[SentenceEncoder, SentenceReader]:
    """Return how the texts of a column become numbers by the encoder of the extra; its bytes are kept."""
    made = plugin()
    found = SentenceEncoder(
        column=text.column,
        model=artifacts.put(made.graph()),
        tokenizer=artifacts.put(made.tokenizer()),
        width=made.WIDTH,
    )
    return found, SentenceReader(text, found, artifacts.get)


_SEEN = NumbersCache[str](MOST_KEPT)


_OPENED: dict[tuple[str, str], _Encoder] = {}


def _encoder(model: str, tokenizer: str, files: Files) -> _Encoder:
    found = _OPENED.get((model, tokenizer))
    if found is None:
        found = _OPENED.setdefault((model, tokenizer), _Encoder(files(model), files(tokenizer), model))
    return found
