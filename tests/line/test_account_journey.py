"""The analyst's journey: an amount changes in a meeting, production follows the same hour, and the account shows it a week later."""

import csv
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from claims import DEARER, MATRIX, change, make

from linewright.capabilities.value.operations import value
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.package.model import load
from linewright.serve.rows.scorer import Scorer
from linewright.worlds.living import Clock

START = datetime(2026, 3, 2, tzinfo=UTC)
A_DAY = 200
LINE = "claims"
OLD, NEW = {"tp": 90, "fp": -60, "fn": -90, "tn": 0}, {"tp": 90, "fp": -300, "fn": -90, "tn": 0}


class Analyst:
    """Somebody with a line, a calendar, and a table of what turned out to be true."""

    def __init__(self, factory: Factory, clock: Clock) -> None:
        self.factory, self.clock = factory, clock
        with (factory.root / "claims.csv").open() as file:
            self.rows = list(csv.DictReader(file))
        self.worth: list[float] = []
        """What the decisions of each day were worth, by hand."""

    def live(self, day: int, matrix: dict[str, float]) -> None:
        """Have the claims of a day answered at noon, and hand in what became of them in the evening."""
        some = self.rows[day * A_DAY : (day + 1) * A_DAY]
        asked, out, truth = (self.factory.root / name for name in ("asked.csv", "answers.csv", "truth.csv"))
        self.clock.at = START + timedelta(days=day, hours=12)
        write(asked, [{name: row[name] for name in row if name != "fraud"} for row in some])
        predict_file(self.factory, LINE, asked, out)
        self.clock.at = START + timedelta(days=day, hours=20)
        write(truth, [{"key": row["claim"], "label": row["fraud"]} for row in some])
        hand_in(self.factory, LINE, truth)
        with out.open() as file:
            said = [row["prediction"] == "yes" for row in csv.DictReader(file)]
        true = [row["fraud"] == "yes" for row in some]
        names = {(True, True): "tp", (True, False): "fp", (False, True): "fn", (False, False): "tn"}
        self.worth.append(sum(matrix[names[pair]] for pair in zip(said, true, strict=True)))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def analyst(tmp_path) -> Iterator[Analyst]:
    clock = Clock(START)
    with (
        make(tmp_path / "factory") as made,
        Factory.open(made.root, now=clock) as factory,
    ):
        yield Analyst(factory, clock)


def test_a_new_matrix_serves_within_the_hour_and_its_account_is_there_a_week_later(analyst, capsys):
    """Declare, run, serve; change the matrix, run: nothing is trained; after a week the difference stands in the account."""
    factory, clock = analyst.factory, analyst.clock
    first = execute_inline(factory, LINE)
    for day in range(3):
        analyst.live(day, OLD)
    clock.at = START + timedelta(days=3, hours=9)
    change(factory, MATRIX, DEARER)
    began = time.process_time()
    second = execute_inline(factory, LINE)
    took = time.process_time() - began
    for day in range(3, 7):
        analyst.live(day, NEW)
    clock.at = START + timedelta(days=8, hours=1)
    told = value(factory, LINE)
    change(factory, "value: {", "value: {against: champion-before, ")
    planned = make_plan(factory, factory.line(LINE)).changes
    beside, since = value(factory, LINE), value(factory, LINE, since="2026-03-05")
    with capsys.disabled():
        print(f"\nthe run after the new matrix took {took:.2f} s of CPU")
        print(result_text(second), result_text(told), result_text(since), sep="\n")

    assert first.promoted
    assert second.promoted
    assert ("decide", "evaluate", "gate") == second.did
    assert "value (EUR per 1,000 rows) is" in second.because
    assert "at least" in second.because

    (one,) = told.accounts
    assert analyst.worth == [day.value for day in one.days]
    assert [A_DAY] * 7 == [day.matured for day in one.days]
    assert sum(analyst.worth) == one.total.value
    assert one.total.low < one.total.gain < one.total.high

    # Another baseline decides nothing, so nothing is run for it.
    assert () == tuple(planned)
    (one,) = beside.accounts
    assert 3 * A_DAY == one.total.without_before
    assert sum(analyst.worth[3:]) == sum(day.value for day in one.days[3:])
    assert by_the_old_model(analyst) == [day.against for day in one.days[3:]]
    assert sum(day.gain for day in one.days[3:]) > 0


def by_the_old_model(analyst: Analyst) -> list[float]:
    """Return what the decisions of the first model would have been worth by the new matrix, on the days after the change."""
    scorer = Scorer(load(find_model(analyst.factory, f"{LINE}@1").digest, analyst.factory.artifacts.get))
    found = []
    for day in range(3, 7):
        some = analyst.rows[day * A_DAY : (day + 1) * A_DAY]
        asked = [{"a": float(row["a"]), "b": float(row["b"]), "amount": float(row["amount"])} for row in some]
        said = [one["prediction"] == "yes" for one in scorer.score(asked)]
        worth = {(True, True): 90, (True, False): -300, (False, True): -90, (False, False): 0}
        found.append(sum(worth[alarm, row["fraud"] == "yes"] for alarm, row in zip(said, some, strict=True)))
    return found


def test_a_model_of_other_columns_is_computed_on_the_logged_rows(analyst):
    """The champion before may read other columns: what it would have decided is computed from its package."""
    factory, clock = analyst.factory, analyst.clock
    execute_inline(factory, LINE)
    change(
        factory,
        "table: {key: claim}",
        "table: {key: claim, exclude: [b]}\ngates: [{metric: roc_auc, at_least: 0.5}]",
    )
    change(factory, "value: {", "value: {against: champion-before, ")
    clock.at = START + timedelta(hours=9)
    second = execute_inline(factory, LINE)
    analyst.live(0, OLD)
    clock.at = START + timedelta(days=2)
    (one,) = value(factory, LINE).accounts
    before = load(find_model(factory, f"{LINE}@1").digest, factory.artifacts.get)
    asked = [
        {"a": float(row["a"]), "b": float(row["b"]), "amount": float(row["amount"])}
        for row in analyst.rows[:A_DAY]
    ]
    said = [answer["prediction"] == "yes" for answer in Scorer(before).score(asked)]
    worth = {(True, True): 90, (True, False): -60, (False, True): -90, (False, False): 0}

    assert second.promoted
    assert 0 == one.total.without_before
    assert analyst.worth[0] == one.total.value
    assert one.total.against == sum(
        worth[alarm, row["fraud"] == "yes"] for alarm, row in zip(said, analyst.rows, strict=False)
    )
