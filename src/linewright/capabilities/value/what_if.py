"""What other amounts would change: the threshold that they ask for, and what the test rows of the champion would be worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import TEST, Dataset, Split
from linewright.data.spec import AnomalySpec
from linewright.errors import RequestError
from linewright.features.encode_table import encode_table
from linewright.line.factory import Factory
from linewright.line.file.edit import difference, edited
from linewright.line.file.sites import SITES, site_of
from linewright.line.file.yaml_nodes import read_text
from linewright.line.personal import file_without_personal
from linewright.line.record.registry import find_model
from linewright.line.split_rows import label_text
from linewright.model.facts import Package, Trained, Value
from linewright.model.package.model import load
from linewright.model.reason_text import threshold_in_words
from linewright.model.spec import ValueSpec
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.threshold import Threshold, choose_alarm_threshold, choose_threshold
from linewright.model.tasks.value import Amounts, amounts_of, require_stakes
from linewright.model.train.scored_rows import Scored, from_bytes
from linewright.model.value_amounts import WORDS, columns_of
from linewright.text.numbers import figure

CURVE = 60
"""Thresholds at which the worth of the test rows is shown, at most."""
_BEYOND, _LEAST_TOP = 3.0, 0.02
"""How far thresholds are shown beyond the greatest that is chosen, as a multiple of it, and the least end."""
_Z = 1.959964
"""Of a 95 % interval."""


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold decides on the test rows, and what that is worth by the amounts in question."""

    threshold: float
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    worth: tuple[float, float, float, float]
    """Of the rows of each kind, in that order."""
    total: float


class AtThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """What the test rows would be worth with one threshold."""

    threshold: float
    total: float


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What other amounts would change."""

    line: str
    model: str
    """As LINE@VERSION."""
    positive: str
    """The class that is looked for."""
    other: str
    currency: str
    amounts: Value
    """Those in question."""
    in_force: Value | None
    """Those by which the champion decides; `None` if it decides without."""
    declared: Value | None
    """Those of the line file; `None` if it has none."""
    n: int
    """Test rows; the model has not seen them."""
    threshold_because: str
    """Why the threshold would be what it is: it is chosen on training rows."""
    now: Decisions
    """By the threshold of the champion."""
    then: Decisions
    """By the threshold that the amounts ask for."""
    otherwise: int
    """Test rows that would be decided otherwise."""
    gain: float
    """By how much `then` is worth more than `now`, by the amounts in question."""
    gain_low: float
    gain_high: float
    """95 % interval of the gain on as many rows; it takes rows as independent."""
    none: float
    """What no alarm at all would be worth."""
    every: float
    """What an alarm for each row would be worth."""
    curve: tuple[AtThreshold, ...]
    """By threshold, the smallest first."""
    text: str
    """The line file with these amounts."""
    diff: str
    """How that differs from the file in force."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Rows whose probabilities and labels are known."""

    probability: np.ndarray
    target: np.ndarray
    """1 for positive rows."""
    amounts: Amounts

    def decisions(self, threshold: float) -> Decisions:
        """Return what a threshold decides, and what it is worth."""
        alarm, is_positive = self.probability >= threshold, self.target == 1
        kinds = (alarm & is_positive, alarm & ~is_positive, ~alarm & is_positive, ~alarm & ~is_positive)
        sums = [
            float(getattr(self.amounts, word)[kind].sum()) for word, kind in zip(WORDS, kinds, strict=True)
        ]
        true_positive, false_positive, false_negative, true_negative = (int(kind.sum()) for kind in kinds)
        return Decisions(
            threshold=threshold,
            true_positive=true_positive,
            false_positive=false_positive,
            false_negative=false_negative,
            true_negative=true_negative,
            worth=(sums[0], sums[1], sums[2], sums[3]),
            total=sum(sums),
        )

    def worth(self, threshold: float) -> np.ndarray:
        """Return what a threshold is worth on each row, float64, shape (n,)."""
        by_truth = self.amounts.worth((self.probability >= threshold).astype(np.int64))
        return by_truth[np.arange(len(self.target)), self.target]


def what_if(factory: Factory, line: str, asked: Mapping[str, str | None], currency: str | None) -> WhatIf:
    """Return what other amounts would change for the champion of a line.

    The threshold is chosen as a run would choose it: on the training rows that no part of the model learned from. What it is worth is shown
    of the test rows, which neither the model nor the threshold has seen.
    """
    version = find_model(factory, line)
    package = factory.metadata.get(version.digest, Package)
    if not rules_of(package.task).has_positive:
        raise RequestError(
            "only decisions between two classes have amounts",
            where=line,
            found=package.task,
            allowed="binary",
        )
    declared = factory.line(line).value
    value = _value(declared, asked, currency)
    trained = factory.metadata.get(package.trained, Trained)
    test, training = _rows(factory, version.digest, package, trained, value)
    require_stakes(test.amounts, value)
    chosen = _chosen(factory, line, training, package, trained)
    before = 0.5 if package.threshold is None else package.threshold
    now, then = test.decisions(before), test.decisions(chosen.at)
    moved = test.worth(chosen.at) - test.worth(before)
    gain, half = float(moved.sum()), _Z * float(moved.std()) * math.sqrt(len(moved))
    changed = {("value", word): getattr(value, word) for word in WORDS} | {
        ("value", "currency"): value.currency
    }
    path = factory.path_of(line)
    held = text = ""
    if all(
        factory.may("view", one) for one in factory.lines_of_file(line)
    ):  # else it says what others are not to see
        held, site = file_without_personal(factory, line, read_text(path)), site_of(path, line)
        at = (SITES, site) if site else ()
        text = edited(held, (), {(*at, *word): amount for word, amount in _unlike(declared, changed).items()})
    return WhatIf(
        line=line,
        model=f"{line}@{version.version}",
        positive=package.classes[-1],
        other=package.classes[0],
        currency=value.currency,
        amounts=value,
        in_force=package.value,
        declared=None if declared is None else Value(**declared.model_dump(exclude={"against"})),
        n=len(test.target),
        threshold_because=threshold_in_words(chosen.reason),
        now=now,
        then=then,
        otherwise=int(((test.probability >= before) != (test.probability >= chosen.at)).sum()),
        gain=figure(gain),
        gain_low=figure(gain - half),
        gain_high=figure(gain + half),
        none=test.decisions(math.inf).total,
        every=test.decisions(0.0).total,
        curve=tuple(_curve(test, (before, chosen.at))),
        text=text,
        diff=difference(held, text, line),
    )


def _value(declared: ValueSpec | None, asked: Mapping[str, str | None], currency: str | None) -> Value:
    amounts = {word: getattr(declared, word) if declared else 0.0 for word in WORDS}
    for word, text in asked.items():
        if text is not None and text.strip():
            amounts[word] = _amount(text.strip())
    given = currency or (declared.currency if declared else "EUR")
    if len(given) != 3 or not (given.isascii() and given.isalpha() and given.isupper()):
        raise RequestError("not a currency", where="--currency", found=given[:20], allowed="an ISO 4217 code")
    return Value(currency=given, **amounts)


def _amount(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        raise RequestError("not an amount", found=text, allowed="a number, or the name of a column")
    return number


def _unlike(
    declared: ValueSpec | None, changed: Mapping[tuple[str, ...], float | str]
) -> dict[tuple[str, ...], float | str]:
    """Return the amounts that the file does not have yet: the others stay as they are written."""
    return {
        path: value
        for path, value in changed.items()
        if declared is None or getattr(declared, path[-1]) != value
    }


def _rows(
    factory: Factory, digest: str, package: Package, trained: Trained, value: Value
) -> tuple[_Rows, tuple[_Rows, np.ndarray]]:
    """Return the test rows, and the training rows by which a threshold is chosen, with their weights."""
    dataset = factory.metadata.get(trained.dataset, Dataset)
    split = factory.metadata.get(trained.split, Split)
    there = {column.name: column.type for column in dataset.columns}
    for name in columns_of(value):
        if there.get(name) not in {"integer", "number"}:
            numbers = [each for each, kind in there.items() if kind in {"integer", "number"}]
            raise RequestError(
                "an amount is a number or a column of numbers",
                where="value",
                found=name[:80],
                allowed=", ".join(numbers[:20]) or "a number",
            )
    wanted = dict.fromkeys([*package.encoder.columns, *columns_of(value), package.label])
    frame = read_dataset(
        dataset, factory.artifacts, factory.metadata, [name for name in wanted if name in there]
    )
    parts = np.frombuffer(factory.artifacts.get(split.parts), dtype=np.uint8)
    places = np.flatnonzero(parts == TEST)
    model = load(digest, factory.artifacts.get)
    tested = frame[places]
    scores = model.scores(encode_table(package.encoder, tested, readers=model.readers))
    scored = _scored(factory, trained)
    learned = frame[scored.rows]
    return (
        _of(tested, scores[:, 1], package, trained, value),
        (_of(learned, scored.probability, package, trained, value), scored.weight),
    )


def _scored(factory: Factory, trained: Trained) -> Scored:
    if trained.scored is None:
        raise RequestError(
            "the model keeps no training rows by which a threshold is chosen", hint="run the line again"
        )
    return from_bytes(factory.artifacts.get(trained.scored))


def _of(
    frame: pl.DataFrame, probability: np.ndarray, package: Package, trained: Trained, value: Value
) -> _Rows:
    def read(name: str) -> np.ndarray:
        found = frame[name].cast(pl.Float64)
        if bad := found.null_count() + int((found < 0).sum()):
            raise RequestError(
                f"{bad:,} rows have no amount of at least 0 in this column", where="value", found=name[:80]
            )
        return found.to_numpy()

    target = rules_of(package.task).target(label_text(frame, package.label), trained.classes)
    return _Rows(
        probability=np.asarray(probability, dtype=np.float64),
        target=np.asarray(target).astype(np.int64),
        amounts=amounts_of(value, frame.height, read),
    )


def _chosen(
    factory: Factory, line: str, training: tuple[_Rows, np.ndarray], package: Package, trained: Trained
) -> Threshold:
    rows, weight = training
    if rules_of(package.task).learns_good:
        anomaly = factory.line(line).anomaly or AnomalySpec()
        return choose_alarm_threshold(
            rows.probability, rows.target, weight, rows.amounts, alarms=anomaly.alarms
        )
    return choose_threshold(
        rows.probability,
        rows.target,
        weight,
        rows.amounts,
        of="out-of-fold" if trained.adopted is None else "training",
    )


def _curve(rows: _Rows, chosen: Sequence[float]) -> list[AtThreshold]:
    """Return what the rows are worth at thresholds from 0 to beyond those that are chosen: what is far above them matters little."""
    top = min(float(rows.probability.max(initial=0.0)), max(_BEYOND * max(chosen), _LEAST_TOP))
    levels = np.unique(np.linspace(0, top, CURVE))
    return [
        AtThreshold(threshold=figure(float(at), 6), total=figure(rows.decisions(float(at)).total))
        for at in levels
    ]
