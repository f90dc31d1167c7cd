"""The comparison with other training tools is run by hand for hours; what it concludes from its cells has to be right."""

import doctest
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import wilcoxon

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def automl(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("automl")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("automl_tables")


@pytest.mark.slow
def test_a_benchmark_that_was_stopped_goes_on_and_repeats_nothing(tmp_path: Path):
    """A whole one takes hours, and machines are turned off."""
    words = [
        sys.executable,
        str(BENCHMARKS / "automl.py"),
        "--small",
        "--seconds",
        "1",
        "--tables",
        "breast_cancer",
    ]
    words += ["--results", str(tmp_path / "cells.jsonl")]

    first = subprocess.run(words, capture_output=True, text=True, check=True)
    cells = (tmp_path / "cells.jsonl").read_text()
    # As a kill in the middle of writing leaves it.
    (tmp_path / "cells.jsonl").write_text(cells + '{"form": 1, "contest')
    again = subprocess.run(words, capture_output=True, text=True, check=True)

    assert 2 == len(first.stderr.splitlines())
    assert "" == again.stderr
    assert first.stdout == again.stdout
    assert "| ours |" in first.stdout
    assert "crashed |" in first.stdout
    assert ": crashed" not in first.stdout


def _board(automl: ModuleType, folder: Path, losses: dict[str, list[float]]) -> object:
    """Make a board in which the rows of each cell have one loss, and one that is infinite has crashed."""
    results = automl.Results(folder / "cells.jsonl")
    for name, of_tables in losses.items():
        for table, loss in zip(automl.TABLES, of_tables, strict=False):
            cell = automl.Cell(
                form=automl.FORM,
                contestant=name,
                version="1",
                table=table.name,
                seed=1,
                seconds=30.0,
                task="binary",
                loss=loss,
                beside={"roc_auc": 0.5},
                fit_cpu_s=1.0,
                asked={"one_ms": 1.0, "many_ms": 1.0, "bytes": 1.0, "many_columns_ms": 1.0},
                crashed="no more memory" if np.isinf(loss) else "",
            )
            rows = None if cell.crashed else np.full(50, loss)
            results.keep(cell, rows, np.arange(50))
    cells = {(cell.contestant, cell.table, cell.seed): cell for cell in results.read().values()}
    return automl.Board(results=results, cells=cells)


def _row(lines: Iterator[str], start: str) -> list[str]:
    found = [line for line in lines if line.startswith(start)]
    return [word.strip() for word in found[-1].strip("| ").split("|")]


def test_who_crashes_is_last_and_differences_below_one_percent_are_ties(automl: ModuleType, tmp_path: Path):
    """A table that a tool cannot do would otherwise be left out of its average, and noise would be counted."""
    losses = {"ours": [0.30, 0.300, 0.5], "lightgbm": [0.33, 0.301, 0.4], "catboost": [np.inf, 0.299, 0.5]}
    board = _board(automl, tmp_path, losses)

    text = "\n".join(automl.report(board))

    assert ["lightgbm", "3", "1", "1", "1"] == _row(iter(text.splitlines()), "| lightgbm")[:5]
    assert ["catboost", "3", "1", "2", "0"] == _row(iter(text.splitlines()), "| catboost")[:5]
    assert "insurance_fraud | binary | 0.3 (0.500) | 0.33 (0.500) | crashed" in text
    assert ["- catboost on insurance_fraud, seed 1: no more memory"] == list(automl.crashes(board))


def test_ours_is_worse_than_catboost_where_all_rows_say_so(automl: ModuleType, tmp_path: Path):
    """One seed's luck is no loss, and a loss must not pass as luck."""
    board = _board(automl, tmp_path, {"ours": [0.30, 0.31], "catboost": [0.30, 0.30]})

    text = "\n".join(automl.report(board))

    assert "- worse than catboost on credit_default: +0.01, 95 % interval 0.01 to 0.01" in text
    assert "1 tables on which ours is worse" in text


def test_costs_are_told_for_each_variant_of_ours_alone(automl: ModuleType, tmp_path: Path):
    """Who asks what packages cost need not install peers, and a package that never came out costs nothing."""
    board = _board(automl, tmp_path, {"ours": [0.3, 0.3, np.inf], "ours-small": [0.4, 0.4, 0.4]})

    lines = list(automl.report(board))

    assert (
        "| ours | CPU µs, 1 row | CPU ms, 10,000 rows | CPU ms, 10,000 rows of columns | size KiB | fit CPU s |"
        in lines
    )
    assert 2 == sum(line == "| median | 1,000 | 1 | 1 | 0 | 1 |" for line in lines)
    assert 2 + 2 + 3 == sum(line.endswith("| 1,000 | 1 | 1 | 0 | 1 |") for line in lines)


def test_variants_of_ours_compete_only_when_asked(automl: ModuleType):
    """Two of one kind would push the others down the ranks."""
    assert "ours-small" in automl.CONTESTANTS
    assert "ours-small" not in automl.USUAL
    assert "ours" in automl.USUAL


def test_equal_seeds_part_rows_alike_and_rows_are_on_one_side(tables: ModuleType):
    """Contestants that run on different days must meet the same rows."""
    table = tables.OWN[0]

    first, again, other = (tables.parted(table, None, seed) for seed in (1, 1, 2))

    assert first.frame.equals(again.frame)
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert [*range(first.frame.height)] == sorted([*first.train.tolist(), *first.test.tolist()])
    shares = [np.mean(first.frame[part][first.label].to_numpy() == "1") for part in (first.train, first.test)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_without_ties_its_p_is_that_of_scipy(automl: ModuleType):
    """The claim that ours is better rests on it."""
    differences = [-0.2, 0.03, -0.04, -0.15, 0.021, -0.5, -0.011, 0.07, -0.3]

    assert wilcoxon(differences, alternative="less", method="exact").pvalue == pytest.approx(
        automl.p_of_better(differences)
    )


@pytest.mark.parametrize("name", ["automl", "automl_tables"])
def test_the_examples_of_its_functions_are_right(name: str, monkeypatch: pytest.MonkeyPatch):
    """They say how losses are compared."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    failed, tried = doctest.testmod(importlib.import_module(name))

    assert tried
    assert 0 == failed
