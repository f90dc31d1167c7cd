"""`new --model` with files of LightGBM and XGBoost, and with the MLflow models that hold them."""

from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import pytest
import xgboost

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, RequestError, Terminal
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.file.read import read_line
from linewright.line.record.evidence import evidence_of
from linewright.line.runs.execute import execute_inline
from linewright.model.imported.booster_file import convert, read_foreign
from linewright.model.imported.library_model import LibraryModel
from linewright.model.package.model import load

ROWS = 500
LIGHTGBM = {"verbosity": -1, "num_threads": 1, "min_data_per_group": 5}
XGBOOST = {"nthread": 1}


def table(rows: int = ROWS, seed: int = 1) -> pl.DataFrame:
    """Draw two numbers, one of them missing at times, a word, and labels that follow them."""
    chance = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "a": chance.normal(size=rows),
            "b": np.where(chance.random(rows) < 0.1, np.nan, chance.normal(size=rows)),
            "word": chance.choice(["x", "y z", "w"], rows),
        }
    ).with_columns(pl.col("b").fill_nan(None))
    score = pl.col("a") - pl.col("b").fill_null(0) + (pl.col("word") == "x") * 1.5
    return frame.with_columns(
        number=score * 10 + 3 + pl.Series(chance.normal(size=rows)),
        flag=(score + pl.Series(chance.normal(size=rows)) > 0.5).cast(pl.Int64),
        grade=(score > -0.5).cast(pl.Int64)
        + (score + pl.Series(chance.normal(size=rows)) / 2 > 1).cast(pl.Int64),
    )


def train(library: str, label: str, columns: list[str], **asked: Any) -> Any:
    """Train on rows that the line does not see."""
    seen = table(seed=0)
    x = seen.select(columns).to_numpy().astype(np.float64)
    classes = {"number": 0, "flag": 2, "grade": 3}[label]
    many = {"num_class": 3} if classes == 3 else {}
    y = seen[label].to_numpy()
    if library == "lightgbm":
        objective = {0: "regression", 2: "binary", 3: "multiclass"}[classes]
        data = lgb.Dataset(x, y, feature_name=asked.pop("names", columns))
        return lgb.train({**LIGHTGBM, "objective": objective, **many, **asked}, data, 40)
    objective = {0: "reg:squarederror", 2: "binary:logistic", 3: "multi:softprob"}[classes]
    data = xgboost.DMatrix(x, y, feature_names=asked.pop("names", columns))
    return xgboost.train({**XGBOOST, "objective": objective, **many, **asked}, data, 40)


def describe(flavor: str, file: str, columns: list[str] | None = None) -> str:
    """Return the file ``MLmodel`` as MLflow 3.17 writes it with the functions ``save_model`` of mlflow.lightgbm and mlflow.xgboost."""
    own = {
        "lightgbm": "lgb_version: 4.7.0\n    model_class: lightgbm.basic.Booster\n    serialization_format: skops\n"
        "    skops_trusted_types:\n    - lightgbm.basic.Booster\n",
        "xgboost": "model_class: xgboost.core.Booster\n    model_format: ubj\n    xgb_version: 3.2.0\n",
    }[flavor]
    inputs = [{"type": "double", "name": name, "required": True} for name in columns or ()]
    signature = (
        f"signature:\n  inputs: '{msgspec.json.encode(inputs).decode()}'\n"
        '  outputs: \'[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]\'\n  params: null\n'
    )
    return (
        f"flavors:\n  {flavor}:\n    code: null\n    data: {file}\n    {own}"
        f"  python_function:\n    data: {file}\n    env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml\n"
        f"    loader_module: mlflow.{flavor}\n    python_version: 3.11.7\n"
        "is_signature_from_type_hint: false\nmlflow_version: 3.17.2\nmodel_id: null\nmodel_size_bytes: 46034\n"
        f"prompts: null\n{signature if columns else ''}utc_time_created: '2026-11-26 21:18:06.540554'\n"
    )


def write_folder(root: Path, model: Any, columns: list[str] | None = None) -> Path:
    """Write the folder of a model as MLflow does."""
    flavor, file = ("lightgbm", "model.lgb") if isinstance(model, lgb.Booster) else ("xgboost", "model.ubj")
    folder = root / "logged"
    folder.mkdir()
    model.save_model(folder / file)
    (folder / "MLmodel").write_text(describe(flavor, file, columns))
    return folder


def bring(root: Path, model: Path, label: str = "flag", **changes: Any) -> RunResult:
    """Make a line of a model, and run it."""
    keep = [name for name in table().columns if name not in {"number", "flag", "grade"}]
    table().select(*keep, label).with_columns(**changes).write_csv(root / "data.csv")
    new_line(root, "line", root / "data.csv", GivenRoles(label=label), model=model)
    with Factory.create(root) as factory:
        return execute_inline(factory, "line")


def served(root: Path, result: RunResult, x: pl.DataFrame) -> np.ndarray:
    """Return what the package answers to rows: probabilities in its order of classes, or numbers."""
    with Factory.create(root) as factory:
        model = load(result.digest, factory.artifacts.get)
    return model.scores(x.to_numpy().astype(np.float32))


def own_answers(model: Any, x: pl.DataFrame) -> np.ndarray:
    """Return what the library answers: probabilities of all classes, or numbers."""
    rows = x.to_numpy().astype(np.float32)
    found = (
        model.predict(rows)
        if isinstance(model, lgb.Booster)
        else model.predict(xgboost.DMatrix(rows, feature_names=x.columns))
    )
    return np.asarray(found)


@pytest.mark.parametrize("label", ["flag", "grade", "number"])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_an_mlflow_model_of_trees_is_adopted(tmp_path, library, label):
    """It goes through the same gates as one that is trained here, and its package answers as the library."""
    model = train(library, label, ["b", "a"])
    result = bring(tmp_path, write_folder(tmp_path, model, ["b", "a"]), label)
    spec = read_line(tmp_path / "lines" / "line.yaml").train.model
    x = table(seed=2).select("b", "a")
    own, found = own_answers(model, x), served(tmp_path, result, x)
    with Factory.create(tmp_path) as factory:
        (version,) = factory.metadata.versions("line")
        evidence = evidence_of(factory, version)
        package = evidence.package

    assert result.promoted, result_text(result)
    assert spec is not None
    assert {"lightgbm": "logged/model.lgb", "xgboost": "logged/model.ubj"}[library] == spec.file
    assert ("b", "a") == spec.columns == package.encoder.columns
    assert [{"lightgbm": "LightGBM", "xgboost": "XGBoost"}[library]] == list(evidence.trained.libraries)
    assert evidence.parity.rows > ROWS
    if label == "flag":
        own = own if ("0", "1") == package.classes else 1 - own
        found = found[:, 1]
    np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", ["model.txt", "model.json", "model.ubj"])
def test_a_file_of_a_library_is_adopted_by_itself(tmp_path, file):
    """Without MLflow: by what is in it, not by how it is called."""
    model = train("lightgbm" if file == "model.txt" else "xgboost", "flag", ["a", "b"])
    model.save_model(tmp_path / file)
    result = bring(tmp_path, tmp_path / file)
    text = (tmp_path / "lines" / "line.yaml").read_text()

    assert result.adopted
    assert f'model: {{file: "{file}"' in text
    assert ("# a file of LightGBM v4" if file == "model.txt" else "# a file of XGBoost 3.") in text


def test_labels_in_words_get_the_places_of_the_numbers(tmp_path):
    """As scikit-learn numbers them; the comment asks a person to look."""
    model = train("lightgbm", "flag", ["a", "b"])
    flag = pl.when(pl.col("flag") == 1).then(pl.lit("stays")).otherwise(pl.lit("goes"))
    result = bring(tmp_path, write_folder(tmp_path, model), flag=flag)
    text = (tmp_path / "lines" / "line.yaml").read_text()

    assert result.promoted
    assert 'classes: ["goes", "stays"]' in text
    assert (
        "the model has the numbers 0 to 1: these are in the order of scikit-learn's LabelEncoder; check it"
        in text
    )


def test_labels_that_are_numbers_are_not_in_the_order_of_spelling(tmp_path):
    """10 stands before 2 there."""
    model = train("lightgbm", "grade", ["a", "b"])
    grade = pl.col("grade").replace_strict([0, 1, 2], [1, 2, 10])
    result = bring(tmp_path, write_folder(tmp_path, model), "grade", grade=grade)

    assert result.promoted
    assert 'classes: ["1", "2", "10"]' in (tmp_path / "lines" / "line.yaml").read_text()


@pytest.mark.parametrize("names", [["Column_0", "Column_1"], ["the_b", "the_a"]])
def test_the_signature_says_what_lightgbm_lost(tmp_path, names):
    """Its own names where it was given none, and blanks in names, for which it writes underscores."""
    columns = ["b", "a"] if names[0] == "Column_0" else ["the b", "the a"]
    model = train("lightgbm", "flag", ["b", "a"], names=names)
    folder = write_folder(tmp_path, model, columns)
    table().select(pl.col("a").alias(columns[1]), pl.col("b").alias(columns[0]), "word", "flag").write_csv(
        tmp_path / "data.csv"
    )
    made = new_line(tmp_path, "line", tmp_path / "data.csv", GivenRoles(label="flag"), model=folder)

    assert tuple(columns) == made.reads
    assert "the signature of the MLflow model names them" in (tmp_path / "lines" / "line.yaml").read_text()


def test_columns_that_nobody_names_are_guessed_and_said_to_be(tmp_path):
    """The order of the table is all that there is."""
    model = train("xgboost", "flag", ["a", "b"], names=None)
    model.feature_names = None
    bring(tmp_path, write_folder(tmp_path, model))

    assert "Check that the model was made with this order" in (tmp_path / "lines" / "line.yaml").read_text()


def test_categories_of_pandas_are_read_as_they_are_spelled(tmp_path):
    """The lists of categories are in the file, as python-package/lightgbm/basic.py writes them for pandas."""
    seen = table(seed=0)
    levels = ["w", "x", "y z"]
    codes = seen["word"].replace_strict(levels, range(3), return_dtype=pl.Float64)
    x = np.column_stack([seen["a"], codes])
    data = lgb.Dataset(x, seen["flag"], feature_name=["a", "word"], categorical_feature=[1])
    model = lgb.train({**LIGHTGBM, "objective": "binary"}, data, 30)
    folder = write_folder(tmp_path, model, ["a", "word"])
    text = (folder / "model.lgb").read_text()
    before, _ = text.split("pandas_categorical:")
    (folder / "model.lgb").write_text(f'{before}pandas_categorical:[["w", "x", "y z"]]\n')
    result = bring(tmp_path, folder)
    own = model.predict(x)
    with Factory.create(tmp_path) as factory:
        served = load(result.digest, factory.artifacts.get)
        encoder = served.package.encoder
        rows = encode(encoder, to_columns(seen, encoder.columns))
        found = served.scores(rows)[:, served.package.classes.index("1")]

    assert result.promoted
    assert ["float", "string"] == [one.dtype for one in encoder.encodings]
    np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-6)


def test_a_package_that_answers_otherwise_than_the_library_is_refused(tmp_path, monkeypatch):
    """Should a newer library mean something else by its file, its own answers tell."""
    model = train("lightgbm", "flag", ["a", "b"])
    scores = LibraryModel.scores
    monkeypatch.setattr(LibraryModel, "scores", lambda self, x: scores(self, x) ** 2)

    with pytest.raises(Terminal, match="does not answer as the model that was given"):
        bring(tmp_path, write_folder(tmp_path, model))


def test_a_model_of_numbers_is_not_taken_for_one_of_classes(tmp_path):
    """A single number would else be read as a probability."""
    folder = write_folder(tmp_path, train("lightgbm", "number", ["a", "b"]))
    with pytest.raises(
        RequestError, match=r"something else than the label asks for: found 'a number \(regression\)'"
    ):
        bring(tmp_path, folder, "flag")

    assert not (tmp_path / "lines").exists()


def test_a_model_of_classes_is_not_taken_for_one_of_numbers(tmp_path):
    """Nor the other way round."""
    folder = write_folder(tmp_path, train("xgboost", "grade", ["a", "b"]))
    with pytest.raises(RequestError, match=r"probability of each class \(multi:softprob\)"):
        bring(tmp_path, folder, "number")


def test_another_number_of_classes_is_refused(tmp_path):
    """Which class is which could not be said."""
    folder = write_folder(tmp_path, train("lightgbm", "grade", ["a", "b"]))
    words = pl.col("grade").replace_strict([0, 1, 2], ["low", "low", "high"])
    with pytest.raises(RequestError, match=r"another number of classes than the data.*3 classes"):
        bring(tmp_path, folder, "grade", grade=words)


@pytest.mark.parametrize(
    ("flavor", "file", "data"),
    [
        ("lightgbm", "model.pkl", b"\x80\x05\x95\xa1e\x00\x00\x00\x00\x00\x00\x8c\x10lightgbm.sklearn"),
        ("lightgbm", "model.skops", b"PK\x03\x04\x14\x00\x00\x00"),
        ("xgboost", "model.pkl", b"\x80\x04\x95\xa1e"),
    ],
)
def test_the_wrapper_of_scikit_learn_is_refused_with_what_to_save_instead(tmp_path, flavor, file, data):
    """MLflow keeps an LGBMClassifier as a pickle, or by skops: neither is opened."""
    folder = tmp_path / "logged"
    folder.mkdir()
    (folder / "MLmodel").write_text(describe(flavor, file))
    (folder / file).write_bytes(data)
    with pytest.raises(RequestError, match=r"object of Python.*could run code.*booster_\.save_model"):
        bring(tmp_path, folder)

    assert not (tmp_path / "lines").exists()


def test_a_file_that_a_link_leads_out_of_the_folder_is_refused(tmp_path):
    """A folder from elsewhere must not name a file of this machine."""
    folder = write_folder(tmp_path, train("lightgbm", "flag", ["a", "b"]))
    (folder / "model.lgb").rename(tmp_path / "model.lgb")
    (folder / "model.lgb").symlink_to(tmp_path / "model.lgb")
    with pytest.raises(RequestError, match=r"is not in its folder: found 'model.lgb'"):
        bring(tmp_path, folder)


def test_a_file_that_is_cut_off_later_is_found_before_a_run(tmp_path):
    """`check` reads it as the run does."""
    folder = write_folder(tmp_path, train("lightgbm", "flag", ["a", "b"]))
    bring(tmp_path, folder)
    data = (folder / "model.lgb").read_bytes()
    (folder / "model.lgb").write_bytes(data[: len(data) // 2])
    with Factory.create(tmp_path) as factory, pytest.raises(LinewrightError, match="it ends too early"):
        check_line(factory, "line")


def test_equal_files_are_one_model(tmp_path):
    """A line that is run again finds everything, and the same package in another factory has the same digest."""
    folder = write_folder(tmp_path, train("xgboost", "flag", ["a", "b"]), ["a", "b"])
    first = bring(tmp_path, folder)
    convert.cache_clear()
    read_foreign.cache_clear()
    other = tmp_path / "other"
    other.mkdir()
    (other / "logged").mkdir()
    for each in folder.iterdir():
        (other / "logged" / each.name).write_bytes(each.read_bytes())
    with Factory.create(tmp_path) as factory:
        again = execute_inline(factory, "line")
    second = bring(other, other / "logged")

    assert () == again.did
    assert first.digest == second.digest
