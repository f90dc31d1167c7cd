"""The words of comments: the record has their digest, and they are stored bytes, so that they can go with a person whom they name."""

import secrets
from typing import Literal, NamedTuple

import msgspec

from linewright.data.dataset.blobs import instead_of
from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.people.facts import Commented
from linewright.store.protocols import Artifacts

WhyGone = Literal["removed", "damaged"]
"""Why a comment has no words: they went with a person whom they named; or their bytes are missing or have changed, which `verify` tells."""
_SALT_BYTES = 16


class _Kept(msgspec.Struct, frozen=True):
    text: str
    salt: str
    """Random: else the digest of a short text could be found by trying."""


class Words(NamedTuple):
    """What a comment says."""

    text: str
    """Empty if it is gone."""
    gone: WhyGone | None = None


def put_words(artifacts: Artifacts, text: str) -> str:
    """Keep the words of a comment and return their digest, which is another one each time."""
    return artifacts.put(msgspec.json.encode(_Kept(text, secrets.token_hex(_SALT_BYTES))))


def words_of(factory: Factory, said: Commented) -> Words:
    """Return what a comment says; an old one has its words in the event."""
    if not said.text:
        return Words(said.because)
    try:
        return Words(msgspec.json.decode(factory.artifacts.get(said.text), type=_Kept).text)
    except NotFound:
        return Words("", "damaged" if instead_of(said.text, factory.metadata) is None else "removed")
    except (Corrupt, msgspec.MsgspecError):
        return Words("", "damaged")
