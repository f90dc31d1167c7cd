"""A line over more rows than are learned from says so, and is as honest as any other."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.operations import card
from linewright.data.facts import Column
from linewright.data.profile.roles import GivenRoles
from linewright.features.encode import encode
from linewright.features.encode_table import encode_table
from linewright.features.learn import learn, to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.line.steps import train as training
from linewright.model.facts import Package, Trained
from linewright.model.reason_text import sample_in_words

ROWS = 6_000


def write(root: Path, table: str = "") -> None:
    """Write a table with two common classes and one of three rows, and a line over it."""
    root.mkdir()
    chance = np.random.default_rng(23)
    x = chance.normal(size=(ROWS, 3)).round(4)
    label = np.where(x[:, 0] + chance.normal(size=ROWS) > 1, "b", "a").astype("<U4")
    label[[5, 3_000, 5_500]] = "rare"
    frame = pl.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "who": np.arange(ROWS) // 3, "y": label})
    frame.write_csv(root / "t.csv")
    new_line(root, "long", root / "t.csv", GivenRoles(label="y"))
    (root / "lines" / "long.yaml").write_text(
        f"line: long\nsources: {{t: {{file: t.csv}}}}\n{table}label: {{column: y}}\ntrain: {{budget: quick, folds: 3}}\n"
    )


def trained_of(root: Path) -> tuple[Trained, str, str, str]:
    """Run the line of a folder; return what was trained, its digest, and what run and card say."""
    with Factory.create(root) as factory:
        result = execute_inline(factory, "long")
        package = factory.metadata.get(result.digest, Package)
        told = card(factory, "long@1").markdown
        return factory.metadata.get(package.trained, Trained), package.trained, result_text(result), told


@pytest.mark.parametrize("table", ["", "table: {group: who}\n"])
def test_some_rows_are_learned_from_and_it_is_said(tmp_path, monkeypatch, table):
    """Memory has an end, honesty has not: who reads the answer must know that not all rows were learned from."""
    monkeypatch.setattr(training, "MOST_CELLS", 9_000)
    write(tmp_path / "one", table)
    write(tmp_path / "other", table)
    trained, digest, ran, told = trained_of(tmp_path / "one")

    assert trained.sample
    assert trained.rows == trained.sample.rows < trained.sample.of
    assert trained.classes == ("a", "b", "rare")
    assert 0 < trained.baseline[2] < 0.001
    assert sample_in_words(trained.sample) in ran
    assert sample_in_words(trained.sample)[1:] in told
    assert digest == trained_of(tmp_path / "other")[1]


def test_a_table_below_the_cap_has_no_such_word(tmp_path):
    """Where all rows are learned from, nothing is said of a sample."""
    write(tmp_path / "one")
    trained, _, ran, _ = trained_of(tmp_path / "one")

    assert not trained.sample
    assert "  rows " not in ran


def test_rows_are_encoded_in_parts_to_the_bit(monkeypatch):
    """What an endpoint makes of a row is what training made of it, whatever the part it came in."""
    chance = np.random.default_rng(3)
    words = np.array(["late", "paid", "call", "again", "7", "Né"])
    frame = pl.DataFrame(
        {
            "n": pl.Series(chance.normal(size=700)).set(pl.Series(chance.random(700) < 0.1), None),
            "kind": [f"k{i}" for i in chance.integers(0, 60, 700)],
            "day": pl.Series(chance.integers(0, 900, 700)).cast(pl.Int32).cast(pl.Date),
            "said": [" ".join(row) for row in words[chance.integers(0, 6, (700, 5))]],
        }
    )
    kinds = {"n": "number", "kind": "category", "day": "date", "said": "text"}
    encoder = learn(frame, [Column(name=name, type=kind) for name, kind in kinds.items()])
    rows = chance.permutation(700)[:500]
    whole = encode(encoder, to_columns(frame[rows], encoder.columns))
    monkeypatch.setattr("linewright.features.encode_table._FEWEST_AT_ONCE", 64)
    monkeypatch.setattr("linewright.features.encode_table._CELLS_AT_ONCE", 4 * 64)

    assert encode_table(encoder, frame, rows).tobytes() == whole.tobytes()
    assert encode_table(encoder, frame).shape == (700, whole.shape[1])
