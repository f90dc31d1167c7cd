"""From the items that a user had before to the codes that a model reads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from linewright.text.lists import read_spelled


class HistoryReader:
    """Reads histories as the codes of the items that a model knows."""

    def __init__(self, items: Sequence[str]) -> None:
        self._codes = {item: code for code, item in enumerate(items, start=1)}

    def read(self, histories: Sequence[str], *, length: int) -> NDArray[np.float32]:
        """Return the newest different items of each history, the newest first.

        Examples
        --------
        >>> HistoryReader(["ale", "bread"]).read(['["bread","new","ale","bread"]'], length=3).tolist()
        [[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
        """
        codes = np.zeros((len(histories) + 1, length), dtype=np.float32)
        known = self._codes
        for row, history in enumerate(histories):
            read = dict.fromkeys(map(known.get, reversed(read_spelled(history))))
            read.pop(None, None)  # items that are not known
            newest = list(read)[:length]
            codes[row, : len(newest)] = newest
        return codes
