"""What the checks of rows see: the table of a line, and what its file says about it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import polars as pl

from linewright.data.checks.check import Check
from linewright.data.column_roles import feature_columns, roles
from linewright.data.facts import Column, Dataset, Edit, Finding
from linewright.data.profile.column import UNUSABLE, Seen
from linewright.data.read.locate import Where, nowhere
from linewright.data.spec import DataSpec, SplitSpec
from linewright.text.quoting import in_sql


class RowCheck(Check, ABC):
    """A check of the rows of a table, as a line file stands."""

    @abstractmethod
    def run(self, rows: "Rows") -> Iterable[Finding]:
        """Give what it finds."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a line's table."""

    seen: Mapping[str, Seen]
    """All columns by name."""
    data: DataSpec
    split: SplitSpec = field(default_factory=SplitSpec)
    folds: int = 5
    is_cross_fitted: bool = True
    """Whether the training rows are dealt to folds; not of a model that is imported."""
    is_class: bool = True
    """Whether the label is a class."""
    where: Where = nowhere

    @property
    def label(self) -> Seen:
        """The label."""
        return self.seen[self.data.label.column]

    @property
    def height(self) -> int:
        """How many rows there are."""
        return len(self.label.values)

    @property
    def taken(self) -> list[str]:
        """The columns with a role."""
        return [name for name in roles(self.data).values() if name]

    @cached_property
    def features(self) -> list[str]:
        """The columns that a model may use."""
        columns = tuple(
            Column(name=one.name, type=one.type) for one in self.seen.values() if one.type != UNUSABLE
        )
        dataset = Dataset(columns=columns, rows=0, order=(), chunks=())
        return [column.name for column in feature_columns(self.data, dataset)]

    @property
    def by(self) -> Literal["random", "group", "time"]:
        """How the rows are split."""
        if self.split.by != "auto":
            return self.split.by
        return "time" if self.data.table.time else "group" if self.data.table.group else "random"

    @property
    def frame(self) -> pl.DataFrame:
        """All columns that a table can hold."""
        return pl.DataFrame([one.values for one in self.seen.values() if one.type != UNUSABLE])

    def query(self, *words: str, after: str = "") -> Edit:
        """Return the change that makes the table by a query over what it is made of now."""
        sql = self.data.table.sql
        source = f"({sql})" if sql else in_sql(next(iter(self.data.sources)))
        return Edit(path=("table", "sql"), value=" ".join([*words, "from", source, after]).strip())


def text_in_sql(value: object) -> str:
    """Write a value as SQL compares it with a text; no value is the empty one."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + text.replace("'", "''") + "'"
