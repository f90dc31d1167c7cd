"""Models that were imported: what scikit-learn answers, the endpoint answers, and a challenger can beat it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.card import card_facts
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import change_in_words
from linewright.model.card.render import card_markdown
from linewright.model.facts import Certificate, Package, Trained

SMALLEST = 1e-5
LEARNED = 600
"""Rows that a model learns from; those after them are handed to its line."""


def table(rows: int = 1_800) -> pl.DataFrame:
    """Make rows of which the outcome hangs on numbers, a category and how they meet."""
    chance = np.random.default_rng(7)
    age, income = chance.integers(18, 80, rows), chance.normal(50, 15, rows).round(3)
    city = chance.choice(["Köln", "Paris", "Oslo", "Rome"], rows, p=[0.4, 0.3, 0.2, 0.1])
    pull = 0.06 * (age - 49) + np.where(city == "Oslo", 2.0, -0.4) + 1.5 * np.sign((income - 50) * (age - 49))
    return pl.DataFrame(
        {
            "age": age,
            "income": income,
            "visits": chance.poisson(3, rows),
            "city": city,
            "left": np.where(chance.random(rows) < 1 / (1 + np.exp(-pull)), "yes", "no"),
            "level": np.digitize(pull + chance.normal(0, 0.5, rows), [-1.5, 1.5]),
            "amount": (pull * 10 + chance.normal(0, 2, rows)).round(4),
        }
    )


@dataclass
class Brought:
    """A line that has adopted a model, and the model itself."""

    root: Path
    model: Any
    features: list[str]
    frame: pl.DataFrame

    def expected(self, rows: pl.DataFrame) -> np.ndarray:
        x = as_read(rows.select(self.features))
        return self.model.predict_proba(x) if hasattr(self.model, "predict_proba") else self.model.predict(x)


def as_read(frame: pl.DataFrame) -> Any:
    """Return columns as scikit-learn reads them: by name where one of them is text."""
    return frame if "city" in frame.columns else frame.to_numpy().astype(np.float32)


def bring(
    root: Path,
    model: Any,
    features: list[str],
    label: str,
    types: Any,
    *,
    learned: int | None = None,
    **asked: Any,
) -> Brought:
    """Fit a model on the first rows, export it, and make a line of the others."""
    root.mkdir(exist_ok=True)
    frame = table()
    known, fresh = frame[: learned or LEARNED], frame[LEARNED:]
    model.fit(as_read(known.select(features)), known[label].to_numpy())
    (root / "model.onnx").write_bytes(to_onnx(model, initial_types=types, **asked).SerializeToString())
    fresh.select([*features, label]).write_csv(root / "fresh.csv")
    new_line(root, "churn", root / "fresh.csv", GivenRoles(label=label), model=root / "model.onnx")
    return Brought(root=root, model=model, features=features, frame=fresh)


def mixed_pipeline() -> Pipeline:
    parts = [
        ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ("numbers", StandardScaler(), ["age", "income"]),
    ]
    return Pipeline([("columns", ColumnTransformer(parts)), ("model", LogisticRegression(C=0.3))])


MIXED = [
    ("age", Int64TensorType([None, 1])),
    ("income", FloatTensorType([None, 1])),
    ("city", StringTensorType([None, 1])),
]


def floats(width: int) -> list[tuple[str, FloatTensorType]]:
    return [("input", FloatTensorType([None, width]))]


NUMERIC = ["age", "income", "visits"]
MODELS = {
    "mixed": (mixed_pipeline, ["age", "income", "city"], "left", MIXED, {}),
    "mixed, no map": (
        mixed_pipeline,
        ["age", "income", "city"],
        "left",
        MIXED,
        {"options": {"zipmap": False}},
    ),
    "forest": (
        lambda: RandomForestClassifier(30, max_depth=5, random_state=0),
        NUMERIC,
        "left",
        floats(3),
        {},
    ),
    "classes are numbers": (
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        NUMERIC,
        "level",
        floats(3),
        {},
    ),
    "any width": (
        lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        NUMERIC,
        "level",
        [("input", FloatTensorType([None, None]))],
        {},
    ),
    "regressor": (
        lambda: GradientBoostingRegressor(n_estimators=40, random_state=0),
        NUMERIC,
        "amount",
        floats(3),
        {},
    ),
    "line": (LinearRegression, NUMERIC, "amount", floats(3), {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_endpoint_answers_what_scikit_learn_answers(tmp_path, start, name):
    """Whoever brings a model must get that model: every probability, for whole tables and for single rows."""
    make, features, label, types, asked = MODELS[name]
    brought = bring(tmp_path / "factory", make(), features, label, types, **asked)
    with Factory.create(brought.root) as factory:
        result = execute_inline(factory, "churn")
        assert result.promoted, result_text(result)
        assert () == make_plan(factory, factory.line("churn")).changes
    rows = brought.frame.head(60)
    if "city" in features:
        rows = pl.concat([rows, rows.head(2).with_columns(city=pl.lit("Atlantis"))])
    expected = brought.expected(rows)
    endpoint = start(brought.root / ".linewright")
    asked_rows = rows.select(features).to_dicts()
    together = endpoint.predict(*asked_rows, line="churn")["predictions"]
    alone = [endpoint.predict(row, line="churn")["predictions"][0] for row in asked_rows[:5]]

    for answers in (together, alone):
        for answer, truth in zip(answers, expected, strict=False):
            if label == "amount":
                assert answer["prediction"] == pytest.approx(truth, rel=SMALLEST, abs=SMALLEST * 10)
                assert "interval" in answer
            else:
                named = dict(zip(map(str, brought.model.classes_), truth, strict=True))
                assert answer["probabilities"] == pytest.approx(named, abs=SMALLEST)


def without_model(root: Path) -> None:
    """Take the line `model` out, as the comment beside it says."""
    path = root / "lines" / "churn.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("  model:")]
    path.write_text("\n".join(kept).replace("budget: normal", "budget: quick"))


def test_a_challenger_trained_here_has_to_beat_it(tmp_path):
    """Removing one line turns the factory from a host of a model into one that improves on it, with evidence."""
    make, features, label, types, asked = MODELS["mixed"]
    brought = bring(tmp_path / "factory", make(), features, label, types, learned=LEARNED // 5, **asked)
    with Factory.create(brought.root) as factory:
        adopted = execute_inline(factory, "churn")
        without_model(brought.root)
        steps = make_plan(factory, factory.line("churn")).changes
        challenger = execute_inline(factory, "churn")
        certificate = factory.metadata.get(challenger.certificate, Certificate)
        seen = factory.metadata.get(factory.metadata.get(adopted.digest, Package).trained, Trained)
        by_hand = factory.metadata.get(factory.metadata.get(challenger.digest, Package).trained, Trained)

    assert ["train", "package", "explain", "decide", "evaluate", "gate", "release"] == [
        step.step for step in steps
    ]
    assert "the model file" in change_in_words(steps[0])
    assert ("churn@1", "churn@2") == (adopted.candidate, challenger.candidate)
    assert challenger.promoted, result_text(challenger)
    assert (adopted.digest, "promote") == (certificate.rival, certificate.verdict)
    assert seen.adopted
    assert not by_hand.adopted
    assert 0 == seen.rows < by_hand.rows


def test_a_replaced_file_is_a_new_model(tmp_path):
    """A file that changes below the factory is noticed by `plan`, and nothing serves it before the gates have seen it."""
    make, features, label, types, asked = MODELS["forest"]
    root = tmp_path / "factory"
    bring(root, make(), features, label, types, **asked)
    with Factory.create(root) as factory:
        first = execute_inline(factory, "churn")
        other = RandomForestClassifier(5, max_depth=2, random_state=1)
        other.fit(as_read(table().select(features)), table()[label].to_numpy())
        (root / "model.onnx").write_bytes(to_onnx(other, initial_types=types).SerializeToString())
        because = change_in_words(make_plan(factory, factory.line("churn")).changes[0])
        second = execute_inline(factory, "churn")

    assert "the model file changed" == because
    assert first.digest != second.digest
    assert "churn@2" == second.candidate


def test_the_card_says_what_is_not_known(tmp_path):
    """A reader of the card must not take the figures for more than they are."""
    make, features, label, types, asked = MODELS["mixed"]
    root = tmp_path / "factory"
    bring(root, make(), features, label, types, **asked)
    with Factory.create(root) as factory:
        execute_inline(factory, "churn")
        card = card_markdown(card_facts(factory, find_model(factory, "churn")))

    assert "imported" in card
    assert "Which rows it has learned from is not known" in card
    assert "skl2onnx" in card
    assert "has not seen" not in card


def test_batch_scoring_needs_nothing_more(tmp_path):
    """What a trained model can do, an adopted one can: answer a whole file."""
    make, features, label, types, asked = MODELS["mixed"]
    brought = bring(tmp_path / "factory", make(), features, label, types, **asked)
    brought.frame.select(features).write_csv(tmp_path / "rows.csv")
    with Factory.create(brought.root) as factory:
        execute_inline(factory, "churn")
        predict_file(factory, "churn", tmp_path / "rows.csv", tmp_path / "answers.csv")
        answers = pl.read_csv(tmp_path / "answers.csv")

    assert np.allclose(answers["probabilities_yes"], brought.expected(brought.frame)[:, 1], atol=SMALLEST)


def test_what_decisions_are_worth_moves_the_threshold(tmp_path):
    """A model that answers the likelier class may still be used where a miss costs ten false alarms."""
    make, features, label, types, asked = MODELS["mixed"]
    root = tmp_path / "factory"
    bring(root, make(), features, label, types, **asked)
    with Factory.create(root) as factory:
        plain = execute_inline(factory, "churn")
        path = root / "lines" / "churn.yaml"
        path.write_text(
            path.read_text() + "value: {true_positive: 90, false_positive: -10, false_negative: -100}\n"
        )
        valued = execute_inline(factory, "churn")
        thresholds = [factory.metadata.get(one.digest, Package).threshold for one in (plain, valued)]

    assert 0.5 == thresholds[0]
    assert 0 < thresholds[1] < 0.2
