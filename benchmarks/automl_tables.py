"""The tables of `automl.py`, and how each is read, sampled and split into training and test rows.

    python benchmarks/automl_tables.py FOLDER [--seed N]

prints one line a table: rows, columns, how it is split and why. All values go to all contestants as one CSV file of stripped
texts in which an empty cell means "no value"; names are of letters, digits and underscores, since some libraries take no others.
"""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

MOST_ROWS = 12_000
"""Larger tables are sampled: rows at random, whole groups at random, or a window of time that the seed places."""
WINDOW = 0.8
"""Most that a window takes of a table in time, so that seeds differ."""
TRAIN = 0.7
BLOCK = 24
"""Consecutive test rows of a table in time that are drawn together when a difference gets its interval."""
MOMENT = "moment"
"""Column that says when a row of a table in time happened. No contestant reads it as a feature."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A supervised table and how its rows are split."""

    name: str
    file: str
    label: str
    task: Literal["binary", "multiclass", "regression"]
    why: str
    """Why it is split so."""
    positive: str = ""
    group: str = ""
    """Column whose rows stay together; no feature."""
    moment: pl.Expr | None = None
    """When a row happened: the table is split in time."""
    drop: tuple[str, ...] = ()
    """Columns that its description says not to train on, and those that `moment` or `make` replaces."""
    missing: tuple[str, ...] = ()
    """Texts that mean "no value", beside the empty one."""
    text: tuple[str, ...] = ()
    """Columns of free text, for contestants that have to be told."""
    make: Callable[[pl.DataFrame, Path], pl.DataFrame] | None = None
    """What makes the table of the file and its folder."""

    @property
    def by(self) -> Literal["time", "group", "rows"]:
        """How it is split."""
        return "time" if self.moment is not None else "group" if self.group else "rows"


def _in_hours(start: str, minutes: int) -> pl.Expr:
    """Return moments of rows that come in order, one each so many minutes."""
    return pl.lit(start).str.to_datetime() + pl.duration(minutes=minutes * pl.int_range(pl.len()))


def _remaining(frame: pl.DataFrame, _: Path) -> pl.DataFrame:
    cycle = pl.col("cycle").cast(pl.Int64)
    return frame.with_columns(RUL=(cycle.max().over("unit") - cycle).cast(pl.String))


def _with_films(frame: pl.DataFrame, folder: Path) -> pl.DataFrame:
    return frame.join(read_text(folder / "movielens_small_items.csv"), on="item_id", maintain_order="left")


_HOUR = pl.col("Time").str.split(":").list.first().cast(pl.Int64).cast(pl.String)
_COMPAS_LEAKS = (
    *("id", "is_recid", "r_charge_degree", "r_days_from_arrest", "r_offense_date", "r_charge_desc"),
    *("r_jail_in", "r_jail_out", "violent_recid", "is_violent_recid", "vr_charge_degree", "vr_offense_date"),
    *("vr_charge_desc", "in_custody", "out_custody", "start", "end", "event"),
)
_AIR_MOMENT = (pl.col("Date") + "T" + pl.col("Time")).str.to_datetime("%Y-%m-%dT%H:%M:%S")


def _with_hour(frame: pl.DataFrame, _: Path) -> pl.DataFrame:
    return frame.with_columns(hour=_HOUR)


TABLES = (
    Table(
        name="insurance_fraud",
        file="insurance_fraud.csv",
        label="FraudFound",
        task="binary",
        positive="Yes",
        moment=(pl.col("Year") + pl.col("Month") + "01").str.to_datetime("%Y%b%d")
        + pl.duration(days=7 * (pl.col("WeekOfMonth").cast(pl.Int64) - 1)),
        drop=("PolicyNumber",),
        why="claims of 1994 to 1996; the share of fraud falls by year",
    ),
    Table(
        name="credit_default",
        file="credit_default_taiwan.csv",
        label="default payment",
        task="binary",
        positive="1",
        why="one month, customers are independent",
    ),
    Table(
        name="german_credit",
        file="german_credit.csv",
        label="class-label",
        task="binary",
        positive="0",
        why="no time, customers are independent",
    ),
    Table(
        name="creditcard_fraud",
        file="creditcard_fraud_subset.csv",
        label="Class",
        task="binary",
        positive="1",
        why="two days, genuine payments are a sample",
    ),
    Table(
        name="adult_income",
        file="adult_income.csv",
        label="income",
        task="binary",
        positive=">50K",
        drop=("fnlwgt",),
        missing=("?",),
        why="one census",
    ),
    Table(
        name="compas",
        file="compas_two_years.csv",
        label="two_year_recid",
        task="binary",
        positive="1",
        drop=_COMPAS_LEAKS,
        why="people are independent; the label looks ahead as far as the table is long",
    ),
    Table(
        name="telco_churn",
        file="telco_churn.csv",
        label="Churn",
        task="binary",
        positive="Yes",
        drop=("customerID",),
        why="one month, customers are independent",
    ),
    Table(
        name="ai4i",
        file="ai4i_2020.csv",
        label="Machine.failure",
        task="binary",
        positive="1",
        drop=("UDI", "Product_ID", "TWF", "HDF", "PWF", "OSF", "RNF"),
        why="made by its authors row by row",
    ),
    Table(
        name="electricity",
        file="electricity_elec2.csv",
        label="class",
        task="binary",
        positive="1",
        moment=_in_hours("1996-05-07T00:00:00", 30),
        why="a stream in half hours that drifts",
    ),
    Table(
        name="sms_spam",
        file="sms_spam.csv",
        label="label",
        task="binary",
        positive="spam",
        text=("message",),
        why="no time; copies are dropped",
    ),
    Table(
        name="bearing",
        file="bearing_cwru_features.csv",
        label="fault",
        task="multiclass",
        why="which windows are neighbours is not said",
    ),
    Table(
        name="wine_quality",
        file="wine_quality.csv",
        label="quality",
        task="multiclass",
        why="no time; copies are dropped",
    ),
    Table(
        name="cmapss",
        file="cmapss_fd001_train.csv.gz",
        label="RUL",
        task="regression",
        group="unit",
        make=_remaining,
        why="rows of an engine tell of each other",
    ),
    Table(
        name="movielens",
        file="movielens_small_ratings.csv.gz",
        label="rating",
        task="regression",
        group="user_id",
        drop=("item_id",),
        make=_with_films,
        why="people who have not rated yet",
    ),
    Table(
        name="bike_sharing",
        file="bike_sharing_hour.csv",
        label="cnt",
        task="regression",
        moment=pl.col("dteday").str.to_datetime("%m/%d/%Y") + pl.duration(hours=pl.col("hr").cast(pl.Int64)),
        drop=("instant", "dteday"),
        why="demand grows from 2011 to 2012",
    ),
    Table(
        name="air_quality_co",
        file="air_quality_uci.csv",
        label="CO(GT)",
        task="regression",
        moment=_AIR_MOMENT,
        drop=("Date", "Time"),
        missing=("-200", "-200.0"),
        make=_with_hour,
        why="sensors drift over a year",
    ),
    Table(
        name="house_prices",
        file="house_prices_ames.csv",
        label="SalePrice",
        task="regression",
        drop=("Id",),
        missing=("NA",),
        why="five years without much of a trend",
    ),
)
"""The seventeen that count."""
FURTHER = (
    Table(
        name="air_quality_c6h6",
        file="air_quality_uci.csv",
        label="C6H6(GT)",
        task="regression",
        moment=_AIR_MOMENT,
        drop=("Date", "Time"),
        missing=("-200", "-200.0"),
        make=_with_hour,
        why="as before; a function of one other column",
    ),
)
"""Run where they are named, and not counted otherwise."""
OWN = tuple(
    Table(name=name, file="", label="target", task=task, positive=positive, why="ships with scikit-learn")
    for name, task, positive in (
        ("breast_cancer", "binary", "1"),
        ("wine", "multiclass", ""),
        ("diabetes", "regression", ""),
    )
)
"""Tables that need no folder."""
_LOADERS = {"breast_cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes}
SMALL = ("german_credit", "wine_quality", "house_prices")


@dataclass(frozen=True, kw_only=True)
class Parted:
    """Rows as every contestant gets them."""

    frame: pl.DataFrame
    """Training and test rows; all columns are text, but for `MOMENT`."""
    label: str
    group: str
    text: tuple[str, ...]
    train: Ints
    test: Ints
    clusters: Ints
    """Which test rows are drawn together, shape (len(test),)."""
    classes: tuple[str, ...]
    """Sorted, the positive one last of two; none for a regression."""


def read_text(file: Path) -> pl.DataFrame:
    """Read a CSV file as stripped texts."""
    return pl.read_csv(file, infer_schema=False).with_columns(pl.all().str.strip_chars())


def parted(table: Table, folder: Path | None, seed: int) -> Parted:
    """Read a table, sample it and part it.

    Parameters
    ----------
    folder
        Where `table.file` is; not looked at for those of `OWN`.
    seed
        Equal seeds give equal rows.
    """
    frame = _read(table, folder)
    chance = np.random.default_rng([seed, crc32(table.name.encode())])
    names = {name: name_of(name) for name in frame.columns}
    assert len(set(names.values())) == len(names)
    label = table.label
    if table.by == "time":
        frame, train, test = _in_time(frame, chance)
        clusters = (test - test[0]) // BLOCK
    elif table.by == "group":
        frame, train, test = _by_group(frame, table.group, chance)
        clusters = np.unique(frame[test][table.group].to_numpy(), return_inverse=True)[1]
    else:
        frame, train, test = _by_rows(frame, label if table.task != "regression" else "", chance)
        clusters = np.arange(len(test))
    classes = sorted(frame[label].unique()) if table.task != "regression" else []
    if table.positive:
        classes.sort(key=lambda one: one == table.positive)
    return Parted(
        frame=frame.rename(names),
        label=names[label],
        group=names.get(table.group, ""),
        text=tuple(names[name] for name in table.text),
        train=train,
        test=test,
        clusters=clusters.astype(np.int64),
        classes=tuple(classes),
    )


def name_of(column: str) -> str:
    """Return a name that every library takes.

    Examples
    --------
    >>> name_of("Days:Policy-Accident"), name_of("1stFlrSF")
    ('Days_Policy_Accident', 'c_1stFlrSF')
    """
    name = re.sub(r"\W+", "_", column.strip(), flags=re.ASCII).strip("_")
    return f"c_{name}" if name[:1].isdigit() else name


def _read(table: Table, folder: Path | None) -> pl.DataFrame:
    if not table.file:
        data = _LOADERS[table.name]()
        columns = {name_of(str(name)): data.data[:, i] for i, name in enumerate(data.feature_names)}
        return pl.DataFrame({**columns, "target": data.target}).with_columns(pl.all().cast(pl.String))
    assert folder is not None
    frame = read_text(folder / table.file)
    if table.make is not None:
        frame = table.make(frame, folder)
    if table.moment is not None:
        frame = frame.with_columns(table.moment.alias(MOMENT)).sort(MOMENT, maintain_order=True)
    texts = pl.col(pl.String)
    frame = frame.drop(table.drop).with_columns(
        pl.when(texts.is_in(["", *table.missing])).then(None).otherwise(texts).name.keep()
    )
    frame = frame.filter(pl.col(table.label).is_not_null())
    return frame.unique(maintain_order=True) if table.by == "rows" else frame


def _by_rows(frame: pl.DataFrame, label: str, chance: np.random.Generator) -> tuple[pl.DataFrame, Ints, Ints]:
    rows = np.sort(chance.permutation(frame.height)[:MOST_ROWS])
    frame = frame[rows]
    kinds = frame[label].to_numpy() if label else np.zeros(frame.height)
    is_train = np.zeros(frame.height, dtype=bool)
    for kind in np.unique(kinds):
        places = chance.permutation(np.flatnonzero(kinds == kind))
        is_train[places[: max(1, round(TRAIN * len(places)))]] = True
    return frame, np.flatnonzero(is_train), np.flatnonzero(~is_train)


def _by_group(
    frame: pl.DataFrame, group: str, chance: np.random.Generator
) -> tuple[pl.DataFrame, Ints, Ints]:
    names = chance.permutation(frame[group].unique().sort().to_numpy())
    sizes = dict(frame.group_by(group).len().iter_rows())
    before = np.cumsum([0, *(sizes[name] for name in names)])[:-1]
    taken = names[before < MOST_ROWS - max(sizes.values()) if frame.height > MOST_ROWS else before >= 0]
    frame = frame.filter(pl.col(group).is_in(taken.tolist()))
    learned = taken[before[: len(taken)] < TRAIN * frame.height]
    is_train = frame[group].is_in(learned.tolist()).to_numpy()
    return frame, np.flatnonzero(is_train), np.flatnonzero(~is_train)


def _in_time(frame: pl.DataFrame, chance: np.random.Generator) -> tuple[pl.DataFrame, Ints, Ints]:
    length = min(MOST_ROWS, int(WINDOW * frame.height))
    frame = frame.slice(int(chance.integers(frame.height - length + 1)), length)
    at = frame[MOMENT].to_numpy()
    # Rows of one moment stay on one side.
    cut = int(np.searchsorted(at, at[int(TRAIN * length)]))
    return frame, np.arange(cut), np.arange(cut, length)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| table | task | training rows | test rows | columns | split by | why |")
    print("|---|---|---:|---:|---:|---|---|")
    for table in (*TABLES, *FURTHER):
        made = parted(table, asked.folder, asked.seed)
        columns = made.frame.width - 1 - (table.by != "rows")
        kinds = f"{table.task} of {len(made.classes)}" if table.task == "multiclass" else table.task
        print(
            f"| {table.name} | {kinds} | {len(made.train):,} | {len(made.test):,} | {columns} "
            f"| {table.by} | {table.why} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
