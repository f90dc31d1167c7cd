"""Artifacts in memory: for worlds, tests and whatever need not outlive the process."""

from collections.abc import Iterator

from linewright.errors import NotFound
from linewright.store.values import digest_of_bytes


class MemoryArtifacts:
    """Bytes by digest, gone with the process.

    Examples
    --------
    >>> artifacts = MemoryArtifacts()
    >>> artifacts.get(artifacts.put(b"model"))
    b'model'
    """

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """Keep `data` and return its digest."""
        digest = digest_of_bytes(data)
        self._blobs.setdefault(digest, bytes(data))
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes with that digest, or raise `NotFound`. Memory is not hashed again."""
        try:
            return self._blobs[digest]
        except KeyError:
            raise NotFound("no artifact has that digest", where=digest) from None

    def has(self, digest: str) -> bool:
        """Return whether `get` would find it."""
        return digest in self._blobs

    def digests(self) -> Iterator[str]:
        """All digests, in ascending order."""
        return iter(sorted(self._blobs))
