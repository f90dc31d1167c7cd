"""Sealed segments of a prediction log, which are no files in its folder any more but artifacts."""

from bisect import bisect_left
from collections.abc import Iterator
from operator import attrgetter

from linewright.data.dataset.blobs import instead_of
from linewright.errors import Corrupt, NotFound
from linewright.line.facts import Dropped
from linewright.serve.facts import Sealed, Segment
from linewright.serve.log.segments import Frame
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.protocols import MetadataReader


class SealedLog:
    """The sealed segments of one line; it is what `SealedSegments` asks for."""

    def __init__(self, line: str, metadata: MetadataReader, artifacts: LocalArtifacts) -> None:
        self._line, self._metadata, self._artifacts = line, metadata, artifacts
        self._entered: dict[str, Sealed] = {}
        self._sound: set[str] = set()
        """Blobs that were hashed and found right; the checksums of their pages are looked at whenever they are read."""
        self._last: list[Frame] = []
        """The row group that was read last, since places that are asked for lie close together."""

    def ends(self) -> dict[str, int]:
        """Return the length in bytes of each segment that is sealed by now and still kept, by its name."""
        dropped = {name for one in self._metadata.events(Dropped, line=self._line) for name in one.segments}
        entered = self._metadata.events(Sealed, line=self._line)
        self._entered = {one.name: one for one in entered if one.name not in dropped}
        return {name: one.bytes for name, one in self._entered.items()}

    def segments(self) -> dict[str, Segment]:
        """Return the segments that are sealed by now, in the order of the log, by their digests."""
        self.ends()
        digests = [self._entered[name].segment for name in sorted(self._entered)]
        return {digest: self._metadata.get(digest, Segment) for digest in digests}

    def blob_of(self, segment: Segment) -> str:
        """Return the digest of the Parquet file of a segment: the one that was sealed, or the one without what was forgotten since."""
        return instead_of(segment.blob, self._metadata) or segment.blob

    def frames(self, segment: str, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Iterate over the frames in [start, stop) of a segment, as its file had them; of an unknown one there are none."""
        if segment not in self._entered:
            self.ends()
        entry = self._entered.get(segment)
        if entry is None or start >= entry.bytes:
            return
        for group in self._groups(entry, start):
            for frame in group[bisect_left(group, start, key=attrgetter("offset")) :]:
                if stop is not None and frame.end > stop:
                    return
                yield frame

    def _groups(self, entry: Sealed, start: int) -> Iterator[list[Frame]]:
        last = self._last
        if last and last[0].segment == entry.name and last[0].offset <= start <= last[-1].offset:
            yield last
            start = last[-1].end
        if start >= entry.bytes:
            return
        # What reads tables takes long to import, and who asks how far the log reaches reads none of it.
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415

        from linewright.line.sealed_parquet import read_groups  # noqa: PLC0415

        segment = self._metadata.get(entry.segment, Segment)
        blob = self.blob_of(segment)
        try:
            if blob not in self._sound:
                self._artifacts.verify(blob)
                self._sound.add(blob)
            with pyarrow.parquet.ParquetFile(
                self._artifacts.path(blob), page_checksum_verification=True
            ) as parquet:
                for group in read_groups(parquet, entry.name, start):
                    self._last = group
                    yield group
        except (Corrupt, NotFound, pa.ArrowException, OSError) as error:
            raise Corrupt(
                f"a sealed segment of the prediction log cannot be read: {error}",
                where=f"log of {self._line}, {entry.name}",
                found=blob,
                hint="restore the file from a backup",
                details={"blob": blob},
            ) from error
