"""What two numbers of a row are together: their sum, difference, product or ratio."""

import numpy as np
from numpy.typing import NDArray

from linewright.features.facts import Operation

_LARGEST = float(np.finfo(np.float32).max)


def together(
    operation: Operation, left: NDArray[np.float32], right: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what cells of a matrix are together, computed in double and rounded once.

    Examples
    --------
    >>> together("over", np.float32([6, 1, np.nan]), np.float32([4, 0, 2])).tolist()
    [1.5, nan, nan]
    """
    a, b = left.astype(np.float64), right.astype(np.float64)
    match operation:
        case "plus":
            found = a + b
        case "minus":
            found = a - b
        case "times":
            found = a * b
        case "over":
            found = np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)
    return np.clip(found, -_LARGEST, _LARGEST).astype(np.float32)
