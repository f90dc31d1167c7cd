"""A line that asks for a family beside those of the built-in engine: an extra, from the line file to the answer and the rebuild."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.data.profile.roles import GivenRoles
from linewright.errors import RequestError, SpecError
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line import engines
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.file.read import parse_line
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan, survey
from linewright.model.package.model import load
from linewright.model.spec import TrialsBudget
from linewright.model.train.refine import refined
from linewright.model.train.settings import ALSO, SETTINGS, Setting, Size, plain, planned, refinements
from linewright.serve.rows.scorer import Scorer

ROWS = 600
with_catboost = pytest.mark.skipif(
    find_spec("catboost") is None, reason="the extra catboost is not installed"
)
TASKS = ("binary", "multiclass", "regression")


def declare(root: Path, *, task: str = "binary", train: str = "also: [catboost]") -> Factory:
    """Make a factory with a line whose rows have numbers, missing ones, and categories of few and of many levels."""
    root.mkdir()
    chance = np.random.default_rng(3)
    age, income = chance.integers(18, 80, ROWS), chance.normal(50, 15, ROWS).round(2)
    plan, town = chance.choice(["basic", "family", "student", "pro"], ROWS), chance.integers(0, 60, ROWS)
    pull = 0.06 * (age - 49) + 2 * np.isin(plan, ["student", "pro"]) + (town % 3) + chance.logistic(size=ROWS)
    label = {
        "binary": np.where(pull > 1.5, "yes", "no"),
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(pull, [0.5, 2.5])],
        "regression": (100 * pull).round(3),
    }[task]
    frame = pl.DataFrame(
        {"age": age, "income": income, "plan": plan, "town": [f"town {one}" for one in town], "y": label}
    )
    missing = pl.Series(chance.random(ROWS) < 0.2)
    frame.with_columns(income=pl.when(missing).then(None).otherwise("income")).write_csv(root / "rows.csv")
    new_line(root, "line", root / "rows.csv", GivenRoles(label="y"))
    path = root / "lines" / "line.yaml"
    path.write_text(path.read_text().replace("  budget: normal", f"  {train}\n  budget: quick"))
    return Factory.create(root)


def only_catboost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing but CatBoost to choose, whatever is best for the rows."""
    small = {"learning_rate": 0.1, "max_depth": 4, "rounds": 60, "patience": 20}
    one = Setting(name="cb", family="catboost", settings=small)
    monkeypatch.setattr("linewright.model.train.search.planned", lambda *_: (one,))


def test_a_family_that_is_not_installed_says_how_to_get_it(tmp_path, monkeypatch):
    """Before anything is read or fitted, and whatever else the line says."""
    monkeypatch.setattr(engines, "_is_there", lambda _: False)
    factory = declare(tmp_path / "factory")
    for ask in (check_line, execute_inline):
        with pytest.raises(RequestError, match=r"pip install 'linewright\[catboost\]'") as told:
            ask(factory, "line")

        assert "no module 'catboost'" in str(told.value.found)
    factory.close()


def test_a_family_is_tried_by_the_built_in_engine_alone():
    """Beside another engine the word would have no effect."""
    text = (
        "line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\ntrain: {also: [catboost], engine: flaml}\n"
    )
    with pytest.raises(SpecError, match="also adds to what the built-in engine tries, and engine: flaml"):
        parse_line(text, name="lines/a.yaml")
    with pytest.raises(SpecError, match="catboost"):
        parse_line(text.replace("[catboost], engine: flaml", "[catbost]"), name="lines/a.yaml")


def test_asking_for_a_family_is_a_reason_to_train_and_asking_for_none_is_not(tmp_path):
    """What was trained before this word came stays settled."""
    factory = declare(tmp_path / "factory", train="also: []")
    execute_inline(factory, "line")
    same = make_plan(factory, factory.line("line")).changes
    path = factory.root / "lines" / "line.yaml"
    path.write_text(path.read_text().replace("also: []", "also: [catboost]"))
    other = make_plan(factory, factory.line("line")).changes
    factory.close()

    assert () == same
    assert "train" == other[0].step


@pytest.mark.parametrize("budget", ["quick", "normal", "thorough"])
def test_every_budget_buys_the_settings_of_a_family_that_is_asked_for(budget):
    """Behind the first; of trials they are some, and without the word there are none."""
    size = Size(rows=1_000, width=10, outputs=1)
    own, more = ([one.name for one in planned(budget, size, also)] for also in ((), ("catboost",)))
    some = planned(TrialsBudget(trials=2), size, ("catboost",))

    assert [own[0], "cb", "cb_s", *own[1:]] == more
    assert ["lgb", "cb"] == [one.name for one in some]
    assert all({"learning_rate", "rounds", "patience"} <= one.settings.keys() for one in some)


def test_trials_beyond_the_table_of_settings_seek_near_the_best_also_where_that_is_one_of_the_family():
    """The numbers that are proposed are CatBoost's."""
    size, best = Size(rows=1_000, width=10, outputs=1), ALSO[0]
    asked = []
    count = refinements(TrialsBudget(trials=14), size, best, rounds=200, folds=5, also=("catboost",))
    refined(plain(best), 0.5, count=count, seed=1, judge=lambda one: asked.append(one) or 0.6)

    assert 14 == len(SETTINGS) + len(ALSO) + count
    assert [f"cb.{number}" for number in range(1, count + 1)] == [one.name for one in asked]
    assert {"catboost"} == {one.family for one in asked}
    assert all(3 <= one.settings["max_depth"] <= 8 for one in asked)
    assert 0.06 == asked[0].settings["learning_rate"]


@with_catboost
@pytest.mark.parametrize("task", TASKS)
def test_catboost_is_judged_packaged_explained_and_rebuilt_as_any_other(tmp_path, monkeypatch, task):
    """Only the fitting differs, and an endpoint does not know of it."""
    only_catboost(monkeypatch)
    factory = declare(tmp_path / "factory", task=task)
    check_line(factory, "line")
    execute_inline(factory, "line")
    work = survey(begin(factory, factory.line("line")))[1]
    model = load(work.parity.package, factory.artifacts.get)
    scorer = Scorer(model)
    frame = work.rows.frame[work.rows.test].drop("y").head(30)
    x = encode(work.trained.encoder, to_columns(frame, work.trained.encoder.columns))
    told = scorer.explain(x, name="line@1")
    again = rebuild(
        factory, find_model(factory, "line@1"), workers=1, scratch=tmp_path / "scratch", report=quiet
    )

    contributions = [
        one["contributions"]["high"] if task == "multiclass" else one["contributions"] for one in told
    ]
    ends = [[one[word] for word in ("base", "score")] for one in told]
    ends = [[end["high"] for end in pair] for pair in ends] if task == "multiclass" else ends

    assert "cb" == work.trained.chosen
    assert "catboost" in work.trained.libraries
    assert work.parity.largest <= work.parity.allowed
    np.testing.assert_allclose(
        [score for _, score in ends],
        [base + sum(own.values()) for own, (base, _) in zip(contributions, ends, strict=True)],
        rtol=1e-9,
        atol=1e-9,
    )
    assert {"age", "income", "plan", "town"} == {name for own in contributions for name in own}
    assert ("R0", ()) == (again.level, again.differences)
    factory.close()


@with_catboost
def test_it_is_tried_beside_the_others_and_a_rebuild_without_it_says_what_to_install(tmp_path, monkeypatch):
    """The record names the extra; nobody has to guess why a model cannot be made again."""
    factory = declare(tmp_path / "factory")
    execute_inline(factory, "line")
    work = survey(begin(factory, factory.line("line")))[1]
    monkeypatch.setattr(engines, "_is_there", lambda _: False)
    with pytest.raises(
        RequestError, match=r"catboost is not installed.*pip install 'linewright\[catboost\]'"
    ):
        rebuild(factory, find_model(factory, "line@1"), workers=1, scratch=tmp_path / "scratch", report=quiet)
    factory.close()

    assert {"lin", "cb", "cb_s", "lgb_s"} == {one.name for one in work.trained.trials}
