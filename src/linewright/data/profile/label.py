"""What a label asks for: its form, its classes, the positive one, each with the reason."""

import json

import msgspec
import polars as pl

from linewright.data.facts import LabelForm
from linewright.data.profile.column import UNUSABLE, Seen
from linewright.data.profile.label_form import form_of_many
from linewright.data.spec import NUMBERS, TIMES
from linewright.errors import RequestError
from linewright.text.numbers import share_in_words
from linewright.text.suggest import listed, nearest

MOST_CLASSES = 100
FEWEST_ROWS = 10
"""Rows that the five folds and the test part of a line that says nothing else want of each class."""
_POSITIVE = (
    "1",
    "true",
    "yes",
    "y",
    "t",
    "positive",
    "1.0",
    "bad",
    "fraud",
    "spam",
    "churn",
    "default",
    "fail",
    "failure",
)
_SHOWN = 10  # classes that a message lists


class LabelProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be predicted."""

    column: str
    form: LabelForm
    because: str
    classes: tuple[tuple[str, int], ...]
    """Classes with their counts, most frequent first; empty for numbers."""
    positive: str | None
    positive_because: str
    missing: int
    """Rows without a label; they neither train nor test."""
    largest: float | None = None
    """Of numbers: the share of their squared deviations from the mean that the largest hundredth of them has."""


def describe_label(
    spelled: pl.Series, seen: Seen, positive: str | None, *, source: str = "SOURCE"
) -> LabelProfile:
    """Say what the label asks for."""
    where = f"--label {seen.name}"
    counts = _counts(spelled, seen)
    if not counts:
        raise RequestError("the label is missing in every row", where=where, hint="name another column")
    if len(counts) == 1:
        raise RequestError(
            "the label has one value only, so there is nothing to tell apart",
            where=where,
            found=counts[0][0],
            allowed="at least two different values",
            hint=f"{seen.missing:,} of its cells are empty: if that is an answer, write a word for it into them"
            if seen.missing
            else "",
        )
    if len(counts) == 2:
        return _binary(seen, counts, positive)
    if positive is not None:
        raise RequestError(
            "a positive value is for a label of two values",
            where=f"--positive {positive}",
            found=f"{len(counts):,} values: {_names(counts)}",
            hint=_as_two(seen.name, counts, positive, source),
        )
    return _many(seen, counts, where)


def _counts(spelled: pl.Series, seen: Seen) -> list[tuple[str, int]]:
    if seen.type == UNUSABLE:
        return []
    text = spelled.drop_nulls().cast(pl.String).to_frame("name")
    counted = text.group_by("name").len("rows").sort(["rows", "name"], descending=[True, False])
    return [(str(name), int(rows)) for name, rows in counted.iter_rows()]


def _names(counts: list[tuple[str, int]]) -> str:
    return listed([repr(name) for name, _ in counts], _SHOWN)


def _binary(seen: Seen, counts: list[tuple[str, int]], positive: str | None) -> LabelProfile:
    names = [name for name, _ in counts]
    if positive is not None and positive not in names:
        meant = nearest(positive, names)
        raise RequestError(
            f"the label {seen.name!r} has no such value",
            where="--positive",
            found=positive,
            allowed=" or ".join(repr(name) for name in names),
            hint=f"did you mean {meant!r}?" if meant else "",
        )
    usual = _usual(names)
    chosen, because = names[1], "the rarer value"
    if positive is not None:
        chosen, because = positive, "you named it"
    elif usual is not None:
        chosen, because = usual, "the usual name of a positive"
    share = share_in_words(dict(counts)[chosen] / seen.present)
    return LabelProfile(
        column=seen.name,
        form="two",
        because=f"two values, {names[0]!r} and {names[1]!r}",
        classes=tuple(counts),
        positive=chosen,
        positive_because=f"{because}; {share} of the rows with a label",
        missing=seen.missing,
    )


def _usual(names: list[str]) -> str | None:
    return next((name for word in _POSITIVE for name in names if name.lower() == word), None)


def without_rare(about: LabelProfile, fewest: int) -> LabelProfile:
    """Return what a label of several classes asks for without those of fewer rows; itself where none is so, or fewer than two would be left.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> label = see(pl.Series("y", ["no", "yes"] * 200 + ["Yes", "maybe"]))
    >>> kept = without_rare(describe_label(label.values, label, None), 10)
    >>> kept.form, kept.positive, kept.classes
    ('two', 'yes', (('no', 200), ('yes', 200)))
    """
    kept = tuple(one for one in about.classes if one[1] >= fewest)
    if about.form != "classes" or len(kept) < 2 or len(kept) == len(about.classes):
        return about
    if len(kept) > 2:
        return msgspec.structs.replace(about, classes=kept)
    names = [name for name, _ in kept]
    return msgspec.structs.replace(about, form="two", classes=kept, positive=_usual(names) or names[1])


def _as_two(name: str, counts: list[tuple[str, int]], positive: str, source: str) -> str:
    """Say how a label of several values becomes one of two: what to write into the line file that `new` makes without --positive."""
    alone = "leave --positive out: each value is a class of its own"
    if positive not in dict(counts):
        meant = nearest(positive, [one for one, _ in counts])
        return f"did you mean {meant!r}? Then too, {alone}" if meant else alone
    column, table = ('"' + each.replace('"', '""') + '"' for each in (name, source))
    value = "'" + positive.replace("'", "''") + "'"
    rest = "other" if positive != "other" else "rest"
    two = f"case when {column} is not null then if({column}::text = {value}, {value}, '{rest}') end"
    label, told, query = (
        json.dumps(text, ensure_ascii=False)
        for text in (name, positive, " ".join(["select * replace", f"({two} as {column})", "from", table]))
    )
    return (
        f"{alone}; or make two of them, in the line file that is written then: under table: sql: {query}; "
        f"label: {{column: {label}, positive: {told}}}; under contract.columns: {label}: {{type: category, allowed: [{told}, {rest}]}}; "
        "under train: task: binary, metric: average_precision"
    )


def _many(seen: Seen, counts: list[tuple[str, int]], where: str) -> LabelProfile:
    many = len(counts)
    is_number = seen.type in NUMBERS and form_of_many(seen.type, [name for name, _ in counts]) == "number"
    if counts[0][1] == 1 and not is_number:
        raise RequestError(
            "no class of the label comes twice, so there is nothing to learn",
            where=where,
            found=f"{many:,} different values in as many rows: {_names(counts)}",
            hint="name another column",
        )
    if is_number:
        form, because, classes = "number", f"numbers, {many:,} different ones", ()
    elif seen.type in NUMBERS:
        form, because, classes = "classes", f"whole numbers, only {many} different ones", tuple(counts)
    elif many <= MOST_CLASSES and seen.type not in TIMES:
        form, because, classes = "classes", f"{many} different values", tuple(counts)
    else:
        raise RequestError(
            "the label is neither a number nor a class",
            where=where,
            found=f"{many:,} different values of type {seen.type}: {_names(counts)}",
            allowed=f"numbers, or at most {MOST_CLASSES} classes",
            hint="name another column; if these are items that users take, ask for recommendations: --task recommend",
        )
    return LabelProfile(
        column=seen.name,
        form=form,
        because=because,
        classes=classes,
        positive=None,
        positive_because="",
        missing=seen.missing,
        largest=_of_the_largest(seen.values) if is_number else None,
    )


def _of_the_largest(values: pl.Series) -> float | None:
    known = values.drop_nulls().cast(pl.Float64).sort(descending=True)
    known = known.filter(known.is_finite())
    squares = (known - known.mean()) ** 2
    whole = float(squares.sum())
    return float(squares.head(max(1, round(len(known) / 100))).sum()) / whole if whole else None
