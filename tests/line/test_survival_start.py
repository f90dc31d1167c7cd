"""Rows that are seen from some time on: they survived nothing before it, neither in training nor in metrics."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.evidence.operations import card
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.errors import SpecError
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.families.hazard import by_interval
from linewright.model.metrics.definitions import metric
from linewright.model.tasks.censoring import brier_at_times, kaplan_meier, places_of
from linewright.worlds.living import Clock

LINE = """\
line: pumps
sources: {s: {file: history.csv}}
table: {key: key}
label: {column: hours, event: failed, start: since}
train: {task: survival, budget: quick, folds: 2, split: {by: random}}
gates: [{beats: baseline, confidence: 0.51}]
"""
TIMES = np.array([40.0, 80.0, 120.0, 160.0, 200.0])


def pumps(n: int = 4_000, *, late: float = 0.8, seed: int = 3) -> pl.DataFrame:
    """Return pumps of which many came into the records only when they were older; those that had failed before never did."""
    chance = np.random.default_rng(seed)
    heat = chance.normal(size=3 * n).round(3)
    life = 120 * chance.weibull(1.5, size=3 * n) / np.exp(0.5 * heat)
    since = np.where(chance.random(3 * n) < late, chance.uniform(0, 150, size=3 * n), 0.0).round(1)
    ends = since + chance.exponential(200, size=3 * n)
    hours = np.minimum(life, ends).round(1)
    frame = pl.DataFrame(
        {
            "key": [f"p{number}" for number in range(3 * n)],
            "heat": heat,
            "since": since,
            "hours": hours,
            "failed": (life <= ends).astype(int),
        }
    )
    return frame.filter(pl.col("hours") > pl.col("since")).head(n)


def truth_at(heat: np.ndarray) -> np.ndarray:
    return np.exp(-((TIMES * np.exp(0.5 * heat[:, None]) / 120) ** 1.5))


def factory_of(root: Path, text: str = LINE, rows: pl.DataFrame | None = None) -> Factory:
    (root / "lines").mkdir(parents=True)
    (pumps() if rows is None else rows).write_csv(root / "history.csv")
    (root / "lines" / "pumps.yaml").write_text(text)
    return Factory.create(root, now=Clock(datetime(2026, 3, 1, tzinfo=UTC)))


def curves(factory: Factory, heat: np.ndarray) -> np.ndarray:
    asked, out = factory.root / "asked.csv", factory.root / "answers.csv"
    pl.DataFrame({"key": [f"q{n}" for n in range(len(heat))], "heat": heat}).write_csv(asked)
    predict_file(factory, "pumps@1", asked, out)
    found = pl.read_csv(out).select(pl.col("^survival_.*$"))
    grid = [float(name.removeprefix("survival_")) for name in found.columns]
    return np.array([np.interp(TIMES, [0, *grid], [1, *row]) for row in found.iter_rows()])


def test_curves_are_those_of_pumps_that_were_seen_from_new(tmp_path: Path):
    """Who takes the late ones for survivors of all that time is far too sure of them."""
    heat = np.linspace(-1.5, 1.5, 31).round(3)
    with factory_of(tmp_path / "right") as factory:
        ran = execute_inline(factory, "pumps")
        right = curves(factory, heat)
        text = str(card(factory, "pumps@1").markdown)
        rebuilt = rebuild(
            factory, find_model(factory, "pumps"), workers=1, scratch=tmp_path, report=lambda _: None
        )
    with factory_of(tmp_path / "wrong", LINE.replace(", start: since", ""), pumps().drop("since")) as factory:
        execute_inline(factory, "pumps")
        wrong = curves(factory, heat)
    truth = truth_at(heat)

    assert ran.promoted
    assert "R0" == rebuilt.level
    assert np.abs(right - truth).mean() < 0.05
    assert (wrong - truth).mean() > 0.1 > np.abs((right - truth).mean()) * 2.5
    assert "said to be left" in text.lower()


def test_kaplan_and_meier_know_who_had_come():
    """The curve of what was seen is that of the truth, though early deaths of late rows are unseen."""
    rows = pumps(20_000)
    labels = [rows[name].to_numpy() for name in ("hours", "failed", "since")]
    places = places_of(labels[0], labels[1].astype(bool), TIMES, labels[2])
    truth = truth_at(np.random.default_rng(0).normal(size=200_000)).mean(axis=0)

    assert np.abs(kaplan_meier(places, np.ones(len(places)), 5) - truth).max() < 0.02
    assert (kaplan_meier(places.real, np.ones(len(places)), 5) - truth).mean() > 0.1


def test_the_brier_score_is_that_of_the_truth():
    """Weighted for those who left early, and judged from where each row came."""
    rows = pumps(20_000)
    hours, failed, since = (rows[name].to_numpy() for name in ("hours", "failed", "since"))
    places = places_of(hours, failed.astype(bool), TIMES, since)
    honest = truth_at(rows["heat"].to_numpy())
    late = since[:, None] < TIMES
    at_entry = np.exp(-((since[:, None] * np.exp(0.5 * rows["heat"].to_numpy()[:, None]) / 120) ** 1.5))
    given = np.clip(honest / at_entry, 0, 1)
    expected = (given * (1 - given) * late).sum(axis=0) / late.sum(axis=0)
    found = brier_at_times(places, honest).mean(axis=0)

    assert np.abs(found - expected).max() < 0.02
    for shift in (0.7, 1.4):  # any other curve is worse
        assert brier_at_times(places, honest**shift).mean() > found.mean()
    concordance = metric("concordance", "survival").prepare(places, honest)
    assert 0.55 < concordance(np.ones((1, len(places))))[0] < 0.75


def test_a_row_never_counts_where_it_was_not_seen():
    """A row for each interval between entry and end, by the share in which it was seen."""
    places = np.array([-3.5 + 1.5j, 2.25 + 2.0j, -2.0 + 0.5j])
    rows, happens, mass = by_interval(np.zeros((3, 1), np.float32), places, np.ones(3), 4)

    assert [1, 2, 3, 2, 0, 1] == rows[:, 1].astype(int).tolist()
    assert [0, 0, 0, 1, 0, 0] == happens.tolist()
    assert [0.5, 1.0, 0.5, 1.0, 0.5, 1.0] == mass.tolist()


def test_rows_of_a_machine_for_each_time_its_columns_held(tmp_path: Path):
    """Counting process: what holds now says what comes, not what held once."""
    chance = np.random.default_rng(5)
    parts: list[tuple[str, str, float, float, float, int]] = []
    for number in range(1_500):
        switch, load = chance.uniform(10, 120), float(chance.random() < 0.5)
        first, then = (
            chance.exponential(300 if load == 0 else 60),
            chance.exponential(300 if load == 1 else 60),
        )
        if first < switch:
            parts.append((f"a{number}", f"m{number}", load, 0.0, round(first, 2) + 0.01, 1))
            continue
        end = min(switch + then, 240.0)
        parts.append((f"a{number}", f"m{number}", load, 0.0, round(switch, 2), 0))
        parts.append(
            (f"b{number}", f"m{number}", 1 - load, round(switch, 2), round(end, 2) + 0.01, int(end < 240))
        )
    rows = pl.DataFrame(parts, schema=["key", "machine", "load", "since", "hours", "failed"], orient="row")
    text = LINE.replace("{key: key}", "{key: key, group: machine}").replace("by: random", "by: group")
    with factory_of(tmp_path / "factory", text, rows) as factory:
        execute_inline(factory, "pumps")
        asked, out = factory.root / "asked.csv", factory.root / "answers.csv"
        asked.write_text("key,machine,load\nx,x,0\ny,y,1\n")
        predict_file(factory, "pumps@1", asked, out)
        found = pl.read_csv(out).select(pl.col("^survival_.*$"))
    grid = np.array([float(name.removeprefix("survival_")) for name in found.columns])
    for row, mean in zip(found.iter_rows(), (300, 60), strict=True):
        assert np.abs(np.array(row) - np.exp(-grid / mean)).max() < 0.08


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("task: survival", "task: regression", "from which on a row is seen is for labels that are times"),
        ("start: since", "start: hours", "is another column"),
        ("start: since", "start: begun", "no column 'begun'"),
        ("start: since", "start: key", "is another column"),
    ],
)
def test_a_start_that_is_none_is_refused(tmp_path: Path, old: str, new: str, match: str):
    factory = factory_of(tmp_path / "factory", LINE.replace(old, new), pumps(50))
    with factory, pytest.raises(SpecError) as caught:
        execute_inline(factory, "pumps")

    assert match in str(caught.value.to_json())


def test_a_row_that_was_seen_at_no_time_is_refused(tmp_path: Path):
    """With its two times."""
    rows = pumps(50).with_columns(since=pl.col("hours"))
    factory = factory_of(tmp_path / "factory", rows=rows)
    with factory, pytest.raises(SpecError, match=r"seen from its start on.*'since' below 'hours'"):
        execute_inline(factory, "pumps")
