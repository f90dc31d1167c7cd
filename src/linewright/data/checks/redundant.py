"""Columns that add nothing to others, or that are the time once more."""

from collections.abc import Iterator, Mapping

import polars as pl

from linewright.data.checks.columns import Columns, against
from linewright.data.facts import Finding, Scalar, Severity
from linewright.data.profile.column import Seen
from linewright.data.profile.repeated import ROWS, SAME_ORDER
from linewright.data.spec import NUMBERS

_MANY_TIMES = 20


class Equal:
    """A column that equals an earlier one in every row."""

    id = "twin"
    severity: Severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str]) -> Iterator[Finding]:
        """Give the columns that add nothing; those that are only alike as a note. What is as the label is a leak."""
        for name, twin in columns.twins.items():
            if name in closed or name not in columns.features or twin.of == columns.about.column:
                continue
            is_equal = twin.form == "equal"
            evidence: dict[str, Scalar | tuple[Scalar, ...]] = {"form": twin.form, "of": twin.of}
            evidence |= {"values": columns.seen[name].distinct, "likeness": twin.likeness}
            yield against(self, name, evidence, self.severity if is_equal else "note")


class TimeAsNumber:
    """A number that ranks the rows as the time does: what is learned of it holds for no row to come."""

    id = "time-as-number"
    severity: Severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str]) -> Iterator[Finding]:
        """Give the numbers that are the time once more."""
        for name, one in columns.features.items():
            if columns.time is not None and name not in closed and (alike := _moves_with(one, columns.time)):
                evidence: dict[str, Scalar | tuple[Scalar, ...]] = {
                    "time": columns.time.name,
                    "likeness": alike,
                }
                yield against(self, name, evidence)


def _moves_with(column: Seen, time: Seen) -> float:
    """Return the correlation of a number's ranks with those of the time; 0 where it is not next to 1 or -1."""
    if column.type not in NUMBERS or column.distinct < _MANY_TIMES or column.missing:
        return 0.0
    step = max(1, len(column.values) // ROWS)
    number, instant = (one.values.gather_every(step).to_physical().cast(pl.Float64) for one in (column, time))
    ranks = pl.DataFrame({"number": number, "instant": instant}).filter(instant.is_not_null())
    alike = ranks.select(pl.corr("number", "instant", method="spearman")).item() if len(ranks) > 1 else 0.0
    return alike if alike is not None and abs(alike) >= SAME_ORDER else 0.0
