"""Estimators of others: what they become, what is asked of them, and what is said where that fails."""

import warnings
from collections.abc import Callable
from importlib.metadata import packages_distributions
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import ensemble, tree
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from linewright.errors import Corrupt, RequestError, UserCodeError
from linewright.model.custom.estimator import (
    EstimatorTrainer,
    Maker,
    _is_fitted,
    libraries_of,
    require_alike,
    seeded,
    spelled,
    takes_weights,
)
from linewright.model.export.parity import refused_by
from linewright.model.export.to_onnx import to_onnx
from linewright.model.families.fitted import Fitted
from linewright.model.families.lightgbm import BoostedFitted
from linewright.model.families.onnx_model import WholeFitted
from linewright.model.families.trainer import read_native
from linewright.model.families.tree_arrays import GrownFitted
from linewright.model.families.xgboost import XGBoostFitted
from linewright.model.onnx.session import open_graph
from linewright.testing.trainers import CODES, TASKS, TrainerContract, class_count, mixed_rows


def columns() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    codes = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("numbers", numbers, slice(0, 4)), ("codes", codes, list(CODES))])


def maker(make: Callable[[], Any]) -> Maker:
    return Maker(
        name="build in models.py", make=make, section="train.python", at="models.py:7", file="models.py"
    )


def fit(make: Callable[[], Any], task: str, *, filled: bool = False, **changes: Any) -> tuple[Any, Fitted]:
    """Fit to mixed rows, in which no column is empty, or even no number is missing."""
    x, target, weight = mixed_rows(task)
    x[:, 3] = x[::-1, 0]
    if filled:
        x = np.nan_to_num(x)
    given: dict[str, Any] = {"x": x, "target": target, "weight": weight} | changes
    x, target, weight = (given[name] for name in ("x", "target", "weight"))
    fitted = EstimatorTrainer(maker(make)).fit(
        x,
        target,
        weight,
        categorical=CODES,
        task=task,
        classes=class_count(task),
        rounds=None,
        valid=None,
        seed=5,
        settings={},
    )
    return x, fitted


class TestPipeline(TrainerContract):
    """A pipeline that knows numbers from codes keeps the whole contract of a family."""

    @pytest.fixture
    def trainer(self, request):
        task = request.getfixturevalue("task") if "task" in request.fixturenames else "multiclass"

        def make():
            first = (
                columns()
                if "one_column" not in request.node.name
                else SimpleImputer(keep_empty_features=True)
            )
            return make_pipeline(first, Ridge() if task == "regression" else LogisticRegression(max_iter=500))

        return EstimatorTrainer(maker(make))

    @pytest.fixture
    def settings(self):
        return {}


KINDS = {
    "lightgbm": (
        LGBMClassifier(n_estimators=15, verbose=-1),
        LGBMRegressor(n_estimators=15, verbose=-1),
        BoostedFitted,
    ),
    "xgboost": (XGBClassifier(n_estimators=15), XGBRegressor(n_estimators=15), XGBoostFitted),
    "xgboost forest": (XGBRFClassifier(n_estimators=9), XGBRFRegressor(n_estimators=9), XGBoostFitted),
    "tree": (tree.DecisionTreeClassifier(max_depth=5), tree.DecisionTreeRegressor(max_depth=5), GrownFitted),
    "forest": (
        ensemble.RandomForestClassifier(n_estimators=15),
        ensemble.RandomForestRegressor(n_estimators=15),
        GrownFitted,
    ),
    "extra trees": (
        ensemble.ExtraTreesClassifier(n_estimators=15),
        ensemble.ExtraTreesRegressor(n_estimators=15),
        GrownFitted,
    ),
    "histogram": (
        ensemble.HistGradientBoostingClassifier(max_iter=15),
        ensemble.HistGradientBoostingRegressor(max_iter=15),
        GrownFitted,
    ),
    "gradient": (
        ensemble.GradientBoostingClassifier(n_estimators=15),
        ensemble.GradientBoostingRegressor(n_estimators=15),
        GrownFitted,
    ),
    "linear": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), Ridge()),
        WholeFitted,
    ),
    "neighbours": (
        make_pipeline(SimpleImputer(), KNeighborsClassifier()),
        make_pipeline(SimpleImputer(), Ridge()),
        WholeFitted,
    ),
}
READS_MISSING = {
    "lightgbm",
    "xgboost",
    "xgboost forest",
    "tree",
    "forest",
    "extra trees",
    "histogram",
    "neighbours",
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("filled", [False, True], ids=["missing", "filled"])
def test_what_an_estimator_becomes_answers_as_its_graph_does(name, task, filled):
    """The model that is judged is the model that serves, whichever library fitted it."""
    if not filled and name not in READS_MISSING:
        pytest.skip("it does not read missing values")
    classifier, regressor, kind = KINDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, fitted = fit(lambda: clone(regressor if task == "regression" else classifier), task, filled=filled)
    native = fitted.to_native()
    again = read_native(native)
    outputs = class_count(task) or 1
    graph = open_graph(to_onnx(native, width=6), inputs=[("x", "float", 6)], outputs=outputs, where="graph")
    odd = x.copy()
    odd[::3, [i for i in range(4) if i not in refused_by(fitted)]] = np.nan
    odd[::2, CODES] = 0.0
    found = graph.run({"x": odd}, len(odd))
    expected = again.scores(odd).reshape(len(odd), outputs)

    assert kind is type(fitted)
    assert np.array_equal(fitted.scores(odd), again.scores(odd), equal_nan=True)
    np.testing.assert_allclose(found, expected, atol=1e-6 * max(1.0, float(np.abs(expected).max())))


def test_a_forest_keeps_its_way_for_missing_values():
    """The usual converter sends them the other way: answers were wrong by up to 0.8."""
    forest = ensemble.RandomForestClassifier(n_estimators=15, random_state=0)
    x, fitted = fit(lambda: forest, "binary")
    odd = x.copy()
    odd[:, :2] = np.nan

    np.testing.assert_allclose(forest.predict_proba(odd), fitted.scores(odd), atol=1e-6)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "forest", "histogram", "gradient", "linear"])
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_that_a_fold_lacks_gets_a_small_probability(name, absent):
    """A rare class may be absent from what a fold learns from; libraries then know one class fewer."""
    x, target, weight = mixed_rows("multiclass")
    seen = target != absent
    changes = {"x": np.nan_to_num(x[seen]), "target": target[seen], "weight": weight[seen]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows, fitted = fit(lambda: clone(KINDS[name][0]), "multiclass", **changes)
    scores = read_native(fitted.to_native()).scores(rows)

    assert scores[:, absent].max() < 1e-4
    assert np.isfinite(np.log(scores)).all()
    assert 0.7 < np.mean(scores.argmax(axis=1) == changes["target"])


def test_it_says_without_which_numbers_it_does_not_answer():
    """An endpoint must refuse a row that the estimator would have refused, and answer all others."""
    scaled = ColumnTransformer(
        [("filled", SimpleImputer(), [0]), ("as they are", "passthrough", [1, 2, 3, 4, 5])]
    )
    x, fitted = fit(
        lambda: make_pipeline(scaled, StandardScaler(), LogisticRegression()), "binary", filled=True
    )
    odd = np.tile(x[:1], (4, 1))
    odd[np.arange(4), np.arange(4)] = np.nan

    assert (1, 2, 3) == refused_by(fitted)
    assert [False, True, True, True] == np.isnan(fitted.scores(odd)).any(axis=1).tolist()


def test_weights_of_rows_reach_the_last_step_of_a_pipeline():
    """A line's weights count in somebody's estimator too, where its fit takes them."""
    x, target, weight = mixed_rows("binary")
    heavy = np.where(target == 1, 50.0, weight)
    shares = [
        fit(
            lambda: make_pipeline(columns(), LogisticRegression()), "binary", x=x, target=target, weight=each
        )[1]
        .scores(x)[:, 1]
        .mean()
        for each in (np.ones(len(x)), heavy)
    ]

    assert shares[0] + 0.1 < shares[1]
    assert takes_weights(make_pipeline(LogisticRegression()))
    assert not takes_weights(KNeighborsClassifier())


def test_what_a_search_finds_best_is_what_is_converted():
    """A search of the user's own is an estimator too; its weights, its seed and its export are those of what it found."""
    x, target, weight = mixed_rows("binary")
    grid = {"num_leaves": [3, 7]}
    search = GridSearchCV(
        make_pipeline(LGBMClassifier(n_estimators=10, verbose=-1)),
        {f"lgbmclassifier__{name}": each for name, each in grid.items()},
        cv=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, fitted = fit(lambda: search, "binary", x=x, target=target, weight=weight)
        expected = search.predict_proba(x)

    assert isinstance(fitted, BoostedFitted)
    assert takes_weights(search)
    np.testing.assert_allclose(expected, fitted.scores(x), atol=1e-9)


def test_what_is_told_of_an_estimator_has_no_address():
    """It is part of the record: a rebuild in another process must say the same."""
    told = spelled(FunctionTransformer(halves))

    assert "0x" not in told
    assert "halves" in told


def test_what_two_calls_return_is_alike_though_no_object_is_the_same():
    """Whoever writes settings down plainly must not be told that they are drawn by chance."""

    def build():
        steps = [("f", FunctionTransformer(lambda rows: rows * 2)), ("g", Odd(np.random.default_rng(3)))]
        return Pipeline([*steps, ("c", ensemble.RandomForestClassifier(max_depth=3))])

    maker = Maker(name="build in models.py", make=build, section="train.python", at="models.py:1")
    require_alike(build(), build(), maker)
    require_alike(object(), object(), maker)

    other = build().set_params(c__max_depth=4)
    with pytest.raises(UserCodeError, match="c__max_depth: 3, then 4"):
        require_alike(build(), other, maker)


def test_each_seed_that_is_left_open_is_given():
    """A rebuild gives the same bytes only where nothing is left to chance."""
    open_ = make_pipeline(columns(), ensemble.RandomForestClassifier(), LGBMClassifier(random_state=3))
    seeded(open_, 11)
    told = open_.get_params()

    assert (11, 3) == (told["randomforestclassifier__random_state"], told["lgbmclassifier__random_state"])
    assert (None, 1) == (told["randomforestclassifier__n_jobs"], told["lgbmclassifier__n_jobs"])


class Odd(ClassifierMixin, BaseEstimator):
    """Answers what it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def fit(self, x, y):
        assert len(x) == len(y)
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return self.answer(len(x))


class OfTables(Odd):
    """Reads a column by its name."""

    def fit(self, x, y):
        return super().fit(x["age"], y)


class OfNames(Odd):
    """Expects the words of the label."""

    def fit(self, x, y):
        return super().fit(x, [{"no": 0, "yes": 1}[each] for each in y])


class Shift(TransformerMixin, BaseEstimator):
    """A step that nobody knows how to say in ONNX."""

    def fit(self, x, y):
        assert len(x) == len(y)
        return self

    def transform(self, x):
        return x + 1


def halves(n: int) -> np.ndarray:
    return np.full((n, 2), 0.5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Odd(lambda n: np.full((n, 2), np.nan)),
            r"predict_proba of Odd gives no finite answer",
        ),
        (lambda: Odd(lambda n: np.full(n, 0.5)), r"another shape.*\(\d+,\).*\(\d+, 2\)"),
        (lambda: Odd(lambda n: np.full((n, 2), 0.9)), r"no probabilities.*\[0.9, 0.9\]"),
        (lambda: Odd(lambda n: n / 0), "predict_proba of Odd failed: ZeroDivisionError"),
        (LinearSVC, "without predict_proba.*CalibratedClassifierCV"),
        (lambda: LogisticRegression, r"returns a class.*return LogisticRegression\(\)"),
        (lambda: 5, "without fit and predict_proba.*int"),
        (lambda: 1 / 0, "build in models.py failed: ZeroDivisionError"),
        (lambda: exit(3), "build in models.py failed: SystemExit: 3"),  # noqa: PLR1722 -- as a user would
        (LogisticRegression, "Input X contains NaN.*SimpleImputer"),
        (lambda: LogisticRegression(C=-1), "fit of LogisticRegression failed"),
        (
            lambda: LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
            r"fitted already: found 'LogisticRegression', .*Next: return it unfitted",
        ),
        (
            lambda: make_pipeline(LGBMClassifier(n_estimators=1, verbose=-1)).fit(
                np.eye(40), np.arange(40) % 2
            ),
            "fitted already",
        ),
        (
            lambda: make_pipeline(XGBClassifier(n_estimators=1)).fit(np.eye(40), np.arange(40) % 2),
            "fitted already",
        ),
        (
            lambda: OfTables(halves),
            "fit of OfTables failed: IndexError: .*an array of numbers, not as a table",
        ),
        (lambda: OfNames(halves), r"fit of OfNames failed: KeyError: .*classes come as codes, 0, 1, \.\.\."),
    ],
)
def test_what_is_no_estimator_is_told_with_file_and_line(make, says):
    """Whoever wrote it must find the place."""
    with pytest.raises(UserCodeError, match=says) as told:
        fit(make, "binary")

    assert "models.py:7" == told.value.where


@pytest.mark.parametrize(
    ("make", "task", "why"),
    [
        (lambda: Odd(halves), "binary", "skl2onnx does not convert it"),
        (
            lambda: make_pipeline(FunctionTransformer(lambda x: x), clone(KINDS["forest"][0])),
            "binary",
            "skl2onnx does not convert it",
        ),
        (
            lambda: make_pipeline(SimpleImputer(), LGBMClassifier(verbose=-1)),
            "binary",
            "skl2onnx does not convert it",
        ),
        (lambda: LGBMRegressor(objective="tweedie", verbose=-1), "regression", "its objective is 'tweedie'"),
        (lambda: LGBMRegressor(linear_tree=True, verbose=-1), "regression", "its leaves are linear models"),
        (
            lambda: LGBMClassifier(boosting_type="rf", subsample=0.5, subsample_freq=1, verbose=-1),
            "binary",
            "its trees are averaged",
        ),
        (lambda: XGBRegressor(objective="reg:gamma"), "regression", "its objective is 'reg:gamma'"),
        (lambda: XGBClassifier(booster="gblinear"), "binary", "booster gbtree"),
        (
            lambda: ensemble.HistGradientBoostingRegressor(loss="poisson"),
            "regression",
            "its loss is 'poisson'",
        ),
        (
            lambda: ensemble.HistGradientBoostingClassifier(categorical_features=[4]),
            "binary",
            "it has categories of its own",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(make, task, why):
    """It would have to be served out of process, which nobody does here; the user learns what to do instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RequestError, match=why) as told:
            fit(make, task, filled=task == "regression")

    assert "cannot be exported to ONNX" in told.value.what
    assert "served out of process" in told.value.what
    assert "the built-in engine trains" in told.value.hint
    assert "train.python" == told.value.where


def test_a_refusal_names_the_step_at_fault_and_the_last_one_once():
    """Who has ten steps would try ten others."""
    inner = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression())
    with pytest.raises(RequestError, match="cannot be exported") as told:
        fit(lambda: make_pipeline(Shift(), make_pipeline(StandardScaler(), inner)), "binary")

    assert told.value.what.startswith(
        "a pipeline that ends with LogisticRegression cannot be exported to ONNX: its step Shift, of "
    )
    assert "is no class of scikit-learn, and skl2onnx does not convert it" in told.value.what
    assert str(told.value.found).startswith("Shift of ")


@pytest.mark.parametrize("name", KINDS)
def test_an_unfitted_estimator_is_not_taken_for_a_fitted_one(name):
    """Libraries set attributes of their own before they learn anything."""
    for own in KINDS[name][:2]:
        assert not _is_fitted(clone(own))
    assert not _is_fitted(GridSearchCV(clone(own), {}))


def test_a_setting_that_a_library_refuses_is_told_without_guesses():
    """The library's own words say what is allowed."""
    with pytest.raises(UserCodeError, match="The 'C' parameter") as told:
        fit(lambda: make_pipeline(SimpleImputer(), LogisticRegression(C=-1)), "binary")

    assert not told.value.hint


def test_trees_that_do_not_hang_together_are_refused():
    """What is read back may be anybody's bytes: a walk must stay in its tree and end."""
    _, fitted = fit(lambda: clone(KINDS["tree"][0]), "binary")
    native = fitted.to_native()
    assert isinstance(fitted, GrownFitted)
    yes = np.frombuffer(fitted.native.yes, "<i4").copy()
    yes[0] = 0
    import base64

    loop = native.replace(base64.b64encode(fitted.native.yes), base64.b64encode(yes.tobytes()))

    assert loop != native
    with pytest.raises(Corrupt, match="do not fit together"):
        read_native(loop)


def test_what_is_installed_is_read_once_and_again_once_it_changes(tmp_path, monkeypatch):
    """To read it takes a tenth of a second, each time that a line with an estimator trains."""
    asked = []
    monkeypatch.setattr(
        "linewright.model.custom.estimator.packages_distributions",
        lambda: asked.append(1) or packages_distributions(),
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = type("Own", (BaseEstimator,), {"__module__": "steeple"})()
    found = [libraries_of(own), libraries_of(own)]
    metadata = tmp_path / "steeple_kit-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: steeple-kit\nVersion: 1.5\n")
    (metadata / "top_level.txt").write_text("steeple\n")

    assert [{}, {}] == found
    assert {"steeple-kit": "1.5"} == libraries_of(own)
    assert 2 == len(asked)
