"""Rows of a file that name a series alone, with its newest values behind them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl

from linewright.errors import RequestError
from linewright.features.facts import Window
from linewright.line.factory import Factory
from linewright.line.predict.input_file import Handed, HandedPart
from linewright.model.facts import Package
from linewright.release.promotion import series_blob
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.lookup.known_series import KnownSeries, Newest
from linewright.serve.rows.lookup.series_sums import SumRow, answer_of
from linewright.serve.rows.scorer import Scorer
from linewright.text.lists import to_numbers_text

_AT_ONCE = 4_096
"""Rows that get their values at one time: a row of the file is short, and what it gets is long."""


def series_known(factory: Factory, line: str) -> KnownSeries:
    """Return the newest values of the series of a line, as its endpoints know them."""
    return KnownSeries(series_blob(factory.metadata, line), factory.artifacts.get)


@dataclass(frozen=True)
class HandedSeries(Handed):
    """The rows of a file; those without recent values have what is known of their series."""

    series: KnownSeries | None = None
    package: Package | None = None
    now: str = ""
    newest: dict[int, Newest] = field(default_factory=dict[int, Newest])
    """What is said of the values that rows of the part that was given last got, by their number in the file."""

    sums: dict[int, SumRow] = field(default_factory=dict[int, SumRow])
    """Rows of that part that ask for a sum of series."""

    @property
    def _window(self) -> Window:
        assert self.package is not None and self.package.encoder.window is not None  # noqa: S101, PT018
        return self.package.encoder.window

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order; those that get values behind those of the file."""
        given = self.source.columns
        return (*given, *(name for name in (self._window.time, self._window.recent) if name not in given))

    @property
    def are_all_filled(self) -> bool:
        """Whether the file has no recent values at all."""
        return self._window.recent not in self.source.columns

    @property
    def has_sums(self) -> bool:
        """Whether the model answers sums."""
        return bool(self._window.levels)

    def parts(self) -> Iterator[HandedPart]:
        """Give the rows, some at a time, as `Handed.parts` does."""
        start = 0
        for part in super().parts():
            ragged = part.ragged
            for begin in range(0, max(part.frame.height, 1), _AT_ONCE):
                frame = part.frame[begin : begin + _AT_ONCE]
                self.newest.clear()
                self.sums.clear()
                faults: dict[int, RequestError] = {}
                filled = self._filled(frame, faults, start + begin)
                yield HandedPart(filled, ragged, faults)
                ragged = ()
            start += part.frame.height

    def _filled(self, frame: pl.DataFrame, faults: dict[int, RequestError], start: int) -> pl.DataFrame:
        window = self._window
        rows = [dict(row) for row in frame.iter_rows(named=True)]
        self._fill(rows, range(len(rows)), faults, start)
        made = (
            pl.Series(window.time, [_text(row.get(window.time)) for row in rows], dtype=pl.String),
            pl.Series(window.recent, [_text(row.get(window.recent)) for row in rows], dtype=pl.String),
        )
        return frame.with_columns(made)

    def _fill(
        self, rows: list[dict[str, Any]], some: Sequence[int], faults: dict[int, RequestError], start: int
    ) -> None:
        """Fill rows; where that fails halves are tried, until one row is left."""
        assert self.series is not None and self.package is not None  # noqa: S101, PT018
        if not some:
            return
        asked = [rows[row] for row in some]
        try:
            filled = self.series.fill(
                asked, self.package, now=self.now, place=lambda row, column: column or in_rows(row, column)
            )
        except RequestError as error:
            if len(some) == 1:
                faults[some[0]] = error
                return
            middle = len(some) // 2
            self._fill(rows, some[:middle], faults, start)
            self._fill(rows, some[middle:], faults, start)
            return
        for place, row in enumerate(some):
            made = filled.rows[place]
            rows[row] = dict(cast("Mapping[str, Any]", made))
            if isinstance(made, SumRow):
                self.sums[start + row] = made
            if place in filled.newest:
                self.newest[start + row] = filled.newest[place]


def with_sums(
    known: HandedSeries, scorer: Scorer, rows: Sequence[int], answers: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return answers to rows of the part that was given last; those that ask for a sum get that of their series."""
    return [
        answer_of(scorer, known.sums[row], in_rows, row) if row in known.sums else one
        for row, one in zip(rows, answers, strict=True)
    ]


def to_columns_of_answers(
    known: HandedSeries, rows: Sequence[int], answers: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return answers with the same fields each, for a file: how old values are if it brings none, how many series if it may ask for sums."""
    found = [{name: value for name, value in one.items() if name not in _LOGGED_ALONE} for one in answers]
    if known.has_sums:
        found = [{**own, "series": one.get("series", 1)} for own, one in zip(found, answers, strict=True)]
    if known.are_all_filled:
        ages = [known.newest[row] for row in rows]
        found = [{**own, "newest": age.newest, "age": age.age} for own, age in zip(found, ages, strict=True)]
    return found


_LOGGED_ALONE = frozenset({"series", "values"})


def with_known(handed: Handed, package: Package, series: KnownSeries, *, now: str) -> HandedSeries:
    """Return the rows of a file, those without recent values with what is known of their series."""
    return HandedSeries(handed.file, handed.source, handed.note, series, package, now)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return to_numbers_text(value) if isinstance(value, list) else str(value)
