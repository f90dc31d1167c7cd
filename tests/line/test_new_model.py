"""`new --model`: what it finds out about a model, what it refuses, and that nothing is left behind then."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.file.read import read_line
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.facts import Package

pytestmark = pytest.mark.usefixtures("processes")

WEIGHTS = np.array([[0.8, -0.8], [-0.5, 0.5]])


def write_data(root: Path, labels: tuple[str, str] = ("no", "yes"), **changes: Any) -> Path:
    """Write 400 rows of two numbers, a word and a label that follows the first number."""
    chance = np.random.default_rng(3)
    a, b = chance.normal(size=400).round(4), chance.normal(size=400).round(4)
    y = np.where(a - b + chance.normal(size=400) < 0, labels[1], labels[0])
    frame = pl.DataFrame({"a": a, "b": b, "word": chance.choice(["x", "z"], 400), "y": y}).with_columns(
        **changes
    )
    frame.write_csv(root / "data.csv")
    return root / "data.csv"


def value(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def softmax(
    *,
    kind: int = TensorProto.FLOAT,
    shape: tuple[Any, ...] = (None, 2),
    domain: str = "",
    output: str = "y",
    extra: list[onnx.NodeProto] | None = None,
    metadata: dict[str, str] | None = None,
    labels: list[Any] | None = None,
) -> onnx.ModelProto:
    """Make a model of two numbers: softmax(x @ w), perhaps with a map of classes. Its names are those of a package."""
    w = helper.np_dtype_to_tensor_dtype(WEIGHTS.dtype)
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=w),
        helper.make_node("MatMul", ["wide", "constant0"], ["end0"]),
        helper.make_node("Softmax", ["end0"], ["soft"], axis=1, domain=domain),
        helper.make_node("Cast", ["soft"], [output], to=TensorProto.FLOAT),
        *(extra or []),
    ]
    outputs = [value(output, TensorProto.FLOAT, [None, 2])]
    if labels:
        words = isinstance(labels[0], str)
        key = "classlabels_strings" if words else "classlabels_int64s"
        nodes.append(helper.make_node("ZipMap", [output], ["map"], domain="ai.onnx.ml", **{key: labels}))
        map_type = helper.make_map_type_proto(
            TensorProto.STRING if words else TensorProto.INT64,
            helper.make_tensor_type_proto(TensorProto.FLOAT, []),
        )
        outputs = [helper.make_value_info("map", helper.make_sequence_type_proto(map_type))]
    weights = np.resize(WEIGHTS, (shape[-1], 2))
    graph = helper.make_graph(
        nodes, "g", [value("x", kind, list(shape))], outputs, [numpy_helper.from_array(weights, "constant0")]
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model


def outside_data() -> bytes:
    """Make a model whose weights lie in another file."""
    model = softmax(labels=["no", "yes"])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return model.SerializeToString()


def bytes_of(**changes: Any) -> bytes:
    return softmax(**{"labels": ["no", "yes"], **changes}).SerializeToString()


BAD: dict[str, tuple[bytes, str]] = {
    "not ONNX": (b"PK\x03\x04 a zip file", r"could run code: found 'an archive.*booster_.save_model"),
    "empty": (b"", "not an ONNX file"),
    "cut off": (bytes_of()[:-40], "not an ONNX file"),
    "a pickle": (
        b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins",
        r"could run code: found 'a pickle'.*train.python",
    ),
    "three inputs, two columns": (bytes_of(shape=(None, 3)), "another number of columns"),
    "data outside": (outside_data(), "data outside of the file"),
    "operators of its own": (bytes_of(domain="com.example"), "operators outside of the ONNX standard"),
    "other classes": (bytes_of(labels=["stay", "go"]), "no class of the model"),
    "one row at a time": (bytes_of(shape=(1, 2)), "not made of columns"),
    "a picture": (bytes_of(shape=(None, 3, 2), labels=None), "not made of columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_serve_is_refused_before_anything_is_written(tmp_path, name):
    """A model from outside is a stranger's file: the first look at it must find what would break a run, or worse."""
    model, said = BAD[name]
    (tmp_path / "m.onnx").write_bytes(model)

    with pytest.raises(LinewrightError, match=said) as caught:
        new_line(tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=tmp_path / "m.onnx")

    error = caught.value
    assert 2 == error.exit_code
    assert error.where.startswith("--model")
    assert error.hint or error.allowed
    assert not (tmp_path / "lines").exists()


def test_a_missing_model_is_named(tmp_path):
    """A path with a slip must not look like a broken model."""
    with pytest.raises(RequestError, match="no such file") as caught:
        new_line(
            tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=tmp_path / "absent.onnx"
        )

    assert 2 == caught.value.exit_code
    assert not (tmp_path / "lines").exists()


def test_both_sides_of_a_wrong_number_are_listed(tmp_path):
    """Who sees which columns were found, and what the model reads, knows which one is too many."""
    (tmp_path / "m.onnx").write_bytes(bytes_of())
    data = write_data(tmp_path, c=pl.lit(1.5) * pl.int_range(400))

    with pytest.raises(RequestError) as caught:
        new_line(tmp_path, "line", data, GivenRoles(label="y"), model=tmp_path / "m.onnx")

    assert "a, b, c" in caught.value.found
    assert "2 float columns" in caught.value.allowed
    assert "--exclude" in caught.value.hint
    made = new_line(tmp_path, "line", data, GivenRoles(label="y", exclude=["c"]), model=tmp_path / "m.onnx")
    assert ("a", "b") == made.reads


def test_a_model_of_two_of_thirty_columns_is_adopted_by_naming_them(tmp_path):
    """A table has what other models read too, and nobody lists 28 columns to leave out."""
    others = {f"n{i:02}": pl.int_range(400) * (i + 1) % 17 / 3 for i in range(27)}
    data = write_data(tmp_path, **others)
    frame = pl.read_csv(data)
    frame.select(reversed(frame.columns)).write_csv(data)
    text, package = adopted(tmp_path, softmax(labels=["no", "yes"]), data=data, columns=["a", "b"])

    assert 'columns: ["a", "b"]' in text
    assert ("a", "b") == package.encoder.columns
    assert {"feature": 2, "carried": 29} == {
        role: sum(one.role == role for one in package.columns) for role in ("feature", "carried")
    }


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (["a"], "--columns: the model reads another number of columns"),
        (
            ["a", "nothing"],
            "--columns: the model reads columns that the table does not have: found 'nothing'",
        ),
        (["a", "a"], "--columns: a column is named twice"),
        (["a", "word"], "--columns: column 'word': a column is not of the type"),
        (["a", "y"], "the model reads the label"),
    ],
)
def test_columns_that_a_model_cannot_read_are_refused(tmp_path, columns, says):
    """Whoever names them in a wrong order or number must not get a line."""
    (tmp_path / "m.onnx").write_bytes(bytes_of())
    data = write_data(tmp_path, y=pl.Series([0, 1] * 200)) if columns[-1] == "y" else write_data(tmp_path)
    with pytest.raises(RequestError) as caught:
        new_line(tmp_path, "line", data, GivenRoles(label="y"), model=tmp_path / "m.onnx", columns=columns)
    with pytest.raises(RequestError, match="only an imported model"):
        new_line(tmp_path, "line", data, GivenRoles(label="y"), columns=columns)

    assert says in str(caught.value)
    assert not (tmp_path / "lines").exists()


def test_a_column_that_the_line_excludes_is_not_read_by_a_brought_model_either(tmp_path):
    """Whoever excludes a column because it is not known in time must not be served by a model that needs it."""
    (tmp_path / "m.onnx").write_bytes(bytes_of())
    new_line(tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=tmp_path / "m.onnx")
    file = tmp_path / "lines" / "line.yaml"
    file.write_text(file.read_text().replace("table:\n", "table:\n  exclude: [b]\n"))

    with (
        Factory.create(tmp_path) as factory,
        pytest.raises(RequestError, match="a column that the line excludes") as caught,
    ):
        execute_inline(factory, "line")

    assert "b" == caught.value.found
    assert "line.yaml:" in caught.value.where
    assert caught.value.hint


def adopted(root: Path, model: onnx.ModelProto, **asked: Any) -> tuple[str, Package]:
    """Make a line of the model, run it, and return its file's text and its package."""
    (root / "m.onnx").write_bytes(model.SerializeToString())
    new_line(
        root,
        "line",
        asked.pop("data", None) or write_data(root),
        GivenRoles(label="y", positive=asked.pop("positive", None)),
        model=root / "m.onnx",
        **asked,
    )
    with Factory.create(root) as factory:
        result = execute_inline(factory, "line")
        assert result.promoted, result_text(result)
        return (root / "lines" / "line.yaml").read_text(), factory.metadata.get(result.digest, Package)


def test_classes_that_are_numbers_are_found_however_the_data_spell_them(tmp_path):
    """A model of classes 0 and 1 meets a file of 0.0 and 1.0 more often than not."""
    text, package = adopted(
        tmp_path, softmax(labels=[0, 1]), data=write_data(tmp_path, ("0.0", "1.0")), positive="0.0"
    )

    assert 'classes: ["0.0", "1.0"]' in text
    assert ("1.0", "0.0") == package.classes


def test_a_model_that_does_not_say_its_classes_gets_them_in_the_order_of_spelling(tmp_path):
    """Nothing else could be meant, but a person has to look at it: the comment says so."""
    text, package = adopted(tmp_path, softmax())

    assert 'classes: ["no", "yes"]' in text
    assert "does not say its classes" in text
    assert ("no", "yes") == package.classes


def test_metadata_name_the_columns(tmp_path):
    """Where the exporter wrote names, their order counts, not that of the table."""
    text, package = adopted(tmp_path, softmax(labels=["yes", "no"], metadata={"feature_names": '["b", "a"]'}))

    assert 'columns: ["b", "a"]' in text
    assert "does not say" not in text
    assert ("b", "a") == package.encoder.columns


def test_doubles_stay_doubles(tmp_path):
    """A model of doubles must not get numbers that were rounded to float32 on the way."""
    _, package = adopted(tmp_path, softmax(kind=TensorProto.DOUBLE, labels=["no", "yes"]))

    assert ["double", "double"] == [encoding.dtype for encoding in package.encoder.encodings]


def test_a_model_inside_the_factory_is_named_from_there(tmp_path):
    """A factory that is copied with its model still runs."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.onnx").write_bytes(bytes_of())
    new_line(
        tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=tmp_path / "models" / "m.onnx"
    )
    model = read_line(tmp_path / "lines" / "line.yaml").train.model

    assert model is not None
    assert "models/m.onnx" == model.file


def random_answers() -> onnx.ModelProto:
    """Make a model that throws a coin."""
    model = softmax(labels=["no", "yes"])
    nodes = list(model.graph.node)
    nodes.insert(0, helper.make_node("RandomNormalLike", ["x"], ["noise"]))
    nodes.insert(1, helper.make_node("Add", ["x", "noise"], ["shaken"]))
    nodes[2].input[0] = "shaken"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def neighbours() -> onnx.ModelProto:
    """Make a model whose answer to a row depends on the rows beside it."""
    model = softmax(labels=["no", "yes"])
    nodes = list(model.graph.node)
    nodes.insert(0, helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1))
    nodes.insert(1, helper.make_node("Sub", ["x", "mean"], ["centred"]))
    nodes[2].input[0] = "centred"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def scores_not_probabilities() -> onnx.ModelProto:
    """Make a model that gives margins."""
    model = softmax(labels=["no", "yes"])
    model.graph.node[3].input[0] = "end0"
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (random_answers, "golden|does not answer as"),
        (neighbours, "does not answer as the model that was given"),
        (scores_not_probabilities, "not what the task needs"),
    ],
)
def test_a_model_that_would_mislead_is_refused_by_the_run(tmp_path, make, said):
    """A coin, a model that looks at the neighbours, margins taken for probabilities: none reaches an endpoint."""
    (tmp_path / "m.onnx").write_bytes(make().SerializeToString())
    new_line(tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=tmp_path / "m.onnx")
    with Factory.create(tmp_path) as factory:
        with pytest.raises(LinewrightError, match=said):
            execute_inline(factory, "line")

        assert factory.metadata.pointer("line").champion is None


def one_probability() -> onnx.ModelProto:
    """Make a model as neural networks are: one output, the probability of the last class, shape [n]."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["wide"]),
        helper.make_node("Sigmoid", ["wide"], ["p"]),
        helper.make_node("Reshape", ["p", "flat"], ["out"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([[-1.6], [1.0]], dtype=np.float32), "w"),
        numpy_helper.from_array(np.array([-1]), "flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["rows", 2])],
        [value("out", TensorProto.FLOAT, ["rows"])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_one_probability_is_that_of_the_last_class(tmp_path):
    """Most networks for two classes answer so; the gates would refuse it the other way round."""
    text, package = adopted(tmp_path, one_probability())

    assert 'classes: ["no", "yes"]' in text
    assert ("no", "yes") == package.classes


def test_codes_that_the_model_reads_as_text_are_categories(tmp_path):
    """A postal code looks like a number; a model that learned it as text must get "01067", not 1067."""
    inputs = [value("code", TensorProto.STRING, [None, 1])]
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["code"],
            ["p"],
            domain="ai.onnx.ml",
            keys_strings=["01067", "10115"],
            values_floats=[0.9, 0.1],
            default_float=0.5,
        )
    ]
    graph = helper.make_graph(nodes, "g", inputs, [value("p", TensorProto.FLOAT, [None, 1])])
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    chance = np.random.default_rng(0)
    code = chance.choice(["01067", "10115"], 400)
    y = np.where(chance.random(400) < np.where(code == "01067", 0.8, 0.2), "yes", "no")
    pl.DataFrame({"code": code, "b": chance.normal(size=400), "y": y}).write_csv(tmp_path / "data.csv")
    text, package = adopted(
        tmp_path, helper.make_model(graph, opset_imports=opsets, ir_version=8), data=tmp_path / "data.csv"
    )

    assert "code: {type: category" in text
    assert ("code",) == package.encoder.columns
    assert "string" == package.encoder.encodings[0].dtype


@pytest.mark.parametrize("replace", [None, b"not a model"])
def test_check_and_plan_see_that_the_model_is_gone_or_broken(tmp_path, replace):
    """A file that is moved away is found before a run, and named."""
    file = tmp_path / "m.onnx"
    file.write_bytes(bytes_of())
    new_line(tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=file)
    if replace:
        file.write_bytes(replace)
    else:
        file.unlink()
    with Factory.create(tmp_path) as factory:
        with pytest.raises(RequestError, match=r"no such file|not an ONNX file") as caught:
            check_line(factory, "line")
        if not replace:
            with pytest.raises(RequestError, match="no such file"):
                make_plan(factory, factory.line("line"))

    assert f"{tmp_path}/lines/line.yaml:" in str(caught.value.where)
    assert 2 == caught.value.exit_code


DESCRIBED = """\
artifact_path: model
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.18.0
    providers: [CUDAExecutionProvider, CPUExecutionProvider]
  python_function:
    data: model.onnx
    loader_module: mlflow.onnx
mlflow_version: 3.4.0
signature:
  inputs: '[{"type": "double", "name": "b", "required": true}, {"type": "double", "name": "a", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]'
  params: null
"""


def write_mlflow(root: Path, described: str = DESCRIBED) -> Path:
    """Write the folder of a model as MLflow does."""
    folder = root / "logged"
    folder.mkdir()
    (folder / "MLmodel").write_text(described)
    (folder / "model.onnx").write_bytes(softmax(labels=["no", "yes"]).SerializeToString())
    return folder


def test_an_mlflow_model_is_adopted_by_its_onnx_flavour(tmp_path):
    """Its signature says which column is which: the order of the table would be another."""
    made = new_line(
        tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=write_mlflow(tmp_path)
    )
    model = read_line(tmp_path / "lines" / "line.yaml").train.model
    with Factory.create(tmp_path) as factory:
        result = execute_inline(factory, "line")

    assert model is not None
    assert ("logged/model.onnx", ("b", "a")) == (model.file, model.columns)
    assert ("b", "a") == made.reads
    assert "the signature of the MLflow model names them" in (tmp_path / "lines" / "line.yaml").read_text()
    assert result.adopted


@pytest.mark.parametrize(
    ("described", "says"),
    [
        (
            "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {pickled_model: model.pkl}\n",
            "no file that can be taken: found 'python_function, sklearn'.*served out of process.*train.python",
        ),
        (DESCRIBED.replace("data: model.onnx", "data: ../../secret.onnx"), "is not in its folder"),
        ("flavors: [onnx\n", "the file MLmodel cannot be read"),
        ("just words\n", "no file that can be taken: found 'no flavour'"),
        ("a: !!python/object/apply:os.getcwd []\n", "the file MLmodel cannot be read"),
    ],
)
def test_an_mlflow_model_that_cannot_be_adopted_is_refused_with_what_to_do(tmp_path, described, says):
    """Its other flavours run code when they are read, so none is opened."""
    folder = write_mlflow(tmp_path, described)
    with pytest.raises(RequestError, match=says):
        new_line(tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=folder)

    assert not (tmp_path / "lines").exists()


def test_a_folder_in_the_line_file_is_told_what_to_name(tmp_path):
    """The file in it is what the plan has the digest of."""
    new_line(tmp_path, "line", write_data(tmp_path), GivenRoles(label="y"), model=write_mlflow(tmp_path))
    path = tmp_path / "lines" / "line.yaml"
    path.write_text(path.read_text().replace("logged/model.onnx", "logged"))
    with (
        Factory.create(tmp_path) as factory,
        pytest.raises(RequestError, match=r"this is a folder.*--model FOLDER"),
    ):
        check_line(factory, "line")
