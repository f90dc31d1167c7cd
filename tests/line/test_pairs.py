"""A line whose label goes by the product of two columns: found, told to people, asked row by row, and trained again to the same bytes."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.lookup import look_up
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.data.profile.roles import GivenRoles
from linewright.features.facts import Arithmetic
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory, quiet
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.model.package.model import load
from linewright.model.train import settings
from linewright.serve.rows.scorer import Scorer

ROWS = 700
SETTINGS = ("lgb", "lgb_s", "lin")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Give a factory whose line has a model, with its package."""
    root = tmp_path_factory.mktemp("pairs") / "factory"
    root.mkdir()
    chance = np.random.default_rng(3)
    torque, speed, wear = chance.normal(size=(3, ROWS)).round(3)
    power = torque * speed + 0.3 * chance.normal(size=ROWS)
    with (root / "parts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "torque", "speed", "wear", "power"])
        told = ["" if number % 40 == 0 else each for number, each in enumerate(torque)]
        writer.writerows(zip(range(ROWS), told, speed, wear, power.round(6), strict=True))
    new_line(root, "parts", root / "parts.csv", GivenRoles(label="power", key="part"))
    file = root / "lines" / "parts.yaml"
    file.write_text(file.read_text().replace("budget: normal", "budget: thorough\n  folds: 2\n #"))
    # Of `thorough`, what is about pairs, and few of its settings.
    less = replace(settings._BUDGETS["thorough"], refined=0, names=SETTINGS)
    with Factory.create(root) as factory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_BUDGETS", {**settings._BUDGETS, "thorough": less})
        execute_inline(factory, "parts")
        digest = find_model(factory, "parts@1").digest
        yield factory, factory.metadata.get(digest, Package), load(digest, factory.artifacts.get)


def test_the_package_has_it_as_plain_data(ran):
    """And people read of it."""
    factory, package, _ = ran

    assert Arithmetic(column="torque", operation="times", other="speed") in package.encoder.encodings
    assert "what two numbers are together" in json.dumps(look_up(factory, package.trained).body)


def test_rows_are_answered_and_explained_alike_one_by_one_and_together(ran):
    """Also where one of the two is missing; what the product did is told beside what its columns did."""
    _, _, model = ran
    scorer = Scorer(model)
    rows = [
        {"torque": 1.5, "speed": -2.0, "wear": 0.1},
        {"torque": None, "speed": 0, "wear": 3},
        {"torque": -1.2, "speed": -1.1, "wear": 1e300},
    ]
    together = scorer.answers(scorer.matrix(rows * 4))[:3]
    alone = [scorer.answers(scorer.matrix([row]))[0] for row in rows]
    explained = scorer.explain(scorer.matrix(rows))

    assert together == alone
    assert abs(alone[0]["prediction"] + 3) < 0.8
    assert "torque*speed" in explained[0]["contributions"]
    for one in explained:
        assert one["score"] == pytest.approx(one["base"] + sum(one["contributions"].values()))
    assert {} == scorer.warnings(scorer.matrix(rows[:1]), rows[:1])


def test_it_is_trained_again_to_the_same_bytes(ran, tmp_path):
    """Pairs are chosen anew, and alike."""
    factory, _, _ = ran
    again = rebuild(factory, find_model(factory, "parts@1"), workers=1, scratch=tmp_path, report=quiet)

    assert "R0" == again.level, result_text(again)
