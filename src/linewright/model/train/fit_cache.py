"""Finished fits that a training which begins again need not do again.

A fit is found by the digest of all that it was made from. So it is never asked who kept it: equal rows, setting, fold,
seed and libraries give equal bytes, whether they were found or computed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.tasks.links import Floats, Matrix
from linewright.model.train.settings import Setting
from linewright.store.values import digest_of

CODE = 1
"""Raised when a fit gives something else from the same rows and setting."""
LIBRARIES = ("lightgbm", "numpy", "onnx", "optuna", "scikit-learn", "scipy", "xgboost-cpu")
"""What fits models, and what is noted beside them."""

_ROUNDS_BYTES = 8


@cache
def version_of(library: str) -> str:
    """Return the version of an installed library, whose files are looked through once a process."""
    return metadata.version(library)


class Fits(Protocol):
    """Bytes by key, which may be gone at any time. Threads may put and get at once."""

    def get(self, key: str) -> bytes | None:
        """Return exactly the bytes that were put under a key, or `None`."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes where that is possible."""
        ...


class NoFits:
    """Keeps nothing; a `Fits`."""

    def get(self, key: str) -> bytes | None:  # noqa: ARG002 -- the seam's
        """Return `None`."""
        return None

    def put(self, key: str, data: bytes) -> None:
        """Keep nothing."""


NO_FITS = NoFits()


class Kept:
    """The finished fits of one training."""

    def __init__(
        self,
        fits: Fits,
        *,
        x: Matrix,
        target: npt.NDArray[Any],
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        seed: int,
        also: Iterable[str] = (),
    ) -> None:
        self._fits = fits
        # Where nothing is kept nothing is looked up, and large tables are not read once more for a key.
        self._common: Mapping[str, Any] | None = (
            None
            if isinstance(fits, NoFits)
            else {
                "code": CODE,
                "libraries": {name: version_of(name) for name in (*LIBRARIES, *also)},
                "x": _digest(x),
                "target": _digest(target),
                "categorical": list(categorical),
                "task": task,
                "classes": classes,
                "seed": seed,
            }
        )

    def key(
        self,
        setting: Setting,
        weight: Floats,
        taken: npt.NDArray[Any],
        held: npt.NDArray[Any] | None = None,
        *,
        rounds: int | None = None,
        width: int | None = None,
    ) -> str:
        """Return the digest of what a fit is made from; empty where nothing is kept."""
        if self._common is None:
            return ""
        places = [taken] if held is None else [taken, held]
        return digest_of(
            {
                **self._common,
                "family": setting.family,
                "settings": dict(setting.settings),
                "rows": [[_digest(each), _digest(weight[each])] for each in places],
                "rounds": rounds,
                "width": width,
            }
        )

    def scores(self, key: str) -> tuple[Floats, int] | None:
        """Return the scores of the judged rows and the rounds of a finished fit; `None` where it has to be done."""
        data = self.get(key)
        if data is None:
            return None
        scores = np.lib.format.read_array(BytesIO(data[_ROUNDS_BYTES:]), allow_pickle=False)
        return scores, int.from_bytes(data[:_ROUNDS_BYTES], "little")

    def keep_scores(self, key: str, scores: Floats, rounds: int) -> None:
        """Keep a finished fit."""
        if key:
            buffer = BytesIO()
            buffer.write(rounds.to_bytes(_ROUNDS_BYTES, "little"))
            np.lib.format.write_array(buffer, scores, allow_pickle=False)
            self.put(key, buffer.getvalue())

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a finished fit, or `None`."""
        return self._fits.get(key) if key else None

    def put(self, key: str, data: bytes) -> None:
        """Keep the bytes of a finished fit."""
        self._fits.put(key, data)


def _digest(values: npt.NDArray[Any]) -> str:
    # The rows of a table that lies in columns are those of its transpose: no copy is made of either.
    is_turned = values.flags.f_contiguous and not values.flags.c_contiguous
    plain = np.ascontiguousarray(values.T if is_turned else values)
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape} {is_turned}\n".encode())
    digest.update(plain.data)
    return digest.hexdigest()
