"""What a run says of its data beside its figures: an order that may be one of time, a leak, and classes with hardly a test row."""

import re
from pathlib import Path

import numpy as np
import polars as pl

from linewright.data.facts import LEAK, QUESTION, Ingested
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.new.write import new_line
from linewright.line.runs.execute import execute_inline
from linewright.operations.evidence import card
from linewright.operations.lines import check


def written(folder: Path, frame: pl.DataFrame, **told: str) -> Path:
    """Write a line of a table as `new` does, of the quick budget."""
    frame.write_csv(folder / "a.csv")
    new_line(folder, "a", data=folder / "a.csv", **told)
    path = folder / "lines" / "a.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))
    return path


def questions(factory: Factory) -> list[str]:
    """Return the columns that the newest run found questions about, told or not."""
    newest = factory.metadata.events(Finished, line="a", newest_first=True)[0]
    found = factory.metadata.get(str(newest.ingested), Ingested).breaches
    return [one.column for one in found if one.rule == QUESTION]


def declared(folder: Path, *, rare: int = 0) -> Path:
    """Write a line of three classes, one of them of so many rows, whose rows lie in the order of a running day."""
    rng = np.random.default_rng(3)
    rows = 600
    size = rng.normal(size=rows).round(3)
    kind = np.where(size + rng.normal(size=rows) > 0, "b", "a")
    kind[rng.choice(rows, rare, replace=False)] = "c"
    frame = pl.DataFrame({"pan_day": np.sort(rng.integers(4, 108, rows)), "size": size, "kind": kind})
    return written(folder, frame, label="kind")


def test_a_run_asks_whether_the_order_of_its_rows_is_one_of_time(tmp_path: Path):
    """Who never looks at `check` has a certificate all the same, and it says how the model does among its own days."""
    path = declared(tmp_path)
    with Factory.create(tmp_path) as factory:
        asked = execute_inline(factory, "a")
        again = execute_inline(factory, "a")
        told = card(factory, "a").markdown
        path.write_text(path.read_text().replace("split: {test: 0.2}", "split: {by: random, test: 0.2}"))
        answered = execute_inline(factory, "a")

    says = "  warn     pan_day: the rows lie in its order: from 4 to 107 it never falls"
    assert [True, True, False] == [says in one.to_text() for one in (asked, again, answered)]
    assert "if not, split: {by: random} (under train) says so" in asked.to_text()
    assert "The rows lie in the order of pan_day, and the test rows are not the latest of them." in told
    assert "Rule that did not hold" not in told


def test_a_run_asks_whether_a_year_and_a_month_are_the_time(tmp_path: Path):
    """`new` and `check` asked, and who only ran had a certificate of months between."""
    rng = np.random.default_rng(5)
    size = rng.normal(size=600).round(3)
    frame = pl.DataFrame(
        {
            "Year": rng.integers(2009, 2012, 600),
            "Month": rng.integers(1, 13, 600),
            "size": size,
            "kind": np.where(size + rng.normal(size=600) > 0, "b", "a"),
        }
    )
    frame.write_csv(tmp_path / "a.csv")
    new_line(tmp_path, "a", data=tmp_path / "a.csv", label="kind")
    path = tmp_path / "lines" / "a.yaml"
    text = path.read_text().replace("budget: normal", "budget: quick")
    path.write_text(text)
    with Factory.create(tmp_path) as factory:
        asked = execute_inline(factory, "a")
        told = card(factory, "a").markdown
        path.write_text(text.replace("split: {test: 0.2}", "split: {by: random, test: 0.2}"))
        answered = execute_inline(factory, "a")

    says = "Year and Month: together they say when a row happened, in 36 different months"
    assert [True, False] == [says in one.to_text() for one in (asked, answered)]
    assert "`linewright check` gives the lines to write" in asked.to_text()
    assert "Year and Month together say when a row happened, and the test rows are not the latest." in told
    assert "Rule that did not hold" not in told


def test_a_line_that_has_the_order_for_its_time_is_not_asked(tmp_path: Path):
    """The test rows are the latest then."""
    path = declared(tmp_path)
    path.write_text(path.read_text().replace("table:", "table: {time: pan_day}"))
    with Factory.create(tmp_path) as factory:
        ran = execute_inline(factory, "a")
        told = card(factory, "a").markdown

    assert {QUESTION} == {one.rule for one in ran.breaches}
    assert "lie in the order of" not in told


def test_a_run_warns_once_of_the_leaks_that_check_finds(tmp_path: Path):
    """A model that had read the outcome was promoted without a word; `check` knew, and nobody had asked it."""
    path = declared(tmp_path)
    frame = pl.read_csv(tmp_path / "a.csv")
    is_b = pl.col("kind") == "b"
    frame = frame.with_columns(
        told=pl.when(is_b).then(pl.lit("paid")).otherwise(pl.lit("open")), paid=pl.when(is_b).then("size")
    )
    frame.write_csv(tmp_path / "a.csv")
    text = path.read_text().replace("split: {test: 0.2}", "split: {by: random, test: 0.2}")
    path.write_text(
        text.replace("    size:", "    told: {type: category}\n    paid: {type: number}\n    size:")
    )
    with Factory.create(tmp_path) as factory:
        ran = execute_inline(factory, "a")
        found = check(factory, "a").lines[0].traps
        told = card(factory, "a").markdown
        path.write_text(path.read_text().replace("table:", "table: {exclude: [told, paid]}"))
        without = execute_inline(factory, "a")

    leaks = [trap for trap in found if trap.trap == "leak"]
    assert {"told", "paid"} == {trap.columns[0] for trap in leaks}
    (warned,) = (one for one in ran.breaches if one.rule != QUESTION)
    assert f"{leaks[0].columns[0]}: leak: {leaks[0].evidence}; {leaks[1].columns[0]!r} too; " in warned.says
    assert warned.says.endswith(
        "unless it was known before the label, write exclude: [told, paid] (under table)"
    )
    assert 1 == ran.to_text().count(f"  warn     {warned.says}")
    assert f"may see what was known only with the label. {leaks[0].columns[0]}: leak: " in told
    assert "Rule that did not hold" not in told
    assert LEAK not in {one.rule for one in without.breaches}


def followed(folder: Path) -> Path:
    """Write a line of patients who are seen until they die, or until the study ends: how long tells who died."""
    rng = np.random.default_rng(11)
    size, died = rng.normal(size=900).round(3), rng.random(900) < 0.4
    frame = pl.DataFrame(
        {
            "size": size,
            "days": np.where(died, rng.gamma(4, 300, 900), rng.gamma(12, 220, 900)).astype(int),
            "died": np.where(died, "yes", "no"),
        }
    )
    return written(folder, frame, label="died", positive="yes")


def test_a_run_asks_what_only_a_person_knows_until_a_model_that_was_asked_about_serves(tmp_path: Path):
    """Who left out the one column that `new` asked about had a model of the next one promoted without a word."""
    path = followed(tmp_path)
    with Factory.create(tmp_path) as factory:
        asked = execute_inline(factory, "a")
        told = card(factory, "a").markdown
        question = next(one for one in check(factory, "a").lines[0].traps if one.trap == "strong")
        path.write_text(path.read_text().replace("test: 0.2}", "test: 0.25}"))
        again, still = execute_inline(factory, "a"), questions(factory)
        path.write_text(path.read_text().replace("table:", "table: {exclude: [days]}"))
        answered, open_ = execute_inline(factory, "a"), questions(factory)

    assert ("days",) == question.columns
    assert asked.promoted
    assert f"  warn     {question.to_text()}" in asked.to_text()
    assert "A question of the data that a person answers. days: strong: alone it reaches" in told
    assert "Rule that did not hold" not in told
    assert () == again.breaches == answered.breaches
    assert (["days"], []) == (still, open_)


def test_a_run_asks_for_a_group_that_nobody_named(tmp_path: Path):
    """Rows of one patient in both parts, and a certificate of what the model knows by heart."""
    rng = np.random.default_rng(7)
    patient = np.repeat(np.arange(120), 6)
    size = np.repeat(rng.normal(size=120), 6).round(3)
    frame = pl.DataFrame(
        {
            "bed": [f"P{one:04}" for one in patient],
            "size": size,
            "heat": rng.normal(size=720).round(3),
            "kind": np.where(size + rng.normal(size=720) > 0, "b", "a"),
        }
    )
    path = written(tmp_path, frame, label="kind")
    with Factory.create(tmp_path) as factory:
        asked, open_ = execute_inline(factory, "a"), questions(factory)
        path.write_text(path.read_text().replace("# group: bed", "group: bed"))
        execute_inline(factory, "a")
        answered = questions(factory)

    assert "  warn     bed: group: " in asked.to_text()
    assert [True, False] == ["bed" in one for one in (open_, answered)]


def test_a_run_says_that_most_of_its_test_rows_are_known_by_heart(tmp_path: Path):
    """95 % of the test rows were copies of training rows, and the average precision of 0.9 had no warning beside it."""
    rng = np.random.default_rng(5)
    size = rng.normal(size=300).round(3)
    kind = np.where(size + rng.normal(size=300) > 0, "b", "a")
    frame = pl.DataFrame({"size": size, "heat": rng.normal(size=300).round(3), "kind": kind})
    frame = pl.concat([frame] * 3).with_row_index("order").sample(fraction=1, shuffle=True, seed=1)
    written(tmp_path, frame, label="kind", key="order")
    with Factory.create(tmp_path) as factory:
        told = execute_inline(factory, "a").to_text()
        traps = check(factory, "a").lines[0].traps

    assert re.search(
        r"warn +\d+ of \d+ test rows repeat a training row, features and label alike, and stay", told
    )
    assert "repeats" in {trap.trap for trap in traps}


def test_a_class_with_a_test_row_or_none_is_named(tmp_path: Path):
    """The balanced accuracy had an interval from 0 to 1, and nothing said why."""
    declared(tmp_path, rare=12)
    with Factory.create(tmp_path) as factory:
        ran = execute_inline(factory, "a")
        told = card(factory, "a").markdown

    ((name, rows),) = ran.few_tested
    assert ("c", True) == (name, 0 < rows < 5)
    says = f"of class 'c' there {'is' if rows == 1 else 'are'} {rows} test row{'' if rows == 1 else 's'}: metrics that count"
    assert f"  warn     {says}" in ran.to_text()
    assert f"O{says[1:]}" in told
