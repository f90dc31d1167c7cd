"""What the contestants of `automl.py` that Linewright does not need have in common.

They run in an environment with ``benchmarks/peers-automl.txt``. Each is used as its first page shows, is told the loss by which it is
judged, and works on one thread.
"""

# ruff: noqa: D102 -- `automl_cell.Contestant` says what each method is for

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from automl_cell import Job
from numpy.typing import NDArray


class Frames:
    """Rows are a DataFrame."""

    def __init__(self, job: Job) -> None:
        self.job = job
        # Classes as spelled: 0 must not become 0.0, nor True a truth value.
        kind = {job.label: str if job.classes else float}
        whole = pd.read_csv(job.table, keep_default_na=False, na_values=[""], dtype=kind)
        self.label = whole[job.label]
        self.group = whole[job.unread[0]] if job.by == "group" else None
        self.frame = whole.drop(columns=[job.label, *job.unread])

    def take(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        return self.frame.iloc[rows].reset_index(drop=True)

    def ways(self) -> Mapping[str, Callable[[Any], Any]]:
        return {}

    def in_order(self, probabilities: NDArray[Any], classes: Any) -> NDArray[np.float64]:
        """Give each class its column; one that the model dropped has no probability."""
        place = {str(name): i for i, name in enumerate(classes)}
        whole = np.zeros((len(probabilities), len(self.job.classes)))
        for i, name in enumerate(self.job.classes):
            if name in place:
                whole[:, i] = np.asarray(probabilities)[:, place[name]]
        return whole
