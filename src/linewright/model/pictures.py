"""Pictures as numbers: what they look like, and what a backbone, a network that was trained on other pictures, makes of them.

A cell of a table holds the digest of a picture; its bytes are an artifact. The numbers of a picture hang on its bytes, the backbone and
the libraries that read it alone. So those of the pictures seen last are kept in memory, and those of a factory on the disk.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from linewright.errors import NotFound, RequestError, Terminal
from linewright.features.facts import LOOKS, Encoder, Picture
from linewright.model.numbers_cache import Numbers, NumbersCache
from linewright.model.onnx.session import check_graph, open_session
from linewright.store.protocols import Artifacts
from linewright.store.values import digest_of

Files = Callable[[str], bytes]
"""Returns the bytes of a digest."""
_LOOKED_AT = 1_024
"""Pixels of a side that the looks of a picture are computed from, about."""
READING = 2
"""Raised when a picture becomes other numbers."""
MOST_KEPT = 24_000_000
"""Bytes of numbers that are kept in memory: those of 4,000 pictures, as the backbone of the extra has them."""
MOST_OPENED = 32
"""Backbones that are ready at a time. Each training on good pictures makes another one, of some megabytes."""


class Kept(Protocol):
    """Numbers by the digest of their picture, which may be gone at any time."""

    def get(self, key: str) -> bytes | None:
        """Return exactly the bytes that were put under a key, or `None`."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes where that is possible."""
        ...


KeptBy = Callable[[str], Kept]
"""Returns what keeps the numbers that come of one way to read pictures, by its digest."""


class PictureReader:
    """Turns the pictures of a column into numbers."""

    def __init__(self, picture: Picture, files: Files, kept: KeptBy | None = None) -> None:
        self._picture, self._files = picture, files
        self._way = way_of(picture)
        self._kept = kept(self._way) if kept else None
        self.missing: Numbers = np.full((1, len(LOOKS) + picture.width), np.nan, dtype=np.float32)
        """The numbers of no picture."""

    @property
    def side(self) -> int:
        """Pixels of a side of the squares that the backbone reads."""
        return self._picture.side

    def read(self, digests: Sequence[str]) -> Numbers:
        """Return the numbers of pictures, shape (n, 5 + width)."""
        numbers = np.empty((len(digests), self.missing.shape[1]), dtype=np.float32)
        for i, digest in enumerate(digests):
            numbers[i] = self._numbers(digest)
        return numbers

    def looks(self, digests: Sequence[str]) -> Numbers:
        """Return what pictures look like, shape (n, 5), without asking the backbone; NaN for one that is there no longer."""
        seen = np.full((len(digests), len(LOOKS)), np.nan, dtype=np.float32)
        for i, digest in enumerate(digests):
            known = self._known(digest)
            if known is not None:
                seen[i] = known[: len(LOOKS)]
                continue
            with suppress(NotFound):
                seen[i] = looks(decoded(self._files(digest), f"picture {digest}").pixels)
        return seen

    def knows(self, digest: str) -> bool:
        """Return whether the numbers of a picture are at hand, so that it need not be decoded."""
        return self._known(digest) is not None

    def take(self, digest: str, pixels: NDArray[np.uint8]) -> None:
        """Compute the numbers of a picture that is decoded already; `read` then finds them."""
        if self._known(digest) is None:
            _SEEN.put((self._way, digest), self._of(pixels))

    def occluded(self, digest: str, grid: int) -> Numbers:
        """Return the numbers of the backbone for a picture of which one part has the mean colour, shape (grid * grid, width)."""
        pixels = decoded(self._files(digest), f"picture {digest}").pixels
        square = decoder().scaled(pixels, self._picture.side)
        colour = square.mean(axis=(0, 1)).round().astype(np.uint8)
        ends = np.linspace(0, self._picture.side, grid + 1).round().astype(int).tolist()
        numbers = np.empty((grid * grid, self._picture.width), dtype=np.float32)
        for part in range(grid * grid):
            down, across = divmod(part, grid)
            hidden = square.copy()
            hidden[ends[down] : ends[down + 1], ends[across] : ends[across + 1]] = colour
            numbers[part] = self._through(hidden)
        return numbers

    def _numbers(self, digest: str) -> Numbers:
        known = self._known(digest)
        if known is not None:
            return known
        made = self._made(digest)
        _SEEN.put((self._way, digest), made)
        if self._kept:
            self._kept.put(digest, made.tobytes())
        return made

    def _known(self, digest: str) -> Numbers | None:
        found = _SEEN.get((self._way, digest))
        if found is None and self._kept and (data := self._kept.get(digest)) is not None:
            found = np.frombuffer(data, dtype=np.float32)
            _SEEN.put((self._way, digest), found)
        return found

    def _made(self, digest: str) -> Numbers:
        return self._of(decoded(self._files(digest), f"picture {digest}").pixels)

    def _of(self, pixels: NDArray[np.uint8]) -> Numbers:
        # One by one: a picture has the same numbers whichever others come with it.
        numbers = self._through(decoder().scaled(pixels, self._picture.side))
        return np.concatenate([np.array(looks(pixels)), numbers]).astype(np.float32)

    def _through(self, square: NDArray[np.uint8]) -> Numbers:
        backbone = _session(self._picture.backbone, self._files)
        return np.asarray(backbone.run(None, {"pixels": square[np.newaxis]})[0])[0]


def way_of(picture: Picture) -> str:
    """Return a digest of all that the numbers of a picture depend on, but for its bytes."""
    libraries = [version(name) for name in ("numpy", "onnxruntime", "pillow")]
    return digest_of([READING, picture.backbone, picture.side, picture.width, libraries])


def looks(pixels: NDArray[np.uint8]) -> tuple[float, ...]:
    """Return what a picture looks like, in the order of `LOOKS`.

    Examples
    --------
    >>> looks(np.full((10, 20, 3), 51, dtype=np.uint8))
    (20.0, 10.0, 0.2, 0.0, 0.0)
    """
    height, width = pixels.shape[:2]
    # Of a large picture every so many pixels: a few tell as much, and all would take a gigabyte on the way.
    down, across = 1 + height // _LOOKED_AT, 1 + width // _LOOKED_AT
    seen = pixels[::down, ::across]
    # To the bit what `mean` gives, in a fifth of the time: a sum of three whole numbers is exact.
    grey = (seen[..., 0].astype(np.uint16) + seen[..., 1] + seen[..., 2]) / 3 / 255
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return (
        float(width),
        float(height),
        round(float(grey.mean()), 6),
        round(float(grey.std()), 6),
        round(float(np.abs(laplacian).mean()), 6),
    )


def decoder() -> Any:
    """Return what decodes pictures."""
    try:
        return import_module("linewright.plugins.pillow")
    except ModuleNotFoundError as error:
        raise Terminal(
            "pictures need more packages", found=f"no {error.name}", hint="pip install 'linewright[vision]'"
        ) from error


_DICOM = slice(128, 132)
"""The place of the mark of DICOM in a file."""


def decoded(data: bytes, where: str) -> Any:
    """Return a picture with its ``pixels``, uint8 of shape (height, width, 3) in RGB, and its ``media_type``."""
    if data[_DICOM] != b"DICM":
        return decoder().decode(data, where)
    try:
        found = import_module("linewright.plugins.dicom")
    except ModuleNotFoundError as error:
        raise RequestError(
            "DICOM is not read here",
            where=where,
            found=f"no {error.name}",
            allowed="PNG, JPEG, WEBP, TIFF, BMP",
            hint="pip install 'linewright[dicom]', or send it as PNG",
        ) from error
    return found.decode(data, where)


def check_picture(data: bytes, where: str) -> None:
    """Refuse bytes that cannot be read as a picture."""
    decoded(data, where)


_SEEN = NumbersCache[tuple[str, str]](MOST_KEPT)


_OPENED: dict[str, onnxruntime.InferenceSession] = {}


def _session(backbone: str, files: Files) -> onnxruntime.InferenceSession:
    found = _OPENED.get(backbone)
    if found is None:
        graph = files(backbone)
        check_graph(graph)
        found = _OPENED.setdefault(backbone, open_session(graph, backbone, all_rewrites=True))
        for other in list(_OPENED)[:-MOST_OPENED]:
            _OPENED.pop(other, None)
    return found


def picture_readers(
    encoder: Encoder, files: Files | None, kept: KeptBy | None = None
) -> Mapping[str, PictureReader]:
    """Return what reads the pictures of each column."""
    if encoder.pictures and files is None:
        raise Terminal("nothing says where the pictures are", where=f"column {encoder.pictures[0].column!r}")
    # A backbone that was learned here is of one model: what it says is not worth keeping.
    return {
        one.column: PictureReader(one, files, kept if one.grid is None else None)
        for one in encoder.pictures
        if files is not None
    }


def picture_of(
    column: str, artifacts: Artifacts, kept: KeptBy | None = None, *, side: int = 128
) -> tuple[Picture, PictureReader]:
    """Return how the pictures of a column become numbers by default; the backbone is kept."""
    decoder()
    made = import_module("linewright.plugins.efficientnet_lite0")
    return picture_through(
        column,
        backbone=artifacts.put(made.graph(side)),
        side=side,
        width=made.WIDTH,
        artifacts=artifacts,
        kept=kept,
    )


def picture_through(
    column: str, *, backbone: str, side: int, width: int, artifacts: Artifacts, kept: KeptBy | None = None
) -> tuple[Picture, PictureReader]:
    """Return how the pictures of a column become numbers by a backbone that is kept, and what reads them."""
    picture = Picture(column=column, backbone=backbone, side=side, width=width)
    return picture, PictureReader(picture, artifacts.get, kept)


def patches_of(
    column: str, artifacts: Artifacts, kept: KeptBy | None = None, *, side: int = 128
) -> tuple[Picture, PictureReader, int]:
    """Return how pictures become patches of 64 numbers, what reads them, and how many patches a side of a picture has."""
    decoder()
    made = import_module("linewright.plugins.efficientnet_lite0")
    patches = made.grid(side)
    width = patches * patches * made.PROJECTIONS
    picture = Picture(column=column, backbone=artifacts.put(made.patches(side)), side=side, width=width)
    return picture, PictureReader(picture, artifacts.get, kept), patches
