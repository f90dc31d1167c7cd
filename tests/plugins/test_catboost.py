"""CatBoost: what is kept of it answers as it does, and needs nothing of it."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("catboost")

from linewright.errors import Terminal
from linewright.model.export.to_onnx import to_onnx
from linewright.plugins import catboost as plugin
from linewright.plugins.catboost import LEVELS, CatBoost
from linewright.testing.trainers import CODES, TASKS, TrainerContract, class_count, mixed_rows


class TestCatBoost(TrainerContract):
    """CatBoost keeps the contract of trainers."""

    @pytest.fixture
    def trainer(self):
        return CatBoost()

    @pytest.fixture(params=[4, 8], ids=["shallow", "deep"])
    def settings(self, request):
        return {"learning_rate": 0.2, "max_depth": request.param, "patience": 10, "rounds": 50}


SETTINGS = {"learning_rate": 0.1, "max_depth": 6, "patience": 10, "rounds": 60}


def fit(task, *, rounds=30, n=400, **changes):
    x, target, weight = mixed_rows(task, n)
    rows = {"x": x, "target": target, "weight": weight} | changes
    asked = {"categorical": CODES, "task": task, "classes": class_count(task)} | {
        name: rows.pop(name) for name in [*rows] if name not in {"x", "target", "weight"}
    }
    given = {"valid": None, "seed": 5, "settings": SETTINGS} | asked
    return CatBoost().fit(rows["x"], rows["target"], rows["weight"], rounds=rounds, **given)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_kept_answers_as_catboost_does(monkeypatch, task):
    """On rows as they are, rows whose numbers were dealt anew, without numbers, and with codes that are new."""
    seen = []
    own = plugin._Truth.apart
    monkeypatch.setattr(
        plugin._Truth,
        "apart",
        lambda self, *told: seen.append((own(self, *told), len(told[0]))) or seen[-1][0],
    )
    fit(task)

    [(apart, rows)] = seen
    assert 1e-6 >= apart
    assert 500 < rows


def test_trees_that_are_read_otherwise_than_they_answer_are_refused(monkeypatch):
    """Another version of CatBoost may write them in another way, and nobody would see it in the answers."""
    own = plugin._bound
    monkeypatch.setattr(plugin, "_bound", lambda asks: own(asks) + 0.3)
    with pytest.raises(Terminal, match="wrote answer otherwise than it does") as told:
        fit("binary")

    assert "take catboost out of train.also" in told.value.hint


@pytest.mark.parametrize("task", TASKS)
def test_a_tree_asks_nothing_whose_answer_is_known(task):
    """A level asks the same of all its nodes; what the way has said already is left out, so that graphs are small."""
    fitted = fit(task)
    sizes = [len(tree.left) for tree in fitted.native.trees]

    assert max(sizes) < 2**7 - 1
    for tree in fitted.native.trees:
        for node, left in enumerate(tree.left):
            if left >= 0 and node not in tree.codes:
                for side, is_right in ((left, False), (left + 1, True)):
                    below = tree.left[side] >= 0 and side not in tree.codes
                    if below and tree.column[side] == tree.column[node]:
                        assert (tree.bound[side] > tree.bound[node]) == is_right


def test_watched_rows_say_when_more_rounds_help_no_more():
    """And each round has one tree an output."""
    x, target, weight = mixed_rows("multiclass", seed=2)
    fitted = fit("multiclass", rounds=None, valid=(x, target, weight))

    assert 1 <= fitted.rounds < SETTINGS["rounds"]
    assert 3 * fitted.rounds == len(fitted.native.trees)


def test_watched_rows_may_lack_what_no_row_lacked():
    """CatBoost itself refuses them."""
    x, target, weight = mixed_rows("binary")
    whole = np.nan_to_num(x)
    fitted = fit("binary", rounds=None, x=whole, valid=(x, target, weight))

    assert np.isfinite(fitted.scores(x)).all()


def test_rows_that_are_all_alike_are_answered_with_their_mean():
    """CatBoost refuses to fit where there is nothing to learn."""
    x, target, weight = mixed_rows("regression")
    same = fit("regression", target=np.full(len(x), 7.0))
    blank = fit("regression", x=np.zeros_like(x))

    np.testing.assert_allclose(same.scores(x), 7.0)
    np.testing.assert_allclose(blank.scores(x), np.average(target, weights=weight))


def test_levels_beyond_the_most_frequent_are_answered_alike():
    """So many sets would not fit into a graph."""
    chance = np.random.default_rng(1)
    codes = np.concatenate([np.repeat(np.arange(2, 52), 10), np.arange(52, 152)]).astype(np.float32)
    target = codes + chance.normal(size=len(codes))
    asked = {"x": codes[:, np.newaxis], "target": target, "weight": np.ones(len(codes)), "categorical": (0,)}
    fitted = fit("regression", rounds=60, **asked)
    said = fitted.scores(np.arange(200, dtype=np.float32)[:, np.newaxis])

    assert LEVELS < len(np.unique(said.round(9)[2:52]))
    assert 1 == len(np.unique(said[60:]))
    assert said[0] == said[60]


def test_nothing_of_it_is_needed_to_read_and_export_what_is_kept():
    """An endpoint has no extras, nor does who verifies a package."""
    code = (
        "import sys\nsys.modules['catboost'] = None\n"
        "from linewright.model.export.to_onnx import to_onnx\n"
        "print(len(to_onnx(sys.stdin.buffer.read(), 6)))"
    )
    native = fit("binary").to_native()
    done = subprocess.run([sys.executable, "-c", code], input=native, capture_output=True, check=True)

    assert len(to_onnx(native, 6)) == int(done.stdout)
