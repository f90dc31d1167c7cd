"""Leakage through one column: it predicts the label too well to have been known beforehand.

No statistic proves a leak: an honest column may be very good. So each check gives what it saw. It leaves a column out by itself only
where it is hardly ever wrong about an honest one (`benchmarks/checks.py`), else it asks.
"""

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.checks.columns import LEAST_ROWS, ColumnCheck, Columns, Mask
from linewright.data.facts import Finding, Scalar, TruthForm
from linewright.data.profile.association import Ints, Truth, cells, roc_auc, strength

_PERFECT: Mapping[TruthForm, float] = {"two": 0.995, "classes": 0.98, "number": 0.99}
_HIGH: Mapping[TruthForm, float] = {"two": 0.85, "classes": 0.8, "number": 0.85}
_MANY = 100
_PURE, _PURER = 0.9, 0.99
_LIKELIHOOD_RATIO = 12.0
_COMMON = 0.6
_LEVELS = 3
_TELLING = 0.05
"""Share of the label's entropy from which on a pure value tells of its column. Below, it tells of a few rows."""
_NEVER, _OFTEN = 0.005, 0.3
_LATE = 0.2
_DAY = 86_400_000_000


class Perfect(ColumnCheck):
    """A column that alone predicts the label almost without error."""

    id = "leak-perfect"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns whose strength is next to the largest there is, and those that rank the rows as the label does."""
        truth, label = columns.truth, columns.about.column
        # Rows that repeat make numbers go one to one by themselves.
        alike = {name: twin.of for name, twin in columns.twins.items() if twin.form != "one-to-one"}
        same = {name for name, of in alike.items() if of == label} | {alike.get(label)}
        for name, column in columns.open(closed).items():
            value, is_same = columns.strengths[name], name in same and truth.form == "number"
            if value < _PERFECT[truth.form] and not is_same:
                continue
            evidence: dict[str, Scalar] = {"label": truth.form, "strength": max(value, _area(truth, column))}
            if truth.form != "number" and _is_function(columns.cells[name], truth.codes):
                values = len(np.unique(columns.cells[name]))
                evidence |= {"form": "function", "values": values, "rows": truth.rows}
            elif is_same:
                evidence |= {"form": "order"}
            yield self.against(name, **evidence, **columns.of_a_sample)


def _area(truth: Truth, column: pl.Series) -> float:
    """Return the area under the ROC curve of a number itself, which its cells round off; 0 where it is none or has gaps."""
    if truth.form != "two" or not column.dtype.is_numeric() or column.null_count():
        return 0.0
    area = roc_auc(truth.codes, column.cast(pl.Float64).to_numpy())
    return max(area, 1 - area)


def _is_function(cell: Ints, codes: Ints) -> bool:
    pairs = np.unique(np.stack([cell, codes]), axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1]


class OneClass(ColumnCheck):
    """A value, a gap or an amount that nearly only one class has, in a column that says much of the label."""

    id = "leak-one-class"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns that were likely filled in once the label was known."""
        truth = columns.truth
        for name, column in columns.open(closed).items():
            present = column.is_not_null().to_numpy()
            if truth.form == "number":
                evidence = _presence_of_number(truth, present)
            else:
                evidence = (
                    _pure_rows(truth, present, "value")
                    or _pure_gap(truth, present)
                    or _never_for_one(truth, present)
                    or (_pure_level(truth, column) if _tells(truth, columns.cells[name]) else {})
                    or _unusual(truth, column)
                )
            if evidence:
                yield self.against(name, **evidence, **columns.of_a_sample)


def _pure_rows(
    truth: Truth, rows: Mask, form: str, least: float = _PURE, **more: Scalar
) -> dict[str, Scalar]:
    """Return what says that rows, though not all, are nearly all of one class; nothing where they are not, or by chance.

    A class that most rows have anyway proves nothing, and neither do few rows: the lower end of the share's 95 % interval counts, and
    how much more often the class's rows are among `rows` than the others'.
    """
    n = int(rows.sum())
    if not LEAST_ROWS <= n < truth.rows:
        return {}
    inside = np.bincount(truth.codes[rows], minlength=len(truth.classes))
    overall = np.bincount(truth.codes, minlength=len(truth.classes))
    code = int(np.argmax(inside))
    share, base = float(inside[code]) / n, float(overall[code]) / truth.rows
    if base > _COMMON or _wilson_low(share, n) < least - 0.05 or share < least:
        return {}
    of_others = (n - inside[code]) / max(truth.rows - overall[code], 1)
    if of_others and inside[code] / overall[code] / of_others < _LIKELIHOOD_RATIO:
        return {}
    figures: dict[str, Scalar] = {"rows": n, "of": truth.rows, "class": truth.classes[code], "share": share}
    return {"form": form, **more, **figures, "base": base}


def _pure_gap(truth: Truth, present: Mask) -> dict[str, Scalar]:
    evidence = _pure_rows(truth, ~present, "gap")
    return evidence if truth.form != "two" or _tells(truth, present.astype(np.int64)) else {}


def _pure_level(truth: Truth, column: pl.Series) -> dict[str, Scalar]:
    """Return which of the very few values of a column nearly only one of two classes has."""
    if truth.form != "two" or not 2 <= column.drop_nulls().n_unique() <= _LEVELS:
        return {}
    for level in column.drop_nulls().unique().sort().to_list():
        rows = (column == level).fill_null(value=False).to_numpy()
        if evidence := _pure_rows(truth, rows, "level", level=str(level)):
            return evidence
    return {}


def _unusual(truth: Truth, column: pl.Series) -> dict[str, Scalar]:
    """Return what says that a number that is the same in most rows differs almost only in rows of one class."""
    if not column.dtype.is_numeric() or column.n_unique() <= _LEVELS:
        return {}
    usual = column.drop_nulls().mode().sort().item(0)
    rows = (column != usual).fill_null(value=False).to_numpy()
    # Purer than a level: the count of a word, or of late payments, is often 0 and may tell one class well all the same.
    return {} if rows.mean() > _COMMON else _pure_rows(truth, rows, "unusual", _PURER, level=str(usual))


def _never_for_one(truth: Truth, present: Mask) -> dict[str, Scalar]:
    """Return what says that a column often has a value, and never in the rows of the rarer of two classes."""
    if truth.form != "two":
        return {}
    rows = np.bincount(truth.codes, minlength=2)
    filled = np.bincount(truth.codes[present], minlength=2)
    rare = int(np.argmin(rows))
    if rows[rare] < _MANY or filled[rare] > _NEVER * rows[rare] or filled[1 - rare] < _OFTEN * rows[1 - rare]:
        return {}
    return {
        "form": "never",
        "share": float(filled[1 - rare] / rows[1 - rare]),
        "other": truth.classes[1 - rare],
        "filled": int(filled[rare]),
        "rows": int(rows[rare]),
        "class": truth.classes[rare],
    }


def _presence_of_number(truth: Truth, present: Mask) -> dict[str, Scalar]:
    groups = (truth.ranks[present], truth.ranks[~present])
    if min(map(len, groups)) < LEAST_ROWS:
        return {}
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    explained = 1 - within / max(float(((truth.ranks - truth.ranks.mean()) ** 2).sum()), 1e-300)
    return {"form": "number", "share": explained} if explained >= 0.5 else {}


def _tells(truth: Truth, cell: Ints) -> bool:
    """Return whether the cells of a column take a share of the label's entropy away that is worth a verdict on the column."""
    counts = np.zeros((int(cell.max(initial=0)) + 1, len(truth.classes)))
    np.add.at(counts, (cell, truth.codes), 1)
    whole = _entropy(counts.sum(axis=0)[None, :])
    return 1 - _entropy(counts) / whole >= _TELLING if whole else False


def _entropy(counts: npt.NDArray[np.float64]) -> float:
    """Return the entropy of the classes, in nats and summed over all rows, where the cell of each is known."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return -float((counts * np.log(np.where(counts > 0, shares, 1.0))).sum())


def _wilson_low(share: float, n: int, z: float = 1.96) -> float:
    """Return the lower end of Wilson's 95 % interval of a share."""
    middle = share + z * z / (2 * n)
    return (middle - z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n)


class LateDate(ColumnCheck):
    """Dates after the row's own that predict the label, or whose distance to it does."""

    id = "leak-late-date"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the dates of which many lie more than a day after the row's own time, and that matter."""
        time, form = columns.moments, columns.truth.form
        if time is None or not time.dtype.is_temporal():
            return
        own = time.cast(pl.Datetime("us")).to_physical()
        for name, column in columns.open(closed).items():
            if not column.dtype.is_temporal():
                continue
            distance = column.cast(pl.Datetime("us")).to_physical() - own
            share = float((distance > _DAY).fill_null(value=False).to_numpy().mean())
            if share < _LATE:
                continue
            value, delay = columns.strengths[name], strength(cells(distance), columns.truth)
            evidence = columns.of_a_sample | {"time": columns.roles.time, "share": share, "label": form}
            if value >= (0.6 if form == "two" else 0.1):
                yield self.against(name, form="date", strength=value, **evidence)
            elif delay >= (0.7 if form == "two" else 0.25):
                yield self.against(name, form="delay", strength=delay, **evidence)


class Strong(ColumnCheck):
    """A column that predicts the label, or one of several classes, far better than all others do."""

    id = "strong"
    severity = "ask"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns to ask about. One hides the next, so what is left is judged again without them."""
        found: set[str] = set()
        while True:
            rest = [name for name in columns.asked(closed) if name not in found]
            new = _of_a_class(columns.truth, {name: columns.by_class[name] for name in rest})
            new |= _far_above(columns.truth.form, {name: columns.strengths[name] for name in rest})
            for name, evidence in new.items():
                yield self.against(name, **evidence, **columns.of_a_sample)
            if not new:
                return
            found |= new.keys()


def _far_above(form: TruthForm, strengths: Mapping[str, float]) -> dict[str, dict[str, Scalar]]:
    far, following = _far(form, strengths)
    return {
        name: {"form": "label", "label": form, "strength": value, "next": following} for name, value in far
    }


def _of_a_class(truth: Truth, by_class: Mapping[str, Mapping[int, float]]) -> dict[str, dict[str, Scalar]]:
    """Return the few columns that tell one of several classes from all others far better than any other column does."""
    best: dict[str, dict[str, Scalar]] = {}
    rows = np.bincount(truth.codes, minlength=len(truth.classes))
    for code in sorted({code for areas in by_class.values() for code in areas}):
        if rows[code] < _MANY:  # a rare class makes any figure shaky
            continue
        far, following = _far("two", {name: areas[code] for name, areas in by_class.items()})
        for name, value in far:
            said: dict[str, Scalar] = {"form": "class", "class": truth.classes[code], "strength": value}
            if value > float(best.get(name, {}).get("strength") or 0):
                best[name] = said | {"next": following}
    return best


def _far(form: TruthForm, strengths: Mapping[str, float]) -> tuple[tuple[tuple[str, float], ...], float]:
    """Return the few columns that stand far above all others with their figures, and the next figure."""
    rest = sorted(((value, name) for name, value in strengths.items()), reverse=True)
    chance = 0.5 if form == "two" else 0.0
    for many in range(min(max(1, len(rest) // 4), len(rest)), 0, -1):
        following = max(rest[many][0], chance) if many < len(rest) else chance
        if _is_far(form, rest[many - 1][0], following):
            return tuple((name, value) for value, name in rest[:many]), following
    return (), chance


def _is_far(form: TruthForm, best: float, following: float) -> bool:
    """For two classes on the scale of d', the distance between the classes in standard deviations: AUC is squeezed near 1."""
    if best < _HIGH[form]:
        return False
    if form != "two":
        return following < 0.5 * best
    near, far = (math.sqrt(2) * NormalDist().inv_cdf(min(max(auc, 0.5), 0.9999)) for auc in (following, best))
    return far >= 2 * near and far - near >= 0.9
