"""What a new model decides otherwise than the champion: where the positive class begins now, and how many rows change sides."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from linewright.model.facts import Package, Redecided
from linewright.text.numbers import in_words

if TYPE_CHECKING:  # who says what a run gave compares nothing
    import numpy as np
    import numpy.typing as npt


def redecided(
    decided: "npt.NDArray[np.int64]",
    before: "npt.NDArray[np.int64]",
    *,
    classes: Sequence[str],
    threshold: float | None,
    threshold_before: float | None,
) -> Redecided:
    """Count the rows that two models decide otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> found = redecided(
    ...     np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0]), classes=("no", "yes"), threshold=0.2, threshold_before=0.3)
    >>> found.rows, found.otherwise, found.positive
    (4, 1, 1)
    """
    differs = decided != before
    return Redecided(
        threshold=threshold,
        threshold_before=threshold_before,
        rows=len(decided),
        otherwise=int(differs.sum()),
        positive=int((decided[differs] == 1).sum()) if len(classes) == 2 else None,
    )


def redecided_in_words(found: Redecided, classes: Sequence[str], *, of: str = "rows") -> str:
    """Say where the positive class begins now and began before, and how many rows are decided otherwise.

    Examples
    --------
    >>> found = Redecided(threshold=0.31, threshold_before=0.27, rows=300, otherwise=12, positive=3)
    >>> redecided_in_words(found, ("no", "yes"))
    "threshold of 'yes' 0.31, before 0.27; 12 of 300 rows (4 %) are decided otherwise, 3 of them now as 'yes'"
    >>> redecided_in_words(Redecided(rows=300, otherwise=0), ("a", "b", "c"))
    'all 300 rows are decided as before'
    """
    moved = threshold_in_words(classes, found.threshold, found.threshold_before)
    told = [moved] if moved else []
    if found.rows and not found.otherwise:
        told.append(f"all {found.rows:,} {of} are decided as before")
    elif found.rows:
        now = "" if found.positive is None else f", {found.positive:,} of them now as {classes[-1]!r}"
        share = in_words(100 * found.otherwise / found.rows)
        are = "is" if found.otherwise == 1 else "are"
        told.append(f"{found.otherwise:,} of {found.rows:,} {of} ({share} %) {are} decided otherwise{now}")
    return "; ".join(told)


def threshold_in_words(classes: Sequence[str], now: float | None, before: float | None) -> str:
    """Say from which probability the positive class is answered, and from which it was; empty where there is none.

    Examples
    --------
    >>> threshold_in_words(("no", "yes"), 0.31, 0.31), threshold_in_words((), None, None)
    ("threshold of 'yes' 0.31, as before", '')
    """
    if now is None or before is None:
        return ""
    then = "as before" if now == before else f"before {in_words(before, beside=now)}"
    return f"threshold of {classes[-1]!r} {in_words(now, beside=before)}, {then}"


def between(package: Package, before: Package) -> str:
    """Say how the threshold of a package differs from that of the one that served before; empty where they have none alike.

    The two may answer other questions: then one threshold says nothing about the other.
    """
    if (package.label, package.classes) != (before.label, before.classes):
        return ""
    return threshold_in_words(package.classes, package.threshold, before.threshold)
