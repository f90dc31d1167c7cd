"""Columns that tell the label too well to have been known beforehand.

No statistic proves a leak: an honest column may be very good. So each rule states what it saw, and asks for more than
honest columns of the usual public tables show (the best single columns of breast cancer diagnoses reach an area under
the ROC curve of 0.97, with several others close behind).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.facts import LabelForm
from linewright.data.profile.association import Ints, Truth, cells, class_strengths, roc_auc, strength
from linewright.data.profile.column import percent

Mask = npt.NDArray[np.bool_]

_PERFECT: Mapping[LabelForm, float] = {"two": 0.995, "classes": 0.98, "number": 0.99}
_HIGH: Mapping[LabelForm, float] = {"two": 0.85, "classes": 0.8, "number": 0.85}
_SURE: Mapping[LabelForm, float] = {"two": 0.98, "classes": 0.95, "number": 0.95}
_OTHERS = 5
_NOTABLE: Mapping[LabelForm, float] = {"two": 0.75, "classes": 0.5, "number": 0.5}
_SCALE: Mapping[LabelForm, str] = {
    "two": "ROC AUC",
    "classes": "share of the label's entropy",
    "number": "share of the label's variance",
}
ASKED = "was it known before the label was?"
_AFTERWARDS = "likely filled in after the label was known"
_PURE = 0.9
_PURER = 0.99
_LIKELIHOOD_RATIO = 12.0
_LEAST_ROWS = 20
_FLAG_LEVELS = 3
_TELLING = 0.05
"""Share of the label's entropy from which on a pure value tells of its column. Below, it tells of a few rows: one failure mode of five
takes 0.11 away, and an `unknown` in 3 % of the rows 0.03."""
_COMMON = 0.6
_LATE = 0.2
_MANY = 100
_LEAST_OF_CLASS, _LEAST_CLASSES = 5, 3
_BY_CHANCE = -20.0
"""Logarithm of how likely a shuffled column may be to vary within no class, so that chance is ruled out for thousands of columns."""
_ORDINARY, _ASKED_OF = 5, 3
"""Columns that each tell one of several classes, from which on that is ordinary; and of how many it is asked then."""
_NEVER = 0.005
_OFTEN = 0.3
_DAY = 86_400_000_000


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A column that tells the label suspiciously well."""

    kind: Literal["leak", "later", "strong"]
    evidence: str


def find_suspects(
    truth: Truth,
    values: Mapping[str, pl.Series],
    cell: Mapping[str, Ints],
    strengths: Mapping[str, float],
    *,
    time: pl.Series | None,
) -> dict[str, Suspect]:
    """Return the columns whose own figures make them suspects, by column; `find_stand_outs` compares the others.

    Parameters
    ----------
    truth
        The label of n rows.
    values, cell, strengths
        By column: its n values in their type, their cells, and how well they tell the label.
    time
        When each row happened, as dates or times.

    Returns
    -------
    dict
        ``leak``: should not be seen by a model. ``later``: its dates lie after the row's own.
    """
    found: dict[str, Suspect] = {}
    for name, column in values.items():
        says = (
            _perfect(truth, column, cell[name], strengths[name])
            or _by_class(truth, column)
            or _by_presence(truth, column)
            or _by_flag(truth, column, cell[name])
            or _by_default(truth, column)
        )
        if says:
            found[name] = Suspect(kind="leak", evidence=says)
        elif time is not None and (late := _later(column, time)):
            found[name] = _late_suspect(
                truth, strengths[name], _delay_strength(truth, column, time), late, time.name
            )
    return found


def find_rare_values(truth: Truth, values: Mapping[str, pl.Series]) -> dict[str, Suspect]:
    """Return the columns with a value, or a gap, whose rows are nearly all of one of two classes; those that are leaks among them.

    Where such rows are few, most of the column shows nothing of it: the value may have been written once the case was over
    (`unknown` of those who could not be asked any more), or may be honest. So it is asked about, and no column is left out for it.
    """
    found: dict[str, Suspect] = {}
    for name, column in values.items():
        if says := _pure_value(truth, column):
            asked = "was that value written before the label was known?"
        elif truth.form == "two" and (says := _pure_gap(truth, column)):
            asked = "was it left open before the label was known?"
        else:
            continue
        found[name] = Suspect(kind="strong", evidence=f"{says}: {asked}")
    return found


def strengths_by_class(truth: Truth, cell: Mapping[str, Ints]) -> dict[str, dict[int, float]]:
    """Return by column how well it tells each of several classes from all others; nothing of any other label."""
    is_asked = truth.form == "classes"
    return {
        name: class_strengths(one, truth, least=_LEAST_ROWS) if is_asked else {} for name, one in cell.items()
    }


def find_stand_outs(
    truth: Truth, strengths: Mapping[str, float], by_class: Mapping[str, Mapping[int, float]]
) -> dict[str, Suspect]:
    """Return the columns that tell the label far better than all others, and without any the best one where it is notable.

    One leak hides the next: beside a column that says the label, any other is only fairly good. So what is left is
    judged again without the leaks, until there is no further one. Of several classes each is also judged against all
    others, since a column that says one of them may yet take little of the label's entropy.

    Parameters
    ----------
    truth
        The label of n rows.
    strengths, by_class
        By column: how well it tells the label, and each of several classes.

    Returns
    -------
    dict
        ``leak``: should not be seen by a model. ``strong``: whether it was known in time is to be asked; no figure says so.
    """
    found: dict[str, Suspect] = {}
    while True:
        rest = {name: value for name, value in strengths.items() if name not in found}
        new = _stand_outs(truth, rest) | _of_a_class(truth, {name: by_class[name] for name in rest})
        leaks = {name: one for name, one in new.items() if one.kind == "leak"}
        if not leaks:
            return found | new | _best(truth, rest, by_class, is_told=bool(new))
        found |= leaks


def find_as_bare(label: pl.Series, columns: Mapping[str, pl.Series]) -> dict[str, Suspect]:
    """Return the columns that have a value just where the label has one: both may come to be known at one time.

    Where most columns are so, the rows without a label are another kind of rows, and nothing is said.

    Examples
    --------
    >>> delay = pl.Series([1.0, None] * 50)
    >>> day = pl.Series(range(100))
    >>> [*find_as_bare(delay, {"airborne": delay + 90, "day": day, "week": day // 7})]
    ['airborne']
    """
    bare = label.is_null().to_numpy()
    if min(bare.sum(), (~bare).sum()) < _LEAST_ROWS:
        return {}
    missing = {name: values.is_null().to_numpy() for name, values in columns.items()}
    found = {
        name: Suspect(
            kind="later",
            evidence=f"it has a value in {percent(1 - float(gone[~bare].mean()))} of the rows that have a label, and in "
            f"{(~gone[bare]).sum():,} of the {bare.sum():,} that have none: check that it is known when a prediction is asked for",
        )
        for name, gone in missing.items()
        if gone[bare].mean() >= 1 - _NEVER and gone[~bare].mean() <= _NEVER
    }
    return found if 2 * len(found) <= len(columns) else {}


def _stand_outs(truth: Truth, strengths: Mapping[str, float]) -> dict[str, Suspect]:
    """Find the few columns that stand far above all others."""
    far, following, others = _far(truth.form, strengths)
    return {
        name: _far_above(
            f"alone it reaches a {_says(truth, value)}",
            following,
            # A small honest table may have one good column.
            is_leak=others >= _OTHERS or value >= _SURE[truth.form],
        )
        for name, value in far
    }


def _of_a_class(truth: Truth, by_class: Mapping[str, Mapping[int, float]]) -> dict[str, Suspect]:
    """Find the few columns that tell one of several classes from all others far better than any other column does.

    Only what is almost without error is called a leak: honest columns of public tables often are far better than all others
    for one of their classes (heights of basketball players, say: 0.954 for guards, where the next column has 0.657).
    """
    best: dict[str, tuple[float, Suspect]] = {}
    rows = np.bincount(truth.codes, minlength=len(truth.classes))
    for code in sorted({code for areas in by_class.values() for code in areas}):
        far, following, _ = _far("two", {name: areas[code] for name, areas in by_class.items()})
        for name, value in far:
            is_perfect = value >= _PERFECT["two"]
            # A rare class makes any figure shaky but one near 1.
            if (is_perfect or rows[code] >= _MANY) and value > best.get(name, (0.0,))[0]:
                says = f"alone it {_tells(truth.classes[code], value)}"
                best[name] = value, _far_above(says, following, is_leak=is_perfect)
    return {name: suspect for name, (_, suspect) in best.items()}


def _tells(name: str, value: float) -> str:
    how = " almost without error" if value >= _PERFECT["two"] else ""
    return f"tells {name!r} from all others{how} (ROC AUC of {value:.3f})"


def _far(form: LabelForm, strengths: Mapping[str, float]) -> tuple[tuple[tuple[str, float], ...], float, int]:
    """Return the few columns that stand far above all others with their figures, the next figure, and how many others there are."""
    rest = sorted(((value, name) for name, value in strengths.items()), reverse=True)
    chance = _chance(form)
    for count in range(min(max(1, len(rest) // 4), len(rest)), 0, -1):
        following = max(rest[count][0], chance) if count < len(rest) else chance
        if _is_far_above(form, rest[count - 1][0], following):
            return tuple((name, value) for value, name in rest[:count]), following, len(rest) - count
    return (), chance, 0


def _best(
    truth: Truth,
    strengths: Mapping[str, float],
    by_class: Mapping[str, Mapping[int, float]],
    *,
    is_told: bool,
) -> dict[str, Suspect]:
    """Name the best column where it is notable, and those that say one of several classes, though others come close."""
    says: dict[str, list[str]] = {}
    if not is_told and strengths:
        value, name = max((value, name) for name, value in strengths.items())
        if value >= _NOTABLE[truth.form]:
            says[name] = [f"the best single column ({_says(truth, value)})"]
    sure = {
        name: max((value, -code) for code, value in by_class[name].items())
        for name in strengths
        if max(by_class[name].values(), default=0.0) >= _PERFECT["two"]
    }
    # Among many classes some are easy, and what is measured tells them: to ask of each column hides what is worth asking.
    is_ordinary = len(sure) > _ORDINARY
    also = f", as {len(sure) - 1:,} other columns tell one class or another" if is_ordinary else ""
    asked = sorted(sure, key=sure.__getitem__, reverse=True)[: _ASKED_OF if is_ordinary else None]
    for name in asked:
        value, code = sure[name]
        says.setdefault(name, []).append(f"it {_tells(truth.classes[-code], value)}{also}")
    return {
        name: Suspect(kind="strong", evidence=f"{', and '.join(told)}: {ASKED}")
        for name, told in says.items()
    }


def _far_above(says: str, following: float, *, is_leak: bool) -> Suspect:
    told = f"{says}, the next column {following:.3f}: "
    if is_leak:
        return Suspect(kind="leak", evidence=f"{told}too far above the others to be taken on trust")
    return Suspect(kind="strong", evidence=f"{told}far above the others; {ASKED}")


def _says(truth: Truth, value: float) -> str:
    return f"{_SCALE[truth.form]} of {value:.3f}"


def _chance(form: LabelForm) -> float:
    return 0.5 if form == "two" else 0.0


def _perfect(truth: Truth, column: pl.Series, cell: Ints, value: float) -> str | None:
    if value < _PERFECT[truth.form]:
        return None
    value = max(value, _area(truth, column))
    if truth.form != "number" and _is_function(cell, truth.codes):
        many = len(np.unique(cell))
        return f"each of its {many:,} values goes with one label only in {truth.rows:,} rows: it is the label in other words"
    return f"alone it predicts the label almost without error ({_says(truth, value)})"


def _area(truth: Truth, column: pl.Series) -> float:
    """Return the area under the ROC curve of a number itself, which its cells round off; 0 where it is none or has gaps."""
    if truth.form != "two" or not column.dtype.is_numeric() or column.null_count():
        return 0.0
    area = roc_auc(truth.codes, column.cast(pl.Float64).to_numpy())
    return max(area, 1 - area)


def _by_class(truth: Truth, column: pl.Series) -> str | None:
    """Say whether a column has one value in each of several classes: what is measured in a row varies, what is written of a class does not."""
    if truth.form != "classes" or not 2 <= column.n_unique() <= len(truth.classes) + 1:
        return None
    known = pl.DataFrame({"code": truth.codes, "value": column}).drop_nulls()
    of_class = known.group_by("code").agg(pl.col("value").n_unique().alias("values"), pl.len().alias("rows"))
    judged = of_class.filter(pl.col("rows") >= _LEAST_OF_CLASS)
    if of_class["values"].max() != 1 or len(judged) < _LEAST_CLASSES or judged["rows"].sum() < _MANY:
        return None
    of_judged = known.filter(pl.col("code").is_in(judged["code"].implode()))
    rows = of_judged.group_by("value").len()["len"].to_list()
    if len(rows) < 2 or _chance_within(rows, len(judged)) > _BY_CHANCE:
        return None
    which = "each of the" if len(judged) == len(truth.classes) else "each of"
    return f"never varies within a class: {which} {len(judged):,} classes has one value of it, so it was written for the class"


def _chance_within(rows: Sequence[int], classes: int) -> float:
    """Return at most the logarithm of how likely a shuffle gives every class one value, where `rows` have each of the values.

    Of all ways to lay the values out, those are counted that give each class one of them, whether or not it has the rows for it.
    """
    ways = math.lgamma(sum(rows) + 1) - sum(math.lgamma(many + 1) for many in rows)
    return classes * math.log(len(rows)) - ways


def _is_function(cell: Ints, codes: Ints) -> bool:
    pairs = np.unique(np.stack([cell, codes]), axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1]


def _by_presence(truth: Truth, column: pl.Series) -> str | None:
    """Say whether it is filled in, or left open, almost only for one class."""
    present = column.is_not_null().to_numpy()
    if present.all() or not present.any():
        return None
    if truth.form == "number":
        return _presence_of_number(truth, present)
    if says := _pure_rows(truth, present, "it has a value"):
        return f"{says}: {_AFTERWARDS}"
    says = _pure_gap(truth, column)
    if says and (truth.form != "two" or _tells_of_label(truth, present.astype(np.int64))):
        return f"{says}: {_AFTERWARDS}"
    return _never_for_one(truth, present)


def _pure_gap(truth: Truth, column: pl.Series) -> str:
    return _pure_rows(truth, column.is_null().to_numpy(), "it has no value") if column.null_count() else ""


def _pure_rows(truth: Truth, rows: Mask, what: str) -> str:
    if not (hit := _pure_class(truth, rows)):
        return ""
    name, share, base = hit
    return (
        f"{what} in {rows.sum():,} of {truth.rows:,} rows, and {percent(share)} of them are {name!r} "
        f"({percent(base)} overall)"
    )


def _never_for_one(truth: Truth, present: Mask) -> str | None:
    """Say whether a column of many values has none in all the rows of the rarer of two classes."""
    if truth.form != "two":
        return None
    rows = np.bincount(truth.codes, minlength=2)
    filled = np.bincount(truth.codes[present], minlength=2)
    rare = int(np.argmin(rows))
    if rows[rare] < _MANY or filled[rare] > _NEVER * rows[rare] or filled[1 - rare] < _OFTEN * rows[1 - rare]:
        return None
    return (
        f"it has a value in {percent(filled[1 - rare] / rows[1 - rare])} of the rows with {truth.classes[1 - rare]!r}, and in "
        f"{filled[rare]:,} of the {rows[rare]:,} rows with {truth.classes[rare]!r}: {_AFTERWARDS}"
    )


def _by_default(truth: Truth, column: pl.Series) -> str | None:
    """Say whether a number that is the same in most rows differs almost only in rows of one class."""
    if truth.form == "number" or not column.dtype.is_numeric() or column.n_unique() <= _FLAG_LEVELS:
        return None
    usual = column.drop_nulls().mode().sort().item(0)
    rows = (column != usual).fill_null(value=False).to_numpy()
    # Purer than a flag: the count of a word, or of late payments, is often 0 and may tell one class well all the same.
    hit = _pure_class(truth, rows, least=_PURER)
    if rows.mean() > _COMMON or hit is None:
        return None
    name, share, base = hit
    return (
        f"it is not {_plain(usual)} in {rows.sum():,} of {truth.rows:,} rows, and {percent(share)} of them are {name!r} "
        f"({percent(base)} overall): {_AFTERWARDS}"
    )


def _presence_of_number(truth: Truth, present: Mask) -> str | None:
    groups = (truth.ranks[present], truth.ranks[~present])
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    explained = 1 - within / max(float(((truth.ranks - truth.ranks.mean()) ** 2).sum()), 1e-300)
    if explained < 0.5 or min(map(len, groups)) < _LEAST_ROWS:
        return None
    return f"whether it has a value explains {percent(explained)} of the label's variance: likely filled in afterwards"


def _by_flag(truth: Truth, column: pl.Series, cell: Ints) -> str | None:
    """Say whether one side of a yes-or-no column belongs to one class."""
    says = _pure_value(truth, column)
    return f"{says}: likely another name of the label" if says and _tells_of_label(truth, cell) else None


def _pure_value(truth: Truth, column: pl.Series) -> str:
    """Say of which of its very few values nearly all rows are of one of two classes, or nothing where there is none."""
    if truth.form != "two" or not 2 <= column.drop_nulls().n_unique() <= _FLAG_LEVELS:
        return ""
    for level in column.drop_nulls().unique().sort().to_list():
        rows = (column == level).fill_null(value=False).to_numpy()
        if hit := _pure_class(truth, rows):
            name, share, base = hit
            return (
                f"where it is {_plain(level)} ({rows.sum():,} rows), the label is {name!r} in {percent(share)} of them "
                f"({percent(base)} overall)"
            )
    return ""


def _tells_of_label(truth: Truth, cell: Ints) -> bool:
    """Return whether the cells of a column take a share of the label's entropy away that is worth a verdict on the column."""
    counts = np.zeros((int(cell.max(initial=0)) + 1, len(truth.classes)))
    np.add.at(counts, (cell, truth.codes), 1)
    whole = _entropy(counts.sum(axis=0)[None, :])
    return 1 - _entropy(counts) / whole >= _TELLING if whole else False


def _entropy(counts: npt.NDArray[np.float64]) -> float:
    """Return the entropy of the classes, in nats and summed over all rows, where the cell of each is known."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return -float((counts * np.log(np.where(counts > 0, shares, 1.0))).sum())


def _plain(level: object) -> str:
    return repr(level) if isinstance(level, str) else str(level)


def _pure_class(truth: Truth, rows: Mask, least: float = _PURE) -> tuple[str, float, float] | None:
    """Return (class, its share among `rows`, its share overall) where they are nearly all of one class, far from chance.

    A class that most rows have anyway proves nothing, and neither do few rows: the lower end of the share's 95 %
    interval counts, and how much more often the class's rows are among `rows` than the others'.
    """
    n = int(rows.sum())
    if n < _LEAST_ROWS:
        return None
    inside = np.bincount(truth.codes[rows], minlength=len(truth.classes))
    overall = np.bincount(truth.codes, minlength=len(truth.classes))
    code = int(np.argmax(inside))
    share, base = inside[code] / n, overall[code] / truth.rows
    if base > _COMMON or _wilson_low(float(share), n) < least - 0.05 or share < least:
        return None
    of_class = inside[code] / overall[code]
    of_others = (n - inside[code]) / max(truth.rows - overall[code], 1)
    if of_others and of_class / of_others < _LIKELIHOOD_RATIO:
        return None
    return truth.classes[code], float(share), float(base)


def _wilson_low(share: float, n: int, z: float = 1.96) -> float:
    """Return the lower end of Wilson's 95 % interval of a share."""
    middle = share + z * z / (2 * n)
    return (middle - z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def _later(column: pl.Series, time: pl.Series) -> float | None:
    """Return the share of rows whose date lies more than a day after the row's own time."""
    if not column.dtype.is_temporal() or not time.dtype.is_temporal():
        return None
    micros = [part.cast(pl.Datetime("us")).to_physical() for part in (column, time)]
    late = (micros[0] - micros[1]) > _DAY
    share = late.fill_null(value=False).mean()
    return share if isinstance(share, float) and share >= _LATE else None


def _delay_strength(truth: Truth, column: pl.Series, time: pl.Series) -> float:
    """Return how well the time from the row to its later date tells the label."""
    first, last = (part.cast(pl.Datetime("us")).to_physical() for part in (time, column))
    return strength(cells(last - first), truth)


def _late_suspect(truth: Truth, value: float, delay: float, share: float, time: str) -> Suspect:
    says = f"later than {time!r} in {percent(share)} of rows"
    is_binary = truth.form == "two"
    told = ""
    if value >= (0.6 if is_binary else 0.1):
        told = f"it tells the label ({_says(truth, value)})"
    elif delay >= (0.7 if is_binary else 0.25):
        told = f"how much later tells the label ({_says(truth, delay)})"
    if told:
        return Suspect(kind="leak", evidence=f"{says} and {told}: not known yet when the row happened")
    return Suspect(kind="later", evidence=f"{says}: check that it is known when a prediction is asked for")


def _is_far_above(form: LabelForm, best: float, following: float) -> bool:
    """For two classes on the scale of d', the distance between the classes in standard deviations: AUC is squeezed near 1."""
    if best < _HIGH[form]:
        return False
    if form != "two":
        return following < 0.5 * best
    near, far = (math.sqrt(2) * NormalDist().inv_cdf(min(max(auc, 0.5), 0.9999)) for auc in (following, best))
    return far >= 2 * near and far - near >= 0.9
