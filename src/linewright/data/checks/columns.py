"""What the checks of columns see: the columns of a table, the label, and how well each column alone predicts it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.checks.check import Check
from linewright.data.facts import Finding, Scalar, TruthForm
from linewright.data.profile.association import Ints, Truth, cells, class_strengths, strength
from linewright.data.profile.column import UNUSABLE, Seen
from linewright.data.profile.label import FEWEST_ROWS, LabelProfile, without_rare
from linewright.data.profile.repeated import Twin, find_twins
from linewright.data.profile.roles import Roles, id_evidence, weight_evidence
from linewright.data.read.locate import Where, nowhere

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SAMPLE_ROWS = 50_000
LEAST_ROWS = 20
"""Rows below which a share says nothing."""


class ColumnCheck(Check, ABC):
    """A check of the columns of a table."""

    @abstractmethod
    def run(self, columns: "Columns", closed: Mapping[str, str], /) -> Iterable[Finding]:
        """Give what it finds.

        Parameters
        ----------
        columns
            The table.
        closed
            Columns about which an earlier check has said enough: left out, or suspected already.
        """


def sampled(label: pl.Series) -> Ints:
    """Return the rows that findings about leaks rest on: those with a label, at most 50,000 of them, in the order of the file."""
    labelled = label.count()
    some = np.arange(min(labelled, SAMPLE_ROWS))
    if labelled > SAMPLE_ROWS:
        some = np.sort(np.random.default_rng(0).choice(labelled, SAMPLE_ROWS, replace=False))
    return some if labelled == len(label) else np.flatnonzero(label.is_not_null().to_numpy())[some]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table. What is derived is computed once, when a check asks for it."""

    seen: Mapping[str, Seen]
    about: LabelProfile
    spelled: pl.Series
    """The label as spelled."""
    roles: Roles
    unseen: frozenset[str] = frozenset()
    """Columns that no model sees in any case; they are compared with none."""
    known: frozenset[str] = frozenset()
    """Columns of which a person says that they were known before the label."""
    of: int = 0
    """How many rows the table has, where these are a sample of them."""
    where: Where = nowhere

    @property
    def time(self) -> Seen | None:
        """When each row happened."""
        return self.seen.get(self.roles.time or "")

    @cached_property
    def features(self) -> dict[str, Seen]:
        """The columns without a part, but for those of a type that no table holds."""
        outside = {self.about.column, *self.roles.parts}
        return {n: one for n, one in self.seen.items() if n not in outside and one.type != UNUSABLE}

    @cached_property
    def _rows(self) -> tuple[LabelProfile, Ints]:
        # A few typing errors would make another label of one of two classes, and hide its leaks.
        rows, kept = sampled(self.spelled), without_rare(self.about, FEWEST_ROWS)
        if kept is self.about:
            return kept, rows
        names = [name for name, _ in kept.classes]
        return kept, rows[self.spelled.gather(rows).cast(pl.String).is_in(names).to_numpy()]

    @property
    def sample(self) -> Ints:
        """The rows that are looked at."""
        return self._rows[1]

    @cached_property
    def of_a_sample(self) -> dict[str, Scalar]:
        """Of how many rows the table has how many are looked at; nothing where they are all."""
        rows, looked_at = self.of or len(self.spelled), len(sampled(self.spelled))
        is_sample = looked_at == SAMPLE_ROWS or len(self.spelled) < rows
        return {"sample": looked_at, "of_rows": rows} if is_sample else {}

    @cached_property
    def label(self) -> pl.Series:
        """The label of the rows that are looked at, in its type."""
        return self.seen[self.about.column].values.gather(self.sample)

    @cached_property
    def truth(self) -> Truth:
        """The label of the rows that are looked at, as classes or ranks."""
        about, rows = self._rows
        if about.form == "number":
            ranks = self.label.cast(pl.Float64).rank("average").to_numpy()
            zeros = np.zeros(len(ranks), dtype=np.int64)
            return Truth(form="number", codes=zeros, ranks=(ranks - 0.5) / len(ranks), classes=())
        names = [name for name, _ in about.classes]
        if about.positive is not None:
            names = sorted(names, key=lambda name: name == about.positive)
        spelled = self.spelled.gather(rows).cast(pl.String).cast(pl.Enum(names))
        codes = spelled.to_physical().cast(pl.Int64).to_numpy()
        form: TruthForm = "two" if about.form == "two" else "classes"
        return Truth(form=form, codes=codes, ranks=np.zeros(len(codes)), classes=tuple(names))

    @cached_property
    def judged(self) -> dict[str, Seen]:
        """The columns that may give the label away: with values, and neither ids nor known before the label."""
        return {
            name: one
            for name, one in self.features.items()
            if one.distinct and name not in self.known and not id_evidence(one) and not weight_evidence(one)
        }

    @cached_property
    def values(self) -> dict[str, pl.Series]:
        """The values of the rows that are looked at, of `judged` columns but texts."""
        return {n: c.values.gather(self.sample) for n, c in self.judged.items() if c.type != "text"}

    @cached_property
    def cells(self) -> dict[str, Ints]:
        """The cells of `values`."""
        return {name: cells(column) for name, column in self.values.items()}

    @cached_property
    def strengths(self) -> dict[str, float]:
        """How well each of `values` alone predicts the label, see `association.strength`."""
        return {name: strength(cell, self.truth) for name, cell in self.cells.items()}

    @cached_property
    def by_class(self) -> dict[str, dict[int, float]]:
        """How well each of `values` tells each of several classes from all others; empty for any other label."""
        if self.truth.form != "classes":
            return {name: {} for name in self.cells}
        return {n: class_strengths(cell, self.truth, least=LEAST_ROWS) for n, cell in self.cells.items()}

    @cached_property
    def twins(self) -> dict[str, Twin]:
        """The columns that repeat an earlier one."""
        return find_twins(self.seen)

    @cached_property
    def moments(self) -> pl.Series | None:
        """When each row that is looked at happened."""
        return None if self.time is None else self.time.values.gather(self.sample)

    def open(self, closed: Mapping[str, str]) -> dict[str, pl.Series]:
        """Return `values` of the columns about which nothing is said yet."""
        return {name: column for name, column in self.values.items() if name not in closed}

    def asked(self, closed: Mapping[str, str]) -> dict[str, pl.Series]:
        """Return those of them that a model sees: no question is asked of the others, and they hide none."""
        return {n: column for n, column in self.open(closed).items() if n not in self.unseen}
