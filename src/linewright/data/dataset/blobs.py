"""Where the bytes of dataset versions are: which blobs hold a chunk, and which are in the place of others."""

from collections.abc import Iterator
from itertools import count

from linewright.data.facts import Dataset
from linewright.store.protocols import Artifacts, Metadata, MetadataReader

INSTEAD = "instead:"
"""How keys begin under which there is what is in the place of something."""


def is_whole(dataset: Dataset, artifacts: Artifacts, metadata: MetadataReader) -> bool:
    """Return whether every chunk of a dataset is in the store; its bytes are not verified."""
    return all(
        any(artifacts.has(blob) for blob in blobs_of(chunk.content, metadata)) for chunk in dataset.chunks
    )


def blobs_of(content: str, metadata: MetadataReader) -> Iterator[str]:
    """Give the blobs that were ever written for the content of a chunk, oldest first."""
    for number in count():
        blob = metadata.settled(link_of(content, number))
        if blob is None:
            return
        yield blob


def instead_of(digest: str, metadata: MetadataReader) -> str | None:
    """Return the blob that is in the place of another one, or of a chunk by its content, without rows that were forgotten.

    The newest, where there are several; `None` where there is none.
    """
    found = None
    for number in count():
        blob = metadata.settled(_instead(digest, number))
        if blob is None:
            return found
        found = blob
    return found


def put_instead(digest: str, blob: str, metadata: Metadata) -> None:
    """Note that a blob is in the place of another one, or of a chunk by its content, from now on."""
    number = next(number for number in count() if metadata.settled(_instead(digest, number)) in {None, blob})
    metadata.link({_instead(digest, number): blob})


def _instead(digest: str, number: int) -> str:
    return f"{INSTEAD}{digest}" + (f":{number + 1}" if number else "")


def link_of(content: str, number: int) -> str:
    """Return the key of the blob of that number (from 0) that was written for the content of a chunk."""
    return f"chunk:{content}" + (f":{number + 1}" if number else "")
