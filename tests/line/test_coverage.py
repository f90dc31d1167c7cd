"""A line of numbers counts on its test rows what its interval holds, and says it where it is surely too little."""

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.operations import card
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan, survey
from linewright.line.split_rows import label_text
from linewright.line.steps.evaluate import scores_of
from linewright.model.facts import Certificate
from linewright.model.gates.text import outcome_in_words
from linewright.model.tasks.prediction_interval import ends

PATIENTS = 442


def declare(root: Path, *, later: float | None) -> Factory:
    """Make a factory with a line on the patients, whose disease grows by `later` in the last fifth of the days, if there are any."""
    root.mkdir()
    bunch: Any = load_diabetes()
    with (root / "patients.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["patient", *(["day"] if later is not None else []), *bunch.feature_names, "progression"]
        )
        for number in range(PATIENTS):
            day = date(2020, 1, 1) + timedelta(days=number)
            moved = (later or 0.0) * (number >= 0.8 * PATIENTS)
            values = [f"{value:.6g}" for value in bunch.data[number]]
            writer.writerow(
                [
                    f"P{number}",
                    *([day.isoformat()] if later is not None else []),
                    *values,
                    bunch.target[number] + moved,
                ]
            )
    new_line(root, "patients", root / "patients.csv", GivenRoles(label="progression", key="patient"))
    path = root / "lines" / "patients.yaml"
    text = path.read_text()

    assert "budget: normal" in text
    path.write_text(text.replace("budget: normal", "budget: quick"))
    return Factory.create(root)


@pytest.fixture
def patients(tmp_path: Path) -> Iterator[Callable[..., Factory]]:
    """Give a function that makes a factory."""
    with ExitStack() as opened:
        yield lambda **given: opened.enter_context(declare(tmp_path / "factory", **given))


def test_what_the_record_says_is_what_the_answers_show(patients):
    """Counted by hand from the package and the test rows; nothing is left to do after it."""
    factory = patients(later=None)
    ran = execute_inline(factory, "patients")
    work = survey(begin(factory, factory.line("patients")))[1]
    truth = work.rules.target(label_text(work.rows.frame[work.rows.test], "progression"), ())
    scores = scores_of(work, ran.digest, work.rows.test)
    low, high = ends(work.package.band, scores)
    error = truth - scores

    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(ran.coverage.value)
    assert error.mean() == pytest.approx(ran.bias.value)
    assert np.mean(truth < low) == pytest.approx(ran.beyond.below.value)
    assert np.mean(truth > high) == pytest.approx(ran.beyond.above.value)
    assert work.evaluation.coverage == ran.coverage
    assert ran.coverage.low < 0.9 < ran.coverage.high
    assert "as meant, as far as these rows can tell" in result_text(card(factory, "patients"))
    assert "lie below it and" in result_text(card(factory, "patients"))
    assert "90 % interval of their answer" not in result_text(ran)
    assert () == make_plan(factory, factory.line("patients")).changes


def test_a_line_of_mae_is_held_against_the_median(patients):
    """The mean is no fair rival by mae; gate, record and card hold the same one."""
    factory = patients(later=None)
    path = factory.root / "lines" / "patients.yaml"
    path.write_text(path.read_text().replace("metric: rmse", "metric: mae"))
    execute_inline(factory, "patients")
    work = survey(begin(factory, factory.line("patients")))[1]
    labels = work.rules.target(label_text(work.rows.frame, "progression"), ())
    truth, median = labels[work.rows.test], np.median(labels[work.rows.train])
    without = work.evaluation.baseline[0]

    assert "mae" == without.name
    assert np.abs(truth - median).mean() == pytest.approx(without.value)
    assert "models are fitted and chosen by squared error" in result_text(card(factory, "patients"))
    [outcome] = factory.metadata.get(work.known["gate"], Certificate).outcomes
    better = without.value - work.evaluation.metrics[0].value
    assert f"mae is {better:.3g} better than the baseline's" in outcome_in_words(outcome)


def test_a_world_that_moved_is_told_by_the_run_and_the_card(patients):
    """Who only reads the half-width would plan with it."""
    factory = patients(later=120.0)
    ran = execute_inline(factory, "patients")
    told = result_text(card(factory, "patients@1"))

    assert ran.coverage.high < 0.9
    assert ran.bias.low > 0
    assert "  warn     only " in result_text(ran)
    assert (
        "lie inside the 90 % interval of their answer: it may be too narrow (one check in 40 says so by chance)"
        in result_text(ran)
    )
    assert "(mean squared error, the square of an rmse; less is better)" in result_text(ran)
    assert "the world has probably moved" in told
    assert "surely too low: the truth is higher by" in told
