"""Tables on which others stumble: `new` and `run` come to their end, with a model that is promoted or honestly held."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.drafts.write import new_line
from linewright.data.facts import Column
from linewright.data.profile.roles import GivenRoles
from linewright.errors import SpecError
from linewright.features.encode import encode
from linewright.features.facts import Category, Frequency
from linewright.features.learn import MOST_LEVELS, learn, to_columns
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.model.package.model import Model, load
from linewright.serve.rows.scorer import Scorer

ROWS = 300


def table(**changes: list[object]) -> dict[str, list[object]]:
    """Return a number, the label that it tells in part, and further columns."""
    chance = np.random.default_rng(11)
    x = chance.normal(size=ROWS)
    y = np.where(x + chance.normal(size=ROWS) > 0, "yes", "no")
    return {"x": x.round(3).tolist(), "y": y.tolist()} | changes


def texts() -> list[str]:
    """Return texts of which each has words of its own, in several scripts, some of them very long."""
    chance = np.random.default_rng(5)
    words = ("late", "paid", "called", "again", "angry", "thanks", "谢谢", "\u200b", "(1)", "€", "é", "07")
    found = [" ".join([*chance.choice(words, 5), str(n)]) for n in range(ROWS)]
    found[3] = "late again " * 9_000
    return found


TABLES = {
    "constant, and all missing": table(same=["a"] * ROWS, empty=[""] * ROWS, none=["NA"] * ROWS),
    "two rows of a class": table(y=[*["a", "b"] * (ROWS // 2 - 1), "rare", "rare"]),
    "types mixed in a column, and hardly a value": table(
        mixed=[(n, f"{n}.5", f"a{n % 7}", "", "2024-01-31")[n % 5] for n in range(ROWS)],
        seldom=["7", "8", *[""] * (ROWS - 2)],
    ),
    "an id of text": table(id=[f"k{n}" for n in range(ROWS)]),
    "texts": table(said=texts()),
}


def run_new(root: Path, columns: dict[str, list[object]]) -> tuple[Model, str]:
    """Make a line of a table, run it with the smallest budget, and return its candidate and the verdict."""
    root.mkdir()
    frame = pl.DataFrame({name: pl.Series(map(str, values)) for name, values in columns.items()})
    frame.write_csv(root / "t.csv")
    new_line(root, "hard", root / "t.csv", GivenRoles(label="y"))
    path = root / "lines" / "hard.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))
    with Factory.create(root) as factory:
        ran = execute_inline(factory, "hard")
        return load(ran.digest, factory.artifacts.get), ran.verdict


@pytest.mark.parametrize("name", TABLES)
def test_a_run_comes_to_its_end(tmp_path: Path, name: str):
    """What a column cannot say is left out, and what is left answers; the gates decide as ever."""
    model, verdict = run_new(tmp_path / "f", TABLES[name])
    sent = {"x": 0.5, "said": "late", "mixed": None, "seldom": None}
    answers = Scorer(model).score([{name: sent[name] for name in model.package.encoder.columns}])

    assert verdict in {"promote", "reject", "hold", "need-more-data"}
    assert set(model.package.encoder.columns) <= {"x", "mixed", "seldom", "said"}
    assert all(sum(one["probabilities"].values()) == pytest.approx(1) for one in answers)


def test_any_text_is_answered_and_explained_as_one_column(tmp_path: Path):
    """Whatever people type: nothing, controls, half a character, as much as a request may hold."""
    model, _ = run_new(tmp_path / "f", TABLES["texts"])
    scorer = Scorer(model)
    said = ["late again", "\x00\x07", "\ud800 angry", "谢谢" * 500, "x" * 65_536, "  thanks\u2028"]
    rows = [{"x": 0.1, "said": one} for one in said]
    together = scorer.matrix(rows)

    assert together.tobytes() == np.concatenate([scorer.matrix([row]) for row in rows]).tobytes()
    assert together.tobytes() == scorer.encode(scorer.read(rows)).tobytes()
    assert ["x", "said"] == list(scorer.explain(together)[0]["contributions"])


@pytest.mark.slow
def test_a_million_levels_keep_the_most_frequent_thousand():
    """An id that slipped in costs seconds, and a package stays small."""
    n = 1_000_000
    chance = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "each": pl.int_range(n, eager=True).cast(pl.String) + "-key",
            "many": pl.Series(chance.zipf(1.3, n) % n).cast(pl.String),
        }
    )
    encoder = learn(frame, [Column(name=name, type="category") for name in frame.columns])
    x = encode(encoder, to_columns(frame, encoder.columns))
    category, frequency = encoder.encodings

    assert isinstance(category, Category)
    assert isinstance(frequency, Frequency)
    assert ("many", MOST_LEVELS, "1") == (category.column, len(category.levels), category.levels[0])
    assert (n, 2) == x.shape
    assert (frame["many"] == "1").mean() == pytest.approx(frequency.shares[0])


@pytest.mark.slow
def test_5000_columns_are_encoded():
    """Wide tables have features to the last column, and what says nothing is dropped among thousands."""
    chance = np.random.default_rng(4)
    numbers = {f"n{i}": chance.normal(size=50) for i in range(4_000)}
    kinds = {f"k{i}": pl.Series(chance.integers(0, 5, 50)).cast(pl.String) for i in range(990)}
    frame = pl.DataFrame({**numbers, **kinds, **{f"same{i}": [1] * 50 for i in range(10)}})
    types = {"n": "number", "k": "category", "s": "integer"}
    encoder = learn(frame, [Column(name=name, type=types[name[0]]) for name in frame.columns])

    assert (50, 4_990) == encode(encoder, to_columns(frame, encoder.columns)).shape


def test_a_table_without_a_word_to_learn_from_says_so(tmp_path: Path):
    """Nothing is trained on nothing."""
    with pytest.raises(SpecError, match="no feature is left to learn from"):
        run_new(
            tmp_path / "f", {"y": table()["y"], "id": TABLES["an id of text"]["id"], "same": ["a"] * ROWS}
        )
