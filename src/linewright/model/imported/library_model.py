"""A file of LightGBM or XGBoost, answered by its library: what a package made of it is compared with.

The library gets what was read and looked through, not the file: LightGBM a text and XGBoost a document that were written from it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.features.facts import Encoder
from linewright.model.families.fitted import Fitted, Form
from linewright.model.families.lightgbm import BoostedFitted, BoostedNative
from linewright.model.families.xgboost import XGBoostFitted, XGBoostNative
from linewright.model.imported.booster_file import Sums
from linewright.model.package.model import Feed
from linewright.model.tasks.links import Floats


class LibraryModel:
    """The model of a file; a `Fitted` where its encoder makes one matrix."""

    rounds = 0

    def __init__(self, sums: Sums, *, encoder: Encoder, order: Sequence[int]) -> None:
        self._sums, self._encoder, self._order = sums, encoder, list(order)
        self._fitted: Fitted = (
            BoostedFitted(
                BoostedNative(
                    task=sums.link.native, width=sums.width, offset=0.0, scale=sums.bend, text=sums.text
                )
            )
            if sums.library == "LightGBM"
            else XGBoostFitted(
                XGBoostNative(
                    task=sums.link.native,
                    width=sums.width,
                    intercept=tuple(sums.forest.offset.tolist()),
                    scale=1.0,
                    trees=sums.trees,
                )
            )
        )

    @property
    def native(self) -> Form:
        """The model as plain data."""
        return self._fitted.native

    def scores(self, x: npt.NDArray[Any]) -> Floats:
        """Return scores of encoded rows; see `Fitted.scores`."""
        found = self._fitted.scores(self._matrix(x))
        if self._order:
            return found[:, self._order]
        return np.exp(found) if self._sums.is_exp else found

    def cuts(self) -> Mapping[int, npt.NDArray[np.float32]]:
        """Return each numeric column's bounds, ascending."""
        return self._fitted.cuts()

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return self._fitted.to_native()

    def _matrix(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if not self._encoder.is_raw:
            return x
        columns = list[npt.NDArray[Any]]()
        for column, values in enumerate(Feed(self._encoder).of(x).values()):
            codes = self._sums.codes_of(column)
            columns.append(
                values[:, 0]
                if codes is None
                else np.array([codes.get(str(value), np.nan) for value in values[:, 0].tolist()], np.float32)
            )
        return np.column_stack(columns).astype(np.float32)
