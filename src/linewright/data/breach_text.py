"""Breaches of a contract in words: the rule, what did not hold, and what to do. Nothing reads these sentences but people."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Any, Literal

import msgspec
from msgspec.structs import asdict, replace

from linewright.data.facts import MASK, Breach, BreachKind
from linewright.errors import LinewrightError
from linewright.text.numbers import count

_DIGITS = 12  # of a digest
_MOST_NAMED = 5

_Said = Literal[
    "type",
    "missing",
    "pattern",
    "references",
    "unique",
    "not-named",
    "lacking",
    "fields",
    "broken-off",
    "sql",
    "fresh",
    "gone",
    "new",
    "retyped",
    "unlabelled",
    "copies",
    "copies-stay",
]
_RULES: Mapping[_Said, str] = {
    "type": "type {type}",
    "missing": "not missing",
    "pattern": "all of it matches {pattern}",
    "references": "one of {references}",
    "unique": "unique",
    "not-named": "named in the contract",
    "lacking": "a column of the table",
    "fields": "{expected} fields, as the header of {source!r} has",
    "broken-off": "ends with a whole row",
    "sql": "{name}",
    "fresh": "fresh within {within}",
    "gone": "there, as before",
    "new": "known before",
    "retyped": "type {was}, as before",
    "unlabelled": "rows that have a label",
    "copies": "test rows that no training row equals",
    "copies-stay": "test rows that no training row equals",
}
"""Rules whose figures are said as they are; the others: `rule_in_words`."""

_SENTENCES: Mapping[BreachKind, str] = {
    "broken-off": "the file of {source!r} ends within a row{at}, of {fields} in place of {expected} fields and without a line end: it was "
    "probably broken off, and the rows after that are missing",
    "unlabelled": "{failed:,} of {rows:,} rows have no label: they neither train nor test",
    "copies": "{failed:,} of {rows:,} test rows repeat a training row, features and label alike: they are in neither part, for a model "
    "knows them",
    "copies-stay": "{failed:,} of {rows:,} test rows repeat a training row, features and label alike, and stay, since rows of this table "
    "repeat: a model that remembers looks better than it is; `linewright check` gives the line to write where one mends it",
}
"""Breaches that rule and counts do not say."""

FORMLESS: frozenset[BreachKind] = frozenset({"fields", "broken-off", "sql"})
"""Breaches whose first value is the text of a whole row."""
_HINTS: Mapping[BreachKind, str] = {
    "fewest-rows": "see whether the source is whole; if so few rows are right, lower contract.rows.min",
    "broken-off": "fetch the file again; or take the rest of that row out, if no row came after it",
    "fresh": "see that the source is delivered again, or allow more in contract.fresh",
    "gone": "bring it back, or name the columns that the line relies on in contract.columns",
    "new": "the model may use it from now on; put it into table.exclude if it must not",
}
"""What to do, where it is the same for each breach of a kind; the others: `hint_of`."""


class BreachInWords(Breach, frozen=True, kw_only=True, omit_defaults=True):
    """A breach, as people and programs outside get it."""

    rule: str
    """In words, e.g. ``"at least 16"``."""
    says: str = ""
    """The breach in a sentence, where rule and counts do not make one."""
    hint: str = ""
    """What to do, where the rule itself does not say."""


def without_personal(breach: Breach, columns: Collection[str]) -> Breach:
    """Return a breach without the value of a personal column: the error that tells of it goes to logs and to who reads the record."""
    is_one = breach.column in columns or (breach.kind in FORMLESS and bool(columns))
    return replace(breach, first=MASK) if is_one and breach.first else breach


def in_words(breach: Breach) -> BreachInWords:
    """Return a breach with its words beside its figures."""
    parts: dict[str, Any] = asdict(breach)
    parts["first"] = _first(breach)
    return BreachInWords(
        **parts,
        rule=rule_in_words(breach.kind, breach.figures),
        says=_own_sentence(breach),
        hint=hint_of(breach),
    )


def breaches_in_words(breaches: Sequence[Breach]) -> tuple[BreachInWords, ...]:
    """Return breaches with their words."""
    return tuple(map(in_words, breaches))


def as_details(breaches: Sequence[Breach]) -> list[dict[str, Any]]:
    """Return breaches with their words as JSON values, which an error has in its details."""
    return msgspec.json.decode(msgspec.json.encode(breaches_in_words(breaches)))


def breach_in_words(breach: Breach) -> str:
    """Say what did not hold in a sentence.

    Examples
    --------
    >>> breach_in_words(Breach(column="age", kind="min", figures={"bound": 16}, failed=2, rows=4000, first="12", action="warn", line=7))
    "column 'age': 'at least 16' fails for 2 of 4,000 rows, first with '12' at line 7"
    """
    if said := _own_sentence(breach):
        return said
    about = f"column {breach.column!r}" if breach.column else "the table"
    first = f", first with {breach.first!r}" if breach.first else ""
    rule = rule_in_words(breach.kind, breach.figures)
    return (
        f"{about}: {rule!r} fails for {breach.failed:,} of {count(breach.rows, 'row')}{first}{_place(breach)}"
    )


def rule_in_words(kind: BreachKind, figures: Mapping[str, Any]) -> str:
    """Say a rule in a few words, as the contract has it.

    Examples
    --------
    >>> rule_in_words("allowed", {"allowed": ("a", "b"), "of": 3}), rule_in_words("fewest-rows", {"bound": 1000, "kept": 7})
    ('one of a, b, …', 'at least 1,000 rows')
    """
    match kind:
        case "min":
            return f"at least {_bound(figures['bound'])}"
        case "max":
            return f"at most {_bound(figures['bound'])}"
        case "allowed":
            more = ", …" if figures["of"] > len(figures["allowed"]) else ""
            return f"one of {', '.join(figures['allowed'])}{more}"
        case "fewest-rows":
            return f"at least {count(figures['bound'], 'row')}"
        case "most-rows":
            return f"at most {count(figures['bound'], 'row')}"
        case "row-change":
            return f"rows change by at most {_percent(figures['allowed'])}"
        case _:
            return _RULES[kind].format_map(figures)


def row_in_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a `Quarantine` with its rule in words."""
    kind, figures = row["kind"], row["figures"]
    if kind == "fields":
        return {**row, "rule": f"{figures['expected']} fields", "found": f"{row['found']} fields"}
    return {**row, "rule": rule_in_words(kind, figures)}


def hint_of(breach: Breach) -> str:
    """Say what to do about a breach; empty where the rule itself says it."""
    figures = _figures(breach)
    match breach.kind:
        case "fewest-rows":
            return _HINTS["fewest-rows"] if figures["kept"] else ""
        case "row-change":
            change = _enough(abs(_change(breach)))
            return (
                f"if that is right, set contract.rows.change to {change:g} for this run; else mend the source"
            )
        case "retyped":
            return f"mend the source, or say its type in contract.columns, e.g. {breach.column}: {{type: {figures['was']}}}"
        case kind:
            return _HINTS.get(kind, "")


def gone_in_words(column: str, *, dataset: str, at: str) -> str:
    """Say that a column of the version before, of which `dataset` is the digest, is not there any more."""
    return f"column {column!r} was there in {version_in_words(dataset, at)}, and is gone"


def version_in_words(dataset: str, at: str) -> str:
    """Say which version of a dataset, by its digest and by when it was kept."""
    return f"dataset {dataset.removeprefix('sha256:')[:_DIGITS]} of {at[:10]}"


def by_weight(breaches: Sequence[BreachInWords]) -> list[BreachInWords]:
    """Return breaches with those that stop a run first, then those that keep rows out, then warnings."""
    return sorted(breaches, key=lambda one: ("stop", "quarantine", "warn").index(one.action))


def what_to_do(
    line: str, breaches: Sequence[BreachInWords], error: LinewrightError | None = None
) -> tuple[str, ...]:
    """Return what a person can do about breaches, a sentence each."""
    return tuple(dict.fromkeys(_steps(line, by_weight(breaches), error)))


def _steps(line: str, breaches: Sequence[BreachInWords], error: LinewrightError | None) -> Iterator[str]:
    if error is not None:
        yield error.hint or "mend the source, or the rule in contract"
    if any(one.action == "quarantine" for one in breaches):
        yield (
            "mend the rows of 'quarantine' in the source, or their rule in contract.columns; once a run has set them "
            f"aside, linewright datasets {line} --quarantine shows each"
        )
    for one in breaches:
        if one.says and (error is None or one.says not in error.what):
            yield f"{one.says}: {one.hint}" if one.hint else one.says
    new = [one.column for one in breaches if one.kind == "not-named"]
    if new:
        yield f"name {', '.join(new)} in contract.columns to use it, or say on_new_column: ignore"


def joined(breaches: Sequence[Breach]) -> Breach:
    """Return breaches of columns that nobody named as one: a table may have hundreds of them."""
    names = tuple(one.column for one in breaches)
    return replace(
        breaches[0],
        column="",
        first="",
        figures={"columns": names[:_MOST_NAMED], "of": len(names)},
    )


def _own_sentence(breach: Breach) -> str:
    """Say a breach that rule and counts do not say; empty where they do."""
    figures = _figures(breach)
    match breach.kind:
        case "not-named":
            return _not_named(breach)
        case "fewest-rows" | "most-rows":
            rule = rule_in_words(breach.kind, figures)
            return f"the table must have {rule}, and {_first(breach)} would be kept"
        case "fresh":
            age, now = _age(timedelta(seconds=figures["age_s"])), figures["now"][:16]
            return f"the newest {breach.column!r} is {breach.first}, {age} old at {now}Z, and the contract allows {figures['within']}"
        case "row-change":
            more = "more" if _change(breach) > 0 else "fewer"
            return (
                f"{breach.rows:,} rows would be kept, {_percent(abs(_change(breach)))} {more} than the {figures['rows']:,} of "
                f"{_before(breach)}, and rows.change allows {_percent(figures['allowed'])}"
            )
        case "retyped":
            return _retyped(breach)
        case "gone":
            return gone_in_words(breach.column, dataset=figures["dataset"], at=figures["at"])
        case "new":
            return f"column {breach.column!r} is new: {_before(breach)} did not have it"
        case kind:
            counts = {"failed": breach.failed, "rows": breach.rows, "at": _in_brackets(breach)}
            return _SENTENCES.get(kind, "").format_map({**figures, **counts})


def _not_named(breach: Breach) -> str:
    if breach.column:
        first = f"; first value {breach.first!r}" if breach.first else ""
        return f"column {breach.column!r} is not named in the contract, so it is never a feature{first}"
    figures = _figures(breach)
    left = figures["of"] - len(figures["columns"])
    names = ", ".join(map(repr, figures["columns"])) + (f" and {left:,} more" if left else "")
    return f"columns {names} are not named in the contract, so they are never features"


def _retyped(breach: Breach) -> str:
    figures = _figures(breach)
    holds = (
        f"now holds {figures['now']} in {breach.failed:,} of {breach.rows:,} rows, first {breach.first!r}"
        if breach.failed
        else "now has no value in any row"
    )
    return f"column {breach.column!r} was {figures['was']} in {_before(breach)}, {holds}{_place(breach)}"


def _first(breach: Breach) -> str:
    """Return what the table of breaches shows as found: where no value is, how many rows there are."""
    match breach.kind:
        case "fewest-rows" | "most-rows":
            return count(_figures(breach)["kept"], "row")
        case "row-change":
            return f"{breach.rows:,} rows"
        case _:
            return breach.first


def _place(breach: Breach) -> str:
    place = f" at line {breach.line}" if breach.line is not None else ""
    return place + (f" in {breach.file}" if breach.file is not None else "")


def _in_brackets(breach: Breach) -> str:
    if breach.line is None:
        return ""
    return f" (line {breach.line}" + (f" of {breach.file})" if breach.file else ")")


def _figures(breach: Breach) -> Mapping[str, Any]:
    """Return the figures as what they are of this kind of breach."""
    return breach.figures


def _before(breach: Breach) -> str:
    figures = _figures(breach)
    return version_in_words(figures["dataset"], figures["at"])


def _change(breach: Breach) -> float:
    return breach.rows / _figures(breach)["rows"] - 1


def _bound(bound: float | str) -> str:
    """Write a bound as the contract may have it; a whole number is one, whether it was kept as one or not."""
    return (
        f"{bound:.0f}"
        if isinstance(bound, float) and bound.is_integer() and abs(bound) < 1e15
        else str(bound)
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _enough(change: float) -> float:
    """Return the next larger share with two decimals.

    Examples
    --------
    >>> _enough(0.751), _enough(0.75)
    (0.76, 0.75)
    """
    return ceil(round(change * 100, 6)) / 100


def _age(age: timedelta) -> str:
    """Say how long, in the largest unit of which there are two.

    Examples
    --------
    >>> _age(timedelta(days=3, hours=2)), _age(timedelta(hours=30)), _age(timedelta(minutes=5))
    ('3 days', '30 hours', '5 minutes')
    """
    seconds = int(age.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:,} {unit}s"
    return f"{seconds} seconds"
