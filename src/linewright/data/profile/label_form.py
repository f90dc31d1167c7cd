"""The form of a label, by its column's type and its different values."""

from collections.abc import Collection
from typing import Literal

from linewright.data.spec import NUMBERS

_FEW_NUMBERS = 10


def form_of_many(kind: str, labels: Collection[str]) -> Literal["classes", "number"]:
    """Return the form of a label that has more than two values: `new` and a run that is not told agree on it.

    Examples
    --------
    >>> form_of_many("integer", ["3", "4", "5"]), form_of_many("number", ["0.5", "1.5", "2.5"])
    ('classes', 'number')
    """
    if kind not in NUMBERS:
        return "classes"
    is_few = 0 < len(labels) <= _FEW_NUMBERS and all(float(label).is_integer() for label in labels)
    return "classes" if is_few else "number"
