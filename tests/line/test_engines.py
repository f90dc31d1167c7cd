"""A line whose model a user's function or another engine makes: from the line file to an answer, and again from the record."""

import csv
import os
import subprocess
import tarfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.rebuild.compare import Rebuilding, rebuild
from linewright.capabilities.evidence.rebuild.difference_text import difference_in_words
from linewright.data.finding_text import evidence_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, RequestError, SpecError, UserCodeError
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.file.read import parse_line, read_line
from linewright.line.holdings.results import verify_model
from linewright.line.record.registry import find_model
from linewright.line.run_context import Work
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan, survey
from linewright.line.runs.plan_text import change_in_words
from linewright.model.package.model import load
from linewright.model.reason_text import chosen_in_words
from linewright.serve.rows.scorer import Scorer

LINEAR = """\
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build():
    return make_pipeline(StandardScaler(), LogisticRegression())
"""
FOREST = """\
from sklearn import ensemble


def build(task, classes, columns, categorical):
    assert len(columns) > 3
    assert not categorical
    kind = ensemble.RandomForestRegressor if task == "regression" else ensemble.RandomForestClassifier
    return kind(n_estimators=20)
"""
TABLES = {"binary": load_breast_cancer, "multiclass": load_wine, "regression": load_diabetes}


def declare(
    root: Path, *, code: str | None = LINEAR, table: str = "binary", train: str = 'python: "models.py:build"'
) -> Factory:
    """Make a factory with a line of one of scikit-learn's tables, and a user's file beside it."""
    root.mkdir()
    bunch: Any = TABLES[table]()
    names = ["row", *(name.replace(" ", "_").replace("/", "_") for name in bunch.feature_names[:8]), "y"]
    with (root / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        order = np.random.default_rng(0).permutation(len(bunch.target))
        for number in order.tolist():
            truth = bunch.target[number]
            spelt = f"{truth:.1f}" if table == "regression" else f"class {truth}"
            writer.writerow([f"R{number}", *(f"{value:.6g}" for value in bunch.data[number][:8]), spelt])
    new_line(root, "line", root / "rows.csv", GivenRoles(label="y", key="row"))
    path = root / "lines" / "line.yaml"
    text = path.read_text()

    assert "  budget: normal" in text
    path.write_text(text.replace("  budget: normal", f"  {train}\n  budget: normal"))
    if code is not None:
        (root / "models.py").write_text(code)
    return Factory.create(root)


@pytest.fixture
def made(opened: Any) -> Any:
    """Give a function that makes a factory."""
    return partial(opened, declare)


def rebuilt(factory: Factory, scratch: Path) -> Rebuilding:
    scratch.mkdir(exist_ok=True)
    return rebuild(factory, find_model(factory, "line@1"), workers=1, scratch=scratch, report=quiet)


def work_of(factory: Factory) -> Work:
    return survey(begin(factory, factory.line("line")))[1]


def test_a_function_of_the_user_becomes_an_answer_and_can_be_rebuilt(made, tmp_path):
    """The whole way: gates, calibration, package, endpoint, record."""
    factory = made()
    checked = check_line(factory, "line")
    result = execute_inline(factory, "line")
    work = work_of(factory)
    scorer = Scorer(load(work.parity.package, factory.artifacts.get))
    frame = work.rows.frame[work.rows.test]
    answers = scorer.score(frame.drop("y").head(20).to_dicts())
    again = rebuilt(factory, tmp_path / "scratch")

    # What a notebook would have said, but for calibration, which keeps the order.
    encoder = work.trained.encoder
    rows = work.rows.frame[work.rows.train]
    x, new = (encode(encoder, to_columns(each, encoder.columns)) for each in (rows, frame))
    own = make_pipeline(StandardScaler(), LogisticRegression()).fit(x.astype(float), rows["y"].to_list())
    expected = own.predict_proba(new.astype(float))[:20, 1]

    with pytest.raises(RequestError, match="does not add up scores") as unexplained:
        scorer.explain(new[:1], name="line@1")

    assert "line@1" == unexplained.value.found
    assert "return an estimator of LightGBM or XGBoost" in unexplained.value.hint
    assert () == checked.breaches
    assert "promote" == result.verdict
    assert 0.9 < {one.name: one.value for one in result.metrics}["average_precision"]
    assert "build in models.py" in chosen_in_words(work.trained)
    assert "LogisticRegression" in work.trained.estimated.estimator
    assert LINEAR.encode() == factory.artifacts.get(work.trained.estimated.code)
    found = [one["probabilities"]["class 1"] for one in answers]
    assert np.argsort(expected).tolist() == np.argsort(found).tolist()
    assert ("R0", ()) == (again.level, again.differences)
    assert () == make_plan(factory, factory.line("line")).changes
    assert 0 == verify_model(factory, find_model(factory, "line@1")).exit_code


@pytest.mark.parametrize("table", TABLES)
def test_each_task_goes_the_same_way(made, tmp_path, table):
    """Only the fitting differs: numbers get an interval, classes their probabilities."""
    factory = made(code=FOREST, table=table)
    execute_inline(factory, "line")
    work = work_of(factory)
    answer = Scorer(load(work.parity.package, factory.artifacts.get)).score(
        work.rows.frame[work.rows.test].drop("y").head(1).to_dicts()
    )[0]

    assert table == work.trained.task
    assert ("low" in str(answer) or "interval" in str(answer)) == (table == "regression")
    assert work.evaluation.metrics[0].value is not None
    assert "R0" == rebuilt(factory, tmp_path / "scratch").level


def test_another_file_is_another_model_and_plan_says_so(made):
    """A changed estimator must not pass for the one that was judged."""
    factory = made()
    execute_inline(factory, "line")
    (factory.root / "models.py").write_text(
        LINEAR.replace("LogisticRegression()", "LogisticRegression(C=0.01)")
    )
    plan = make_plan(factory, factory.line("line"))

    assert "train" == plan.changes[0].step
    assert "the code file changed" == change_in_words(plan.changes[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda path: path.write_text("raise SystemExit\n"),
            "models.py is another file today; its recorded copy was run",
        ),
        (lambda path: path.unlink(), "models.py is not there any more; its recorded copy was run"),
    ],
    ids=["changed", "missing"],
)
def test_a_rebuild_runs_the_recorded_file_and_says_what_became_of_it(made, tmp_path, change, says):
    """The promise holds whatever happens to the folder, and nobody is told that the file is still the same."""
    factory = made()
    execute_inline(factory, "line")
    change(factory.root / "models.py")
    told = rebuilt(factory, tmp_path / "scratch")

    assert "R0" == told.level
    assert (says,) == tuple(map(difference_in_words, told.differences))
    assert says in result_text(told)


def test_a_lost_copy_of_the_file_is_found_by_verify(made):
    """Without it the model could not be rebuilt, so that its loss must be noticed."""
    factory = made()
    execute_inline(factory, "line")
    code = work_of(factory).trained.estimated.code
    (found,) = (factory.state / "artifacts").rglob(f"*{code.partition(':')[2][4:]}*")
    found.unlink()

    assert 0 != verify_model(factory, find_model(factory, "line@1")).exit_code


def test_the_file_is_part_of_a_backup(made, tmp_path):
    """A line whose code is lost cannot train again."""
    factory = made()
    execute_inline(factory, "line")
    make_backup(factory, tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as archive:
        names = archive.getnames()

    assert any(name.endswith("models.py") for name in names)


WRONG = {
    "no Python": ("def build(:\n", "models.py:1", "not readable as Python"),
    "another name": (
        "def built():\n    return 1\n",
        "models.py",
        "no such function.*found 'build', allowed: built.*did you mean 'built'",
    ),
    "no function": ("x = 1\nbuild = 5\n", "models.py:2", "build is no function"),
    "imported": (
        "import os\nfrom sklearn.tree import DecisionTreeClassifier\n\ndef make():\n    pass\n",
        "models.py",
        "no such function.*allowed: make\\. Next: write FILE",
    ),
    "rows": (
        "def build(X, y):\n    pass\n",
        "models.py:1",
        "needs arguments that nobody gives: found .X, y., .*Next: return it unfitted",
    ),
    "import": (
        "import os\nimport not_a_module\n\ndef build():\n    pass\n",
        "models.py:2",
        "ModuleNotFoundError.*not_a_module",
    ),
    "raises when run": (
        "x = 1\n1 / 0\ndef build():\n    pass\n",
        "models.py:2",
        "running models.py failed: ZeroDivisionError",
    ),
    "raises when asked": (
        "def build():\n    x = 1\n    return x / 0\n",
        "models.py:3",
        "build in models.py failed: ZeroDivision",
    ),
    "returns nothing": ("def build():\n    pass\n", "models.py:1", "without fit and predict_proba"),
    "needs arguments": (
        "def build(depth):\n    pass\n",
        "models.py:1",
        "needs arguments that nobody gives: found 'depth'",
    ),
    "by chance": (
        (
            "import random\nfrom sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\n\n"
            "def build():\n    return make_pipeline(LogisticRegression(C=random.random()))\n"
        ),
        "models.py:5",
        "another estimator each time.*logisticregression__C: 0.*, then 0.*take a parameter `seed`",
    ),
    "raises in fit": (
        (
            "class Mine:\n    def fit(self, x, y):\n        raise ValueError('too hard')\n"
            "    def predict_proba(self, x):\n        return x\n\ndef build():\n    return Mine()\n"
        ),
        "models.py:3",
        "fit of Mine failed: ValueError: too hard",
    ),
    "answers NaN": (
        (
            "import numpy as np\nclass Mine:\n    def fit(self, x, y):\n        pass\n"
            "    def predict_proba(self, x):\n        return np.full((len(x), 2), np.nan)\n\ndef build():\n    return Mine()\n"
        ),
        "models.py:8",
        "no finite answer",
    ),
    "answers otherwise": (
        (
            "class Mine:\n    def fit(self, x, y):\n        pass\n"
            "    def predict_proba(self, x):\n        return x[:, 0]\n\ndef build():\n    return Mine()\n"
        ),
        "models.py:7",
        "another shape",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_the_file_is_told_with_its_line_and_nothing_is_left(made, name):
    """A person finds the place, and the line is as it was."""
    code, where, says = WRONG[name]
    factory = made(code=code)
    with pytest.raises(UserCodeError, match=says) as told:
        execute_inline(factory, "line")

    assert where == told.value.where
    assert [] == factory.metadata.versions("line")
    assert [] == list((factory.state / "serving").glob("*.json"))


@pytest.mark.parametrize("name", ["no Python", "another name"])
def test_check_sees_it_without_running_anything(made, name):
    """`check` may be asked of a file that nobody trusts yet."""
    code, where, says = WRONG[name]
    factory = made(code=f"{code}\n# print('ran')\n")
    with pytest.raises(UserCodeError, match=says) as told:
        check_line(factory, "line")

    assert where == told.value.where


def test_check_runs_nothing_of_the_file(made, tmp_path):
    """What a file does when it is run, it does not do for `check` and `plan`."""
    trace = tmp_path / "ran"
    factory = made(code=f"open({str(trace)!r}, 'w').close()\ndef build():\n    pass\n")
    check_line(factory, "line")
    make_plan(factory, factory.line("line"))

    assert not trace.exists()


def test_a_file_that_is_not_there_is_told_at_its_place_in_the_line_file(made):
    """The line file is where the mistake is."""
    factory = made(code=None)
    (factory.root / "model.py").write_text(LINEAR)
    with pytest.raises(SpecError, match=r"there is no such file.*'models.py'.*model.py") as told:
        check_line(factory, "line")

    assert "line.yaml:" in told.value.where


def test_a_file_outside_of_the_factory_is_refused(made):
    """A copy of the folder shall be a copy of the line."""
    factory = made(train='python: "../models.py:build"')
    with pytest.raises(SpecError, match="outside of the factory's folder"):
        execute_inline(factory, "line")


def test_a_neighbour_in_the_factory_is_refused(made, monkeypatch):
    """Its changes would go unnoticed: the digest is of one file."""
    factory = made(code="import helper_of_models\n" + LINEAR)
    (factory.root / "helper_of_models.py").write_text("")
    monkeypatch.syspath_prepend(str(factory.root))
    with pytest.raises(UserCodeError, match="imports helper_of_models from the factory's folder"):
        execute_inline(factory, "line")


def test_what_cannot_be_exported_leaves_the_champion_serving(made):
    """It would have to be served out of process; the error says so, where in the line file, and what to do."""
    factory = made()
    execute_inline(factory, "line")
    code = (
        "from sklearn.base import BaseEstimator, ClassifierMixin\nimport numpy as np\n"
        "class Own(ClassifierMixin, BaseEstimator):\n    def fit(self, x, y):\n        self.classes_ = np.unique(y)\n"
        "    def predict_proba(self, x):\n        return np.full((len(x), 2), 0.5)\n"
        "def build():\n    return Own()\n"
    )
    (factory.root / "models.py").write_text(code)
    with pytest.raises(
        RequestError, match=r"Own cannot be exported to ONNX.*served out of process.*built-in engine"
    ) as told:
        execute_inline(factory, "line")

    assert "train.python" in told.value.where or "line.yaml:" in told.value.where
    assert 1 == find_model(factory, "line").version
    assert "UserCodeError" != type(told.value).__name__


def test_an_estimator_that_needs_every_number_refuses_a_row_without(made):
    """As the library itself would; a column that is complete in training need not be so at the endpoint."""
    factory = made()
    execute_inline(factory, "line")
    work = work_of(factory)
    model = load(work.parity.package, factory.artifacts.get)
    row = work.rows.frame[work.rows.test].drop("y").row(0, named=True)
    x = np.ones((1, 8), dtype=np.float32)
    x[0, 3] = np.nan
    with pytest.raises(RequestError, match="a value is needed"):
        Scorer(model).score([row | {"mean_radius": None}])
    with pytest.raises(RequestError, match="no finite answer for a row"):
        model.scores(x)


def test_what_it_prints_does_not_spoil_what_the_command_prints(made):
    """`--json` is read by programs."""
    factory = made(code=f"print('hello')\n{LINEAR}")
    command = [
        *commands.python(),
        "-m",
        "linewright",
        "run",
        "line",
        "--json",
        "--factory",
        str(factory.root),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)

    assert done.stdout.startswith("{")
    assert "hello" in done.stderr


def test_a_model_is_made_in_one_way():
    """Two words that exclude each other would leave one of them without an effect."""
    text = (
        'line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\ntrain: {python: "m.py:f", engine: flaml}\n'
    )
    with pytest.raises(SpecError, match="python and engine: flaml exclude each other"):
        parse_line(text, name="lines/a.yaml")
    with pytest.raises(SpecError, match=r"FILE\.py:FUNCTION"):
        parse_line(text.replace(", engine: flaml", "").replace("m.py:f", "m.f"), name="lines/a.yaml")


def test_new_writes_the_line_of_a_function(tmp_path):
    """Whoever has an estimator need not know the word for it."""
    declare(tmp_path / "factory").close()
    root = tmp_path / "factory"
    made = new_line(root, "other", root / "rows.csv", GivenRoles(label="y"), python="models.py:build")
    train = read_line(root / "lines" / "other.yaml").train

    assert ("models.py:build", "models.py:build") == (train.python, made.by)
    assert "Its model is made by models.py:build." in result_text(made)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"python": "models.py"}, "names no function of a file.*FILE.py:FUNCTION"),
        ({"python": "models.py:bild"}, "no such function.*did you mean 'build'"),
        ({"python": "model.py:build"}, "there is no such file.*models.py"),
        ({"python": "models.py:build", "model": Path("a.onnx")}, "a line makes its model in one way"),
    ],
)
def test_new_refuses_what_no_line_could_use_and_writes_nothing(tmp_path, given, says):
    """A line file that cannot run is worse than none."""
    declare(tmp_path / "factory").close()
    root = tmp_path / "factory"
    with pytest.raises(LinewrightError, match=says):
        new_line(root, "other", root / "rows.csv", GivenRoles(label="y"), **given)

    assert ["line.yaml"] == [path.name for path in (root / "lines").iterdir()]


def test_a_budget_for_one_estimator_is_a_finding(made):
    """A word without an effect misleads."""
    factory = made()
    path = factory.root / "lines" / "line.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))

    assert ["train.budget: it has no effect"] == [
        evidence_in_words(one.check, one.evidence).partition(",")[0]
        for one in check_line(factory, "line").findings
        if one.check == "unused-setting"
    ]


ENGINES = {"flaml": "flaml", "autogluon": "autogluon.tabular"}


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("engine", [name for name, module in ENGINES.items() if not is_installed(module)])
def test_an_engine_that_is_not_installed_says_how_to_get_it(made, engine):
    """Before anything is read or fitted."""
    factory = made(code=None, train=f"engine: {engine}")
    for ask in (check_line, execute_inline):
        with pytest.raises(RequestError, match=rf"pip install 'linewright\[{engine}\]'"):
            ask(factory, "line")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("engine", [name for name, module in ENGINES.items() if is_installed(module)])
def test_an_engine_chooses_and_what_it_chose_is_judged_as_ever(made, tmp_path, engine, table):
    """It reads no clock, so that the model can be rebuilt."""
    factory = made(code=None, table=table, train=f"engine: {engine}")
    path = factory.root / "lines" / "line.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))
    check_line(factory, "line")
    result = execute_inline(factory, "line")
    work = work_of(factory)

    assert engine == work.trained.estimated.engine == work.trained.chosen
    assert "promote" == result.verdict
    assert work.parity.largest <= work.parity.allowed
    assert "R0" == rebuilt(factory, tmp_path / "scratch").level
