"""Rows that say the same are split as one and drawn as one: a table that has each row five times knows no more than one that has it once."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.operations import card
from linewright.data.breach_text import breach_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, survey

ROWS = 400


def judged(root: Path, *, times: int):
    """Run a line on a table that has each row so many times, and return its evaluation and its card."""
    root.mkdir()
    chance = np.random.default_rng(7)
    size, colour = chance.normal(size=ROWS), chance.choice(["red", "blue", "green"], ROWS)
    price = 10 + 3 * size + (colour == "red") + chance.normal(size=ROWS)
    with (root / "goods.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "colour", "price"])
        for _ in range(times):
            for row in zip(size, colour, price, strict=True):
                writer.writerow([f"{row[0]:.6f}", row[1], f"{row[2]:.6f}"])
    new_line(root, "goods", root / "goods.csv", GivenRoles(label="price"))
    path = root / "lines" / "goods.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: {trials: 1}"))
    with Factory.create(root) as factory:
        execute_inline(factory, "goods")
        work = survey(begin(factory, factory.line("goods")))[1]
        return work.evaluation, result_text(card(factory, "goods"))


def test_five_equal_rows_are_one_witness(tmp_path: Path):
    """Drawn singly they would make intervals less than half as wide as they are."""
    once, told_once = judged(tmp_path / "once", times=1)
    often, told = judged(tmp_path / "often", times=5)
    widths = [one.metrics[0].high - one.metrics[0].low for one in (once, often)]

    assert (0, often.n / 5, "equal") == (once.clusters, often.clusters, often.cluster_kind)
    assert widths[1] == pytest.approx(widths[0], rel=0.35)
    assert "from a bootstrap of rows" in told_once
    assert f"from a bootstrap of {often.clusters} sets of equal rows drawn whole" in told


def test_a_column_that_is_left_out_afterwards_gives_the_model_of_a_factory_that_never_had_it(tmp_path: Path):
    """Its split still compared rows by that column: another model by the same file and rows, and a card that said what was not so."""
    rng = np.random.default_rng(5)
    size = rng.normal(size=500).round(3)
    kind = np.where(size + rng.normal(size=500) > 0, "b", "a")
    frame = pl.DataFrame({"size": size, "heat": rng.normal(size=500).round(3), "kind": kind})
    frame = (
        pl.concat([frame, frame[:12]]).with_row_index("no").with_columns(wait=rng.normal(size=512).round(3))
    )
    models: list[str] = []
    for folder, texts in (("once", ["[wait]"]), ("later", ["[]", "[wait]"])):
        root = tmp_path / folder
        root.mkdir()
        frame.write_csv(root / "a.csv")
        new_line(root, "a", root / "a.csv", GivenRoles(label="kind", key="no"))
        path = root / "lines" / "a.yaml"
        written = path.read_text().replace("budget: normal", "budget: quick")
        with Factory.create(root) as factory:
            for text in texts:
                path.write_text(written.replace("table:", f"table:\n  exclude: {text}", 1))
                ran = execute_inline(factory, "a")
            models.append(ran.digest)
            told = next(breach_in_words(one) for one in ran.breaches if one.kind == "copies")

        assert "test rows repeat a training row, features and label alike: they are in neither part" in told
    assert models[0] == models[1]
