"""What a user gets from `new` and `run` on seventeen real tables, beside plain LightGBM on the same rows.

    python benchmarks/shared_data.py FOLDER [--only PART-OF-A-NAME]

FOLDER holds the files of `EXPECTATIONS`. Each becomes a line by `linewright new`, told no more than the file, the label and
what the table below says, and by `linewright run`, with the budget that `new` writes. What `new` should find is known for each
file and compared. The plain model is what a person writes in ten minutes who knows which columns to leave out: numbers where
95 % of the values are numbers, else categories, LightGBM as it comes. It is fitted on the training rows of the line and judged
on its test rows; the difference is of a paired bootstrap, of whole groups or blocks of time where rows are not independent.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from linewright.data.facts import Dataset, Split
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.python.factory import Factory
from linewright.line.file.read import read_line
from linewright.line.spec import LineSpec
from linewright.line.split_rows import Rows, label_text, read_rows
from linewright.model.facts import Package, Trained
from linewright.model.metrics.bootstrap import DRAWS, Spread, units_of
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.estimate import difference_of, measure_of, spreads
from linewright.model.metrics.time_blocks import blocks_in_time
from linewright.model.package.model import load
from linewright.model.tasks import task as rules_of

NUMERIC = 0.95
"""Share of a column's values that must be numbers for the plain model to take it as numbers."""
DONE = (0, 4)
"""Exit codes of a run that came to its end: promoted, or refused by its gates."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A file, what a user says of it, and what `new` should find."""

    file: str
    label: str
    tasks: tuple[str, ...]
    hints: tuple[str, ...] = ()
    """What a user says beside --data and --label."""
    named: tuple[str, ...] = ()
    """Columns that `new` must name as a leak or an id."""
    excluded: tuple[str, ...] = ()
    """Columns that no model may see for another reason (a weight, a group's name)."""
    text: str = ""
    """The one column of texts, where the label is to be told from it alone: then the plain model is a logistic regression on
    the tf-idf of its words and pairs of words."""
    line: str = ""
    """For a table that SQL makes, the line file, since `new` does not write SQL. FILE stands for the path of the file, and
    FOLDER for that of its folder."""

    @property
    def name(self) -> str:
        """The name of its line."""
        return self.file.split(".")[0].replace("_", "-")


ENGINES = """\
line: cmapss-fd001-train
sources: {engines: {file: "FILE"}}
table:
  sql: "select *, max(cycle) over (partition by unit) - cycle as RUL from engines"
  group: unit
label: {column: RUL}
train: {task: regression}
"""
REPURCHASE = """\
line: online-retail-dec2010-feb2011
sources: {retail: {file: "FILE"}}
table:
  sql: |
    with bought as (
      select CustomerID::varchar as customer, InvoiceNo::varchar as invoice, StockCode::varchar as item,
        Quantity::double as quantity, UnitPrice::double as price, InvoiceDate::timestamp as moment, Country as country
      from retail where CustomerID is not null),
    again as (select distinct customer from bought where moment >= timestamp '2011-02-01' and quantity > 0)
    select customer, min(country) as country, count(distinct invoice) filter (where quantity > 0) as orders,
      count(distinct item) as items, sum(quantity * price) as spent, avg(price) as mean_price,
      count(*) filter (where quantity < 0) as returned,
      date_diff('day', max(moment), timestamp '2011-02-01') as days_since_last,
      date_diff('day', min(moment), timestamp '2011-02-01') as days_since_first,
      case when customer in (select customer from again) then 'yes' else 'no' end as bought_again
    from bought where moment < timestamp '2011-02-01' group by customer
  key: customer
label: {column: bought_again, positive: "yes"}
train: {task: binary}
"""
BINARY, REGRESSION, MULTICLASS = ("binary",), ("regression",), ("multiclass",)
EXPECTATIONS = (
    Expected(file="insurance_fraud.csv", label="FraudFound", tasks=BINARY, named=("PolicyNumber",)),
    Expected(file="credit_default_taiwan.csv", label="default payment", tasks=BINARY),
    Expected(file="german_credit.csv", label="class-label", tasks=BINARY, hints=("--positive", "0")),
    Expected(file="creditcard_fraud_subset.csv", label="Class", tasks=BINARY),
    Expected(file="adult_income.csv", label="income", tasks=BINARY, excluded=("fnlwgt",)),
    Expected(
        file="compas_two_years.csv",
        label="two_year_recid",
        tasks=BINARY,
        named=(
            *("id", "is_recid", "r_charge_degree", "r_days_from_arrest", "r_offense_date", "r_charge_desc"),
            *("r_jail_in", "r_jail_out", "is_violent_recid", "vr_charge_degree", "vr_offense_date"),
            *("vr_charge_desc", "in_custody", "out_custody", "start", "end", "event"),
        ),
        excluded=("violent_recid",),
    ),
    Expected(file="telco_churn.csv", label="Churn", tasks=BINARY, named=("customerID",)),
    Expected(
        file="ai4i_2020.csv",
        label="Machine.failure",
        tasks=BINARY,
        named=("UDI", "Product_ID", "TWF", "HDF", "PWF", "OSF"),
    ),
    Expected(
        file="cmapss_fd001_train.csv.gz", label="RUL", tasks=REGRESSION, excluded=("unit",), line=ENGINES
    ),
    Expected(file="bearing_cwru_features.csv", label="fault", tasks=MULTICLASS),
    Expected(file="electricity_elec2.csv", label="class", tasks=BINARY),
    Expected(file="bike_sharing_hour.csv", label="cnt", tasks=REGRESSION, named=("instant",)),
    Expected(file="air_quality_uci.csv", label="C6H6(GT)", tasks=REGRESSION, named=("PT08.S2(NMHC)",)),
    Expected(file="wine_quality.csv", label="quality", tasks=("multiclass", "regression")),
    Expected(file="house_prices_ames.csv", label="SalePrice", tasks=REGRESSION, named=("Id",)),
    Expected(file="sms_spam.csv", label="label", tasks=BINARY, hints=("--positive", "spam"), text="message"),
    Expected(
        file="online_retail_dec2010_feb2011.csv.gz",
        label="bought_again",
        tasks=BINARY,
        excluded=("customer",),
        line=REPURCHASE,
    ),
)


@dataclass
class Process:
    """A command that has ended."""

    code: int
    said: str
    told: str
    seconds: float
    peak_mb: float


@dataclass
class Compared:
    """Ours beside the plain model, on the test rows."""

    metric: str
    ours: Spread
    plain: Spread
    better: Spread
    """By how much ours is better; more is better, whatever the metric."""
    train: int
    test: int

    @property
    def outcome(self) -> str:
        """Win and loss only beyond the interval."""
        low, high = self.better.interval()
        return "win" if low > 0 else "loss" if high < 0 else "tie"


@dataclass
class Outcome:
    """What came of one file."""

    expected: Expected
    task: str = ""
    found: int = 0
    missed: list[str] = field(default_factory=list[str])
    """What `new` should have found and did not, in words."""
    crashed: str = ""
    promoted: bool = False
    seconds: float = 0.0
    peak_mb: float = 0.0
    compared: Compared | None = None


# Through the commands


def carry_out(root: Path, *words: str) -> Process:
    """Run one command of the product and measure its process, its children included."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "linewright", *words, "--factory", str(root), "--json"],
            stdout=said,
            stderr=told,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        told.seek(0)
        return Process(
            code=process.returncode,
            said=said.read().decode(),
            told=told.read().decode(),
            seconds=time.perf_counter() - began,
            peak_mb=used.ru_maxrss / 1024,
        )


def make(root: Path, folder: Path, outcome: Outcome) -> bool:
    """Make the line, hold what `new` found against what is known, and say whether there is a line."""
    expected = outcome.expected
    path = (folder / expected.file).resolve()
    if expected.line:
        text = expected.line.replace("FILE", str(path)).replace("FOLDER", str(path.parent))
        (root / "lines" / f"{expected.name}.yaml").write_text(text)
        outcome.task = read_line(root / "lines" / f"{expected.name}.yaml").train.task
        return True
    words = ("new", expected.name, "--data", str(path), "--label", expected.label, *expected.hints)
    ended = carry_out(root, *words)
    outcome.seconds, outcome.peak_mb = ended.seconds, ended.peak_mb
    if ended.code:
        outcome.crashed = f"new ended with {ended.code}: {_last_words(ended)}"
        return False
    made = json.loads(ended.said)
    named = {
        one["columns"][0] for one in made["findings"] if one["check"].startswith(("leak", "id", "strong"))
    }
    unseen = {*made["excluded"], made["key"], made["group"]}
    outcome.task = made["task"]
    outcome.found = len(named & set(expected.named))
    outcome.missed = [
        *([] if made["task"] in expected.tasks else [f"task {made['task']}"]),
        *(f"{name} not named" for name in expected.named if name not in named),
        *(
            f"{name} not excluded"
            for name in (*expected.named, *expected.excluded)
            if name not in unseen and name in named | set(expected.excluded)
        ),
    ]
    return True


def train(root: Path, outcome: Outcome) -> None:
    """Run the line, and compare its candidate with the plain model."""
    ended = carry_out(root, "run", outcome.expected.name, "--quiet")
    outcome.seconds += ended.seconds
    outcome.peak_mb = max(outcome.peak_mb, ended.peak_mb)
    if ended.code not in DONE:
        outcome.crashed = f"run ended with {ended.code}: {_last_words(ended)}"
        return
    ran = json.loads(ended.said)
    outcome.promoted = ran["promoted"]
    outcome.compared = compare(root, outcome.expected, ran)


def _last_words(ended: Process) -> str:
    try:
        return str(json.loads(ended.said)["message"])
    except (ValueError, KeyError):
        return (ended.told.strip().splitlines() or [""])[-1]


# Beside the plain model


def compare(root: Path, expected: Expected, ran: dict[str, Any]) -> Compared:
    """Judge the candidate and the plain model on the same test rows, by the metric that people read first."""
    spec = read_line(root / "lines" / f"{expected.name}.yaml")
    with Factory.open(root) as factory:
        split = factory.metadata.get(ran["split"], Split)
        rows = read_rows(factory, factory.metadata.get(ran["dataset"], Dataset), split)
        model = load(ran["digest"], factory.artifacts.get)
        trained = factory.metadata.get(factory.metadata.get(ran["digest"], Package).trained, Trained)
    rules = rules_of(model.package.task)
    target = rules.target(label_text(rows.frame[rows.test], spec.label.column), trained.classes)
    encoder = model.package.encoder
    ours = model.scores(encode(encoder, to_columns(rows.frame[rows.test], encoder.columns)))
    known = rules.target(label_text(rows.frame[rows.train], spec.label.column), trained.classes)
    barred = {spec.label.column, *expected.named, *expected.excluded}
    plain = (
        plain_text_scores(rows, expected.text, known)
        if expected.text
        else plain_scores(rows, [name for name in rows.frame.columns if name not in barred], known)
    )
    if trained.classes:
        plain = _in_columns(plain, np.unique(known), len(trained.classes))
    rule = metric(ran["metrics"][0]["name"], model.package.task)
    weight, clusters = np.ones(len(target)), _clusters(spec, split.by, rows, target, [ours, plain])
    units = units_of(model.package.task, target, weight, clusters, by_class=rule.by_class)
    mine, theirs, better = spreads(
        [
            *(measure_of(rule, target, one, weight=weight, clusters=clusters) for one in (ours, plain)),
            difference_of(rule, target, ours, plain, weight=weight, clusters=clusters),
        ],
        units=[units] * 3,
        weight=weight,
        clusters=clusters,
        seed=0,
        draws=DRAWS,
    )
    return Compared(rule.name, mine, theirs, better, len(rows.train), len(rows.test))


def _clusters(
    spec: LineSpec, by: str, rows: Rows, truth: np.ndarray, scores: list[np.ndarray]
) -> np.ndarray | None:
    """Return which rows are drawn together: those of a group, or blocks of time."""
    if by == "time":
        return blocks_in_time(truth, scores)
    if by != "group" or spec.table.group is None:
        return None
    groups = label_text(rows.frame[rows.test], spec.table.group)
    return np.unique(np.array(groups), return_inverse=True)[1]


def _in_columns(scores: np.ndarray, present: np.ndarray, classes: int) -> np.ndarray:
    """Give each class its column; one that training never saw has no probability."""
    whole = np.zeros((len(scores), classes))
    whole[:, present] = scores
    return whole


def plain_scores(rows: Rows, columns: list[str], known: np.ndarray) -> np.ndarray:
    """Fit LightGBM as it comes on the training rows and return its scores of the test rows."""
    x = np.full((rows.frame.height, len(columns)), np.nan)
    categories = []
    for place, name in enumerate(columns):
        text = rows.frame[name].cast(pl.String)
        numbers = text.cast(pl.Float64, strict=False)
        if len(text) - numbers.null_count() >= NUMERIC * (len(text) - text.null_count()):
            x[:, place] = numbers.to_numpy()
            continue
        categories.append(place)
        levels = {level: code for code, level in enumerate(text[rows.train].drop_nulls().unique().sort())}
        x[:, place] = [np.nan if value is None else levels.get(value, np.nan) for value in text]
    kind = LGBMRegressor if known.dtype.kind == "f" else LGBMClassifier
    model = kind(verbose=-1, random_state=0)
    model.fit(x[rows.train], known, categorical_feature=categories or "auto")
    booster_scores = np.asarray(model.booster_.predict(x[rows.test]))
    if kind is LGBMRegressor or booster_scores.ndim == 2:
        return booster_scores
    return np.column_stack([1 - booster_scores, booster_scores])


def plain_text_scores(rows: Rows, column: str, known: np.ndarray) -> np.ndarray:
    """Fit what a person fits to texts in ten minutes, and return its scores of the test rows."""
    texts = rows.frame[column].fill_null("")
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    model = make_pipeline(words, LogisticRegression(C=10.0, max_iter=1_000))
    model.fit(texts[rows.train].to_list(), known)
    return model.predict_proba(texts[rows.test].to_list())


# The table

HEAD = "| file | task | leaks, ids | metric | ours | plain | ours better by | | rows, test | s | peak MB |"


def table(outcomes: list[Outcome]) -> Iterator[str]:
    yield HEAD
    yield "|---|---|---|---|---:|---:|---:|---|---:|---:|---:|"
    for one in outcomes:
        yield f"| {' | '.join(_cells(one))} |"


def _cells(one: Outcome) -> list[str]:
    wanted = len(one.expected.named)
    found = f"{one.found} of {wanted}" if wanted else "-"
    cells = [one.expected.file, one.task, "no `new`" if one.expected.line else found]
    if (compared := one.compared) is None:
        cells += ["crashed", *[""] * 5]
    else:
        cells += [
            compared.metric,
            _shown(compared.ours),
            _figure(compared.plain.value),
            _shown(compared.better),
            compared.outcome,
            f"{compared.train + compared.test:,}, {compared.test:,}",
        ]
    return [*cells, f"{one.seconds:.0f}", f"{one.peak_mb:.0f}"]


def _shown(spread: Spread) -> str:
    low, high = spread.interval()
    return f"{_figure(spread.value)} ({_figure(low)} to {_figure(high)})"


def _figure(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def notes(outcomes: list[Outcome]) -> Iterator[str]:
    for one in outcomes:
        if one.missed:
            yield f"{one.expected.file}: {', '.join(one.missed)}"
        if one.crashed:
            yield f"{one.expected.file}: {one.crashed}"
        if not one.promoted and not one.crashed:
            yield f"{one.expected.file}: not promoted"


def counts(outcomes: list[Outcome]) -> str:
    results = Counter(one.compared.outcome for one in outcomes if one.compared)
    return (
        f"{len(outcomes)} files: {sum(bool(one.crashed) for one in outcomes)} crashed, "
        f"{sum(len(one.missed) for one in outcomes)} expectations missed, "
        f"{results['win']} wins, {results['tie']} ties, {results['loss']} losses"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the files are")
    parser.add_argument("--only", action="append", help="only files whose name contains this")
    parser.add_argument("--keep", type=Path, help="leave the factory in this folder, which must not exist")
    asked = parser.parse_args()
    chosen = [one for one in EXPECTATIONS if not asked.only or any(part in one.file for part in asked.only)]
    absent = [one.file for one in chosen if not (asked.folder / one.file).is_file()]
    if absent or not chosen:
        print(f"{asked.folder} lacks {', '.join(absent) or 'such a file'}.")
        return 2
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        root = asked.keep or Path(folder) / "factory"
        root.mkdir(parents=True)
        carry_out(root, "init")
        for expected in chosen:
            outcome = Outcome(expected)
            if make(root, asked.folder, outcome):
                train(root, outcome)
            outcomes.append(outcome)
            print(f"| {' | '.join(_cells(outcome))} |", file=sys.stderr, flush=True)
    print(
        f"Linewright {version('linewright')}, LightGBM {version('lightgbm')}, Python {platform.python_version()}, "
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    print("\n".join([*table(outcomes), "", *notes(outcomes), counts(outcomes)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
