"""The rows of a dataset version, split by a split, and what is asked of them by column."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import TEST, TRAIN, Dataset, Split
from linewright.line.factory import Factory
from linewright.line.spec import LineSpec


@dataclass(frozen=True)
class Rows:
    """The rows of a dataset version, split by a split."""

    frame: pl.DataFrame
    parts: np.ndarray
    """One code a row: TRAIN, TEST or EMBARGO."""

    @property
    def train(self) -> np.ndarray:
        """Row numbers of the training part."""
        return np.flatnonzero(self.parts == TRAIN)

    @property
    def test(self) -> np.ndarray:
        """Row numbers of the test part."""
        return np.flatnonzero(self.parts == TEST)


def read_rows(factory: Factory, dataset: Dataset, split: Split) -> Rows:
    """Read all rows of a dataset version, verified, with their parts."""
    frame = read_dataset(dataset, factory.artifacts, factory.metadata)
    return Rows(frame=frame, parts=np.frombuffer(factory.artifacts.get(split.parts), dtype=np.uint8))


def label_text(frame: pl.DataFrame, column: str) -> list[str]:
    """Return labels as spelled in the data."""
    return frame[column].cast(pl.String).to_list()


def weights(frame: pl.DataFrame, spec: LineSpec) -> np.ndarray:
    """Return the sample weight of each row; ones without a weight column, or if it weighs the events of rows."""
    if spec.table.weight is None or spec.recommend is not None:
        return np.ones(frame.height)
    return frame[spec.table.weight].cast(pl.Float64).to_numpy()
