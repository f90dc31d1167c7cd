"""What logged answers were worth: each by the matrix of the package that gave it, and what it is held against."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.predict.sql_columns import rows_with_made
from linewright.model.facts import Package, Value
from linewright.model.package.model import load
from linewright.model.tasks import task
from linewright.model.value_amounts import columns_of
from linewright.people.account import DayTally, price
from linewright.people.facts import Against
from linewright.release.facts import Promoted, RolledBack
from linewright.serve.facts import Prediction, Truth
from linewright.serve.log.segments import Logged
from linewright.serve.rows.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class _Mature:
    """An answer whose label counts."""

    record: Prediction
    package: Package
    value: Value
    tally: DayTally
    is_positive: bool


class Pricing:
    """Prices logged answers, some at a time."""

    def __init__(self, factory: Factory, line: str, rule: Against, *, ripe: str | None) -> None:
        self._factory, self._rule, self._ripe = factory, rule, ripe
        self._packages: dict[str, Package] = {}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._champions = _Champions(factory, line) if rule == "champion-before" else None
        self._scorers: dict[str, Scorer] = {}

    def add(
        self, some: Iterable[tuple[Logged, Truth | None]], tally_of: Callable[[str], DayTally | None]
    ) -> None:
        """Add some answers to the tallies of their days, in the order of the log."""
        mature: list[_Mature] = []
        for logged, truth in some:
            # A shadow's answers went nowhere, and what is replayed is of another day.
            if logged.record.arm == "shadow" or logged.record.via == "replay":
                continue
            tally = tally_of(logged.record.at[:10])
            if tally is not None:
                tally.see(logged.segment, logged.offset, logged.end)
                found = self._look(logged.record, truth, tally)
                mature += [] if found is None else [found]
        rows, decided = self._rows(mature), self._decided_before(mature)
        for one, row, before in zip(mature, rows, decided, strict=True):
            priced = price(
                one.value,
                row.get,
                alarm=one.record.answer["prediction"] == one.package.classes[-1],
                against=self._rule == "always" if before is None else before,
                positive=one.is_positive,
            )
            if priced is None:
                one.tally.count(one.value.currency, "unpriced")
            else:
                is_without = self._rule == "champion-before" and before is None
                one.tally.add(one.value.currency, priced, without_before=is_without)

    def _look(self, record: Prediction, truth: Truth | None, tally: DayTally) -> _Mature | None:
        """Count an answer that is not mature, and return one that is."""
        package = self._package(record.digest)
        value = package.value
        if value is None or not task(package.task).has_positive:
            tally.undeclared += 1
        elif self._ripe is not None and record.at > self._ripe:
            tally.count(value.currency, "young")
        elif truth is None or truth.label not in package.classes:
            tally.count(value.currency, "unlabelled")
        else:
            is_positive = truth.label == package.classes[-1]
            return _Mature(record=record, package=package, value=value, tally=tally, is_positive=is_positive)
        return None

    def _package(self, digest: str) -> Package:
        found = self._packages.get(digest)
        if found is None:
            found = self._packages[digest] = self._factory.metadata.get(digest, Package)
        return found

    def _rows(self, mature: Sequence[_Mature]) -> list[dict[str, Any]]:
        """Return the rows as they were sent; with the columns that `table.sql` makes of them where the matrix names one that was not sent."""
        rows = [one.record.row for one in mature]
        made = [i for i, one in enumerate(mature) if self._is_made(one)]
        if made:
            try:
                found = rows_with_made(self._factory, [mature[i].record for i in made])
            except RequestError:
                return rows  # what cannot be made now is an amount that is not there
            for i, row in zip(made, found, strict=True):
                rows[i] = row
        return rows

    def _is_made(self, one: _Mature) -> bool:
        if not one.package.row_sql:
            return False
        columns = self._columns.setdefault(one.record.digest, tuple(columns_of(one.value)))
        return any(name not in one.record.row for name in columns)

    def _decided_before(self, mature: Sequence[_Mature]) -> list[bool | None]:
        """Return what the champions before would have decided; `None` where that is not asked, or there is none that can decide."""
        decided: list[bool | None] = [None] * len(mature)
        if self._champions is None:
            return decided
        by_model: dict[str, list[int]] = {}
        for i, one in enumerate(mature):
            before = self._champions.before(one.record)
            if before is not None and self._package(before).classes == one.package.classes:
                by_model.setdefault(before, []).append(i)
        for digest, places in by_model.items():
            before = self._package(digest)
            scored: list[int] = []
            for i in places:
                if _is_same_model(before, mature[i].package):
                    decided[i] = float(
                        task(before.task).said([mature[i].record.answer], before.classes)[0, 1]
                    ) >= _threshold(before)
                else:
                    scored.append(i)
            if scored:
                found = self._score(digest, [mature[i].record.row for i in scored])
                for i, said in zip(scored, found, strict=True):
                    decided[i] = said
        return decided

    def _score(self, digest: str, rows: Sequence[dict[str, Any]]) -> list[bool | None]:
        """Return what a model decides on rows; where it cannot read some, halves are tried, until one row is left."""
        scorer = self._scorers.get(digest)
        if scorer is None:
            model = load(digest, self._factory.artifacts.get)
            scorer = self._scorers[digest] = Scorer(model, answered=True)
        try:
            scores = scorer.model.scores(scorer.matrix(list(rows)))
        except RequestError:
            if len(rows) == 1:
                return [None]
            middle = len(rows) // 2
            return [*self._score(digest, rows[:middle]), *self._score(digest, rows[middle:])]
        package = scorer.model.package
        return (np.asarray(task(package.task).decide(scores, package.threshold)) == 1).tolist()


class _Champions:
    """Which champion was before the model that gave an answer, by the generation that the answer names."""

    def __init__(self, factory: Factory, line: str) -> None:
        metadata = factory.metadata
        moves = [*metadata.events(Promoted, line=line), *metadata.events(RolledBack, line=line)]
        self._digests = {one.version: one.digest for one in metadata.versions(line)}
        self._generations: list[int] = []
        self._chains: list[tuple[int, ...]] = [()]
        """The chain of champions before the first move, and after each."""
        for move in sorted(moves, key=lambda one: one.generation):
            chain = self._chains[-1]
            self._chains.append((*chain, move.model) if isinstance(move, Promoted) else chain[:-1])
            self._generations.append(move.generation)

    def before(self, record: Prediction) -> str | None:
        """Return the digest of the package; of a model that was no champion (a canary), that of the champion of that time."""
        chain = self._chains[bisect_right(self._generations, record.generation)]
        place = len(chain) - 1 - chain[::-1].index(record.model) if record.model in chain else len(chain)
        return self._digests.get(chain[place - 1]) if place else None


def _is_same_model(one: Package, other: Package) -> bool:
    """Return whether two packages answer the same probabilities: they part only where the positive class begins."""
    return (one.graph, one.calibration, one.encoder) == (other.graph, other.calibration, other.encoder)


def _threshold(package: Package) -> float:
    return 0.5 if package.threshold is None else package.threshold
