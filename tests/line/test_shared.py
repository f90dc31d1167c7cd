"""How a site's model is trained: on its own rows, with those of all sites, or as a comparison on its own rows says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from plants import TEMPLATE, make_plants, rows

from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.operations import card, rebuild
from linewright.capabilities.lines.operations import plan
from linewright.capabilities.runs.operations import run
from linewright.errors import SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.file.read import parse_line
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.facts import Package, Trained
from linewright.model.train.scored_rows import from_bytes

FEW, MANY = 150, 1500


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    """Make plants of which Turin has few rows; nothing is run."""
    root = make_plants(tmp_path / "factory")
    say(root, "folds: 2}", "folds: 3, share: auto}")
    say(root, "rollout: blue-green, bake: 1h, rings: [[lyon], [turin], rest]", "rollout: immediate")
    say(root, "{beats: champion, confidence: 0.95}", "{metric: roc_auc, at_least: 0.5}")
    write(root)
    with Factory.open(root) as opened:
        yield opened


def say(root: Path, old: str, new: str) -> None:
    path = root / "lines" / "inspect.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))


def write(root: Path, *, turned: bool = False) -> None:
    """Write few rows of Turin, and many of the others, of its world or of one in which a column means the opposite."""
    rows(10_000, FEW).write_csv(root / "turin.csv")
    rows(0, MANY, turned=turned).write_csv(root / "lyon.csv")
    rows(20_000, MANY, turned=turned).write_csv(root / "porto.csv")


def trained(factory: Factory, ran: RunResult) -> Trained:
    package = factory.metadata.get(ran.digest, Package)
    return factory.metadata.get(package.trained, Trained)


def run_turin_last(factory: Factory) -> RunResult:
    for site in ("lyon", "porto"):
        execute_inline(factory, f"inspect.{site}")
    return execute_inline(factory, "inspect.turin")


def test_a_small_plant_learns_from_the_others_where_they_are_alike(factory: Factory):
    """A plant that opened last month need not wait a year for its model."""
    ran = run_turin_last(factory)

    found = trained(factory, ran)
    assert found.shared is not None
    assert ("together", 2, 2 * MANY) == (found.shared.choice, found.shared.sites, found.shared.rows)
    assert found.shared.loss_together < found.shared.loss_alone
    assert found.shared.gain > found.shared.standard_error
    assert found.rows == found.shared.rows + found.shared.compared
    assert "it learned from 3,000 rows of 2 other sites too: out-of-fold loss" in result_text(ran)
    assert "3,000 rows of 2 other sites" in card(factory, "inspect.turin@1").markdown


def test_a_plant_that_is_unlike_the_others_learns_alone(factory: Factory):
    """What is averaged over plants that differ helps none of them."""
    write(factory.root, turned=True)

    ran = run_turin_last(factory)

    shared = trained(factory, ran).shared
    assert "alone" == shared.choice
    assert shared.loss_alone < shared.loss_together
    assert "it learned from its own rows alone: out-of-fold loss" in result_text(ran)


def test_own_rows_alone_judge(factory: Factory):
    """Threshold, calibration and test are of the plant that asks."""
    ran = run_turin_last(factory)

    found = trained(factory, ran)
    scored = from_bytes(factory.artifacts.get(found.scored))
    assert ran.metrics[0].n < FEW
    assert len(scored.rows) == found.shared.compared < FEW
    assert scored.rows.max() < FEW


def test_rows_that_a_plant_has_itself_come_from_no_other(factory: Factory):
    """Else its test rows would teach it."""
    for site in ("lyon", "porto"):
        rows(10_000, FEW).write_csv(factory.root / f"{site}.csv")

    ran = run_turin_last(factory)

    assert ("alone", 0) == ((shared := trained(factory, ran).shared).choice, shared.sites)


def test_a_column_that_names_the_plant_hides_no_row_that_it_has_itself(factory: Factory):
    for site in ("turin", "lyon", "porto"):
        named = rows(10_000, FEW).with_columns(pl.lit(site).alias("plant"))
        named.write_csv(factory.root / f"{site}.csv")

    ran = run_turin_last(factory)

    assert ("alone", 0) == ((shared := trained(factory, ran).shared).choice, shared.sites)


def test_a_plan_after_a_run_is_empty_until_another_plant_reads_other_rows(factory: Factory):
    run_turin_last(factory)
    spec = factory.line("inspect.turin")
    assert () == make_plan(factory, spec).changes

    rows(0, MANY + 100).write_csv(factory.root / "lyon.csv")
    execute_inline(factory, "inspect.lyon")

    changes = make_plan(factory, spec).changes
    assert "train" == changes[0].step
    assert ["rows of site:inspect.lyon"] == [one.name for one in changes[0].reason.inputs]


def test_one_run_of_the_template_shares_among_all(factory: Factory):
    ran = run(factory, "inspect")

    assert () == ran.failed
    assert {2} == {trained(factory, one).shared.sites for one in ran.runs}
    assert {()} == {one.changes for one in plan(factory, "inspect").plans}


def test_a_shared_model_is_rebuilt_without_any_source(factory: Factory):
    run_turin_last(factory)
    for path in factory.root.glob("*.csv"):
        path.unlink()

    assert "R0" == rebuild(factory, "inspect.turin@1").level
    assert 0 == verify_factory(factory).exit_code


def test_the_file_may_decide(factory: Factory):
    say(factory.root, "share: auto", "share: together")
    write(factory.root, turned=True)

    ran = run_turin_last(factory)

    assert ("together", 0) == ((shared := trained(factory, ran).shared).choice, shared.compared)
    assert "too, as the line file says" in result_text(ran)


@pytest.mark.slow
def test_numbers_are_learned_together_too(factory: Factory):
    chance = np.random.default_rng(3)
    for site, first, n in (("lyon", 0, 900), ("porto", 20_000, 900), ("turin", 10_000, 120)):
        frame = rows(first, n)
        y = (frame["a"] * 2 + frame["b"] + chance.normal(scale=0.3, size=n)).round(4)
        frame.with_columns(y=y).write_csv(factory.root / f"{site}.csv")
    say(factory.root, 'positive: "bad"', "delay: null")
    say(factory.root, ", delay: null", "")
    say(factory.root, 'y: {type: category, allowed: ["bad", "good"]}', "y: {type: number}")
    say(factory.root, "task: binary", "task: regression")
    say(factory.root, "{metric: roc_auc, at_least: 0.5}", "{metric: rmse, at_most: 9}")

    shared = trained(factory, run_turin_last(factory)).shared

    assert "together" == shared.choice
    assert 0 < shared.loss_together < shared.loss_alone


def test_plants_whose_columns_differ_are_told_apart(factory: Factory):
    execute_inline(factory, "inspect.lyon")
    say(
        factory.root,
        "sources: {parts: {file: turin.csv}}",
        "sources: {parts: {file: turin.csv}}\n    on_new_column: ignore",
    )
    say(
        factory.root,
        "contract: {columns: {a: {max: 5}}}",
        "contract: {columns: {a: {type: text, min: null, max: null}}}",
    )

    with pytest.raises(
        SpecError, match=r"the rows of inspect\.lyon are not like those of inspect\.turin: column 'a'"
    ):
        execute_inline(factory, "inspect.turin")


@pytest.mark.parametrize(
    "also",
    [
        "retrain: {when: [performance]}\nwatch: {every: 1h}\n",
        "table: {key: part, subject: part}\n",
        "table: {key: part, group: b}\n",
    ],
)
def test_what_cannot_be_shared_yet_is_refused(also: str):
    text = TEMPLATE.replace("folds: 2}", "folds: 2, share: together}")
    text = text.replace("table: {key: part}\n", "") if "table" in also else text

    with pytest.raises(SpecError, match="rows of other sites cannot be learned from yet with"):
        parse_line(text + also, name="lines/inspect.yaml", site="lyon")


def test_a_line_of_no_site_shares_with_nobody():
    text = TEMPLATE.partition("tags:")[0].replace(", rings: [[lyon], [turin], rest]", "")

    with pytest.raises(SpecError, match="a line of no site"):
        parse_line(text.replace("folds: 2}", "folds: 2, share: auto}"), name="lines/inspect.yaml")


def test_a_key_that_each_plant_counts_by_itself_names_no_row_of_another(factory: Factory):
    """Part 1 of Lyon is not part 1 of Turin."""
    counted = pl.format("{}", pl.int_range(pl.len()))
    for number, site in enumerate(("turin", "lyon", "porto")):
        few = rows(number * 10_000, FEW if site == "turin" else MANY)
        few.with_columns(counted.alias("part")).write_csv(factory.root / f"{site}.csv")

    shared = trained(factory, run_turin_last(factory)).shared

    assert (2, 2 * MANY) == (shared.sites, shared.rows)
