"""Packages: what is loaded is what was kept, and answers as it did."""

import os
import subprocess
import sys
from dataclasses import dataclass

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from interpreter import printed_by
from onnx import TensorProto, helper
from scipy.special import expit, logit, softmax

from linewright.errors import Corrupt, Denied, NotFound, RequestError, Terminal
from linewright.features.facts import Encoder, Number, Raw
from linewright.model.facts import Band, Calibration, Package, RequestColumn, Trained
from linewright.model.onnx.session import NUMBERS, PLAIN, ROWS_AT_ONCE, check_graph, fields
from linewright.model.package.model import (
    Golden,
    build,
    calibrate,
    golden_differences,
    keep_package,
    largest_difference,
    load,
    open_model,
    read_golden,
)
from linewright.model.reasons import ChosenReason, LowestLoss
from linewright.store.artifacts.memory import MemoryArtifacts
from linewright.store.metadata.sql import SqlMetadata
from linewright.store.values import canonical_json, digest_of, digest_of_bytes

WIDTH = 2
ENCODER = Encoder(encodings=(Number(column="a"), Number(column="b")))
ROWS = np.array([[0.0, 0.0], [1.0, -2.0], [-3.0, 0.5], [100.0, 100.0]], dtype=np.float32)
HEAVY = {"pydantic", "polars", "pyarrow", "sklearn", "lightgbm", "scipy", "sqlalchemy", "onnx", "pandas"}


def tensor(name, values):
    values = np.asarray(values, dtype=np.float32)
    return helper.make_tensor(name, TensorProto.FLOAT, values.shape, values.ravel())


def model_proto(
    nodes, initializers, *, outputs, x="x", y="y", width=WIDTH, kind=TensorProto.FLOAT, rows="n", domains=()
):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(x, kind, [rows, width])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, [rows, outputs])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 15), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def softmax_proto(k, **changes):
    """Probabilities of k classes: softmax(x @ w)."""
    weights = np.arange(WIDTH * k).reshape(WIDTH, k) / 10 - 0.2
    nodes = [
        helper.make_node("MatMul", [changes.get("x", "x"), "w"], ["z"]),
        helper.make_node("Softmax", ["z"], [changes.get("y", "y")], axis=1),
    ]
    return model_proto(nodes, [tensor("w", weights)], outputs=k, **changes)


def linear_proto(weights=((1.5,), (-2.0,))):
    return model_proto([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor("w", weights)], outputs=1)


BINARY_GRAPH = softmax_proto(2).SerializeToString()


def trained(**changes):
    facts = {
        "dataset": "sha256:00",
        "split": "sha256:01",
        "task": "binary",
        "classes": ("No", "Yes"),
        "encoder": ENCODER,
        "trials": (),
        "chosen": "lin",
        "reason": ChosenReason(choice=LowestLoss(trials=1, loss=0.5, rows=4)),
        "native": "sha256:02",
        "calibration": Calibration(),
        "half_width": None,
        "baseline": (0.5, 0.5),
        "rows": 4,
        "seed": 1,
        "libraries": {},
    }
    return Trained(**{**facts, **changes})


REGRESSION = {
    "task": "regression",
    "classes": (),
    "threshold": None,
    "half_width": 2.0,
    "band": Band(at=(0.0,), half_widths=(2.0,), least=None),
}
MULTICLASS = {"task": "multiclass", "classes": ("a", "b", "c"), "threshold": None}


def package_of(graph, golden=b"", *, threshold=0.4, **changes):
    columns = [RequestColumn(name="a", type="number"), RequestColumn(name="b", type="number")]
    built = build(trained(**changes), label="y", key=None, columns=columns, graph=graph, golden=golden)
    return msgspec.structs.replace(built, threshold=threshold)


def model_of(graph, **changes):
    return open_model(package_of(graph, **changes), graph)


@dataclass
class Kept:
    """A package with everything that it refers to, kept."""

    artifacts: MemoryArtifacts
    metadata: SqlMetadata
    package: Package
    digest: str


@pytest.fixture
def kept():
    artifacts = MemoryArtifacts()
    artifacts.put(BINARY_GRAPH)
    answers = model_of(BINARY_GRAPH)
    predictions = answers.answers(answers.scores(ROWS))
    rows = [{"a": a, "b": b} for a, b in ROWS.tolist()]
    golden = canonical_json(Golden(rows=tuple(rows), predictions=tuple(predictions)))
    artifacts.put(golden)
    package = package_of(BINARY_GRAPH, golden)
    with SqlMetadata("sqlite://") as metadata:
        yield Kept(artifacts, metadata, package, keep_package(package, artifacts, metadata))


def test_an_endpoint_loads_nothing_of_the_training_side():
    """A replica must start fast and small, so its imports are a contract."""
    code = (
        "import sys, linewright.model.package.model, linewright.features.encode, linewright.model.tasks;"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    printed = printed_by(code)

    assert "[]" == printed.strip()


def test_a_kept_package_is_an_artifact_and_a_result_of_one_digest(kept):
    """Endpoints read artifacts only, the factory reads results; both must mean the same model."""
    assert kept.digest == digest_of(kept.package)
    assert canonical_json(kept.package) == kept.artifacts.get(kept.digest)
    assert kept.package == kept.metadata.get(kept.digest, Package)


def test_a_loaded_model_answers_as_it_did_when_it_was_packaged(kept):
    """The certified bytes are the served bytes."""
    model = load(kept.digest, kept.artifacts.get)
    golden = read_golden(model.package, kept.artifacts.get)

    assert (kept.digest, kept.package) == (model.digest, model.package)
    assert [{"a": a, "b": b} for a, b in ROWS.tolist()] == list(golden.rows)
    assert 0.0 == golden_differences(model, ROWS, golden.predictions)


def test_scores_are_those_of_the_graph():
    """Computed by hand in double precision."""
    weights = np.arange(4).reshape(2, 2) / 10 - 0.2
    scores = model_of(BINARY_GRAPH).scores(ROWS)

    assert np.float64 == scores.dtype
    np.testing.assert_allclose(softmax(ROWS @ weights, axis=1), scores, rtol=1e-5, atol=1e-30)


def test_regression_scores_are_one_number_a_row():
    """With the interval around each in the answer."""
    model = model_of(linear_proto().SerializeToString(), **REGRESSION)
    scores = model.scores(ROWS)

    assert [0.0, 5.5, -5.5, -50.0] == scores.tolist()
    assert {"prediction": 5.5, "interval": [3.5, 7.5, 0.9]} == model.answers(scores)[1]


def test_multiclass_scores_are_calibrated_probabilities():
    """The temperature of the package is applied outside of the graph."""
    weights = np.arange(6).reshape(2, 3) / 10 - 0.2
    calibration = Calibration(method="temperature", parameters=(2.0,))
    model = model_of(softmax_proto(3).SerializeToString(), calibration=calibration, **MULTICLASS)
    scores = model.scores(ROWS)

    np.testing.assert_allclose(softmax(ROWS @ weights / 2, axis=1), scores, rtol=1e-4)
    assert ["a", "b", "c"] == list(model.answers(scores)[0]["probabilities"])


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float32, (7, WIDTH), elements=st.floats(-1e3, 1e3, width=32)))
def test_a_row_is_scored_alike_alone_and_among_others(x):
    """Batch scoring and the endpoint give one answer."""
    model = model_of(BINARY_GRAPH)
    alone = np.vstack([model.scores(x[i : i + 1]) for i in range(len(x))])

    assert alone.tobytes() == model.scores(x).tobytes()


def test_many_rows_are_scored_as_a_few_are():
    """A graph computes a few hundred rows at one time; nothing of an answer shows where such a part ends."""
    x = np.random.default_rng(5).normal(size=(2 * ROWS_AT_ONCE + 1, WIDTH)).astype(np.float32)
    for model in (model_of(BINARY_GRAPH), model_of(linear_proto().SerializeToString(), **REGRESSION)):
        alone = np.concatenate([model.scores(x[i : i + 1]) for i in range(len(x))])

        assert alone.tobytes() == model.scores(x).tobytes()


def test_rows_may_be_a_view_and_may_be_none():
    """A slice of a matrix is not contiguous, an empty batch is a batch."""
    model = model_of(BINARY_GRAPH)

    assert model.scores(ROWS)[::-2].tolist() == model.scores(ROWS[::-2]).tolist()
    assert (0, 2) == model.scores(ROWS[:0]).shape
    assert [] == model.answers(model.scores(ROWS[:0]))


@pytest.mark.parametrize(
    "x", [ROWS.astype(np.float64), ROWS[:, :1], ROWS[0]], ids=["double", "narrow", "flat"]
)
def test_rows_of_another_form_are_refused(x):
    """The graph must never see them."""
    with pytest.raises(RequestError, match="rows of another form than the model reads"):
        model_of(BINARY_GRAPH).scores(x)


def test_a_row_without_a_finite_answer_is_named():
    """NaN is not JSON, and not an answer."""
    model = model_of(linear_proto(((2.0,), (0.0,))).SerializeToString(), **REGRESSION)
    x = np.array([[1, 0], [np.finfo(np.float32).max, 0], [np.nan, 0]], dtype=np.float32)
    with pytest.raises(RequestError, match="row 1: the model has no finite answer for a row") as caught:
        model.scores(x)

    assert {"row": 1} == caught.value.details


def flips(data):
    """Each byte with one bit flipped, another bit in each."""
    for i in range(len(data)):
        changed = bytearray(data)
        changed[i] ^= 1 << i % 8
        yield bytes(changed)


@pytest.mark.parametrize("part", ["package", "graph"])
def test_a_flipped_bit_anywhere_is_refused_before_it_is_parsed(kept, part):
    """Disks rot; no model byte is parsed before it is hashed and found right."""
    changed = kept.digest if part == "package" else kept.package.graph
    messages = set()
    for data in flips(kept.artifacts.get(changed)):
        with pytest.raises(Corrupt, match="stored bytes have changed") as caught:
            load(
                kept.digest,
                lambda digest, data=data: data if digest == changed else kept.artifacts.get(digest),
            )
        messages.add(caught.value.where)

    assert {changed} == messages


def test_a_flipped_bit_in_the_golden_rows_is_refused(kept):
    """A check that can be bent is no check."""
    for data in flips(kept.artifacts.get(kept.package.golden)):
        with pytest.raises(Corrupt, match="stored bytes have changed"):
            read_golden(kept.package, lambda _, data=data: data)


@pytest.mark.parametrize("part", ["package", "graph", "golden"])
def test_a_cut_or_empty_part_is_refused(kept, part):
    """What a full disk leaves behind."""
    changed = {"package": kept.digest, "graph": kept.package.graph, "golden": kept.package.golden}[part]
    for length in (0, 1, len(kept.artifacts.get(changed)) - 1):

        def get(digest, length=length):
            data = kept.artifacts.get(digest)
            return data[:length] if digest == changed else data

        with pytest.raises(Corrupt, match="stored bytes have changed"):
            read_golden(load(kept.digest, get).package, get)


def test_a_package_that_is_not_there_is_not_found(kept):
    """It was never stored, or was cleaned away: another thing than rot."""
    with pytest.raises(NotFound, match="no artifact has that digest"):
        load("sha256:" + "0" * 64, kept.artifacts.get)


def load_parts(package, graph):
    blobs = {digest_of(package): canonical_json(package), package.graph: graph}
    return load(digest_of(package), blobs.__getitem__)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"graph_bytes": 1}, "bytes of the graph"),
        ({"classes": ("No", "Perhaps", "Yes")}, "classes of a binary model"),
        ({"task": "regression"}, "classes of a regression model"),
        ({"task": "multiclass", "classes": ("a", "b", "c")}, "output of the graph"),
        ({"encoder": Encoder(encodings=(Number(column="a"),))}, "input of the graph"),
        ({"calibration": Calibration(method="temperature", parameters=(1.0,))}, "calibration of a binary"),
        ({"calibration": Calibration(method="sigmoid", parameters=(1.0,))}, "calibration of a binary"),
        (
            {"calibration": Calibration(method="isotonic", x=(0.5, 0.2), y=(0.1, 0.2))},
            "calibration of a binary",
        ),
        (
            {"calibration": Calibration(method="isotonic", x=(0.1, 0.2), y=(0.1, 1.2))},
            "calibration of a binary",
        ),
        ({"calibration": Calibration(method="isotonic")}, "calibration of a binary"),
        ({"version": 2}, "written by a newer version"),
        ({"encoder": Encoder(encodings=ENCODER.encodings, version=2)}, "written by a newer version"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, says):
    """Right digests do not make a right package."""
    package = msgspec.structs.replace(package_of(BINARY_GRAPH), **changes)
    with pytest.raises(Corrupt, match=says):
        load_parts(package, BINARY_GRAPH)


def test_a_result_of_another_kind_is_no_package():
    """A digest pasted from elsewhere."""
    body = canonical_json(trained())
    with pytest.raises(Corrupt, match="not a Package"):
        load(digest_of_bytes(body), lambda _: body)


@pytest.mark.parametrize("body", [b"[]", b'{"rows": [{}], "predictions": []}'])
def test_golden_rows_of_another_form_are_refused(body):
    """They would be compared with nothing, and found equal."""
    package = package_of(BINARY_GRAPH, body)
    with pytest.raises(Corrupt, match=r"golden"):
        read_golden(package, lambda _: body)


@pytest.mark.parametrize(
    "changes",
    [{"x": "input"}, {"y": "output"}, {"rows": 4}, {"rows": 1}],
    ids=["input name", "output name", "four rows", "one row"],
)
def test_a_graph_with_another_signature_is_refused(changes):
    """Input `x` float32 [n, width], output `y` float32 [n, classes]: nothing else is fed or read."""
    graph = softmax_proto(2, **changes).SerializeToString()
    with pytest.raises(Corrupt, match="put of the graph"):
        load_parts(package_of(graph), graph)


def test_a_graph_of_doubles_is_refused():
    """Its thresholds would not be those that were checked."""
    nodes = [
        helper.make_node("Cast", ["x"], ["x32"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["x32"], ["y"], axis=1),
    ]
    graph = model_proto(nodes, [], outputs=2, kind=TensorProto.DOUBLE).SerializeToString()
    with pytest.raises(Corrupt, match=r"input of the graph.*tensor\(double\)"):
        load_parts(package_of(graph), graph)


def test_a_graph_that_breaks_its_word_about_rows_is_refused_when_it_does():
    """Its shape was declared [n, 2]; what it computes is one row for each number that is not 0."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("Cast", ["rows"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = model_proto(nodes, [], outputs=2).SerializeToString()
    model = load_parts(package_of(graph), graph)
    with pytest.raises(Terminal, match="answers in another shape than its package says"):
        model.scores(ROWS)


def test_a_graph_that_fails_says_so():
    """A failure of the runtime is one of our errors, with the model's digest."""
    nodes = [
        helper.make_node("Cast", ["x"], ["places"], to=TensorProto.INT64),
        helper.make_node("Gather", ["w", "places"], ["y"]),
    ]
    graph = model_proto(nodes, [tensor("w", [0.25, 0.75])], outputs=2).SerializeToString()
    model = load_parts(package_of(graph), graph)

    assert [[0.25, 0.25]] == model.scores(ROWS[:1]).tolist()
    with pytest.raises(Terminal, match="the model's graph failed"):
        model.scores(ROWS)


def test_external_data_is_refused(tmp_path, monkeypatch):
    """Weights outside of the file are not covered by its digest, and may name any file or address."""
    proto = softmax_proto(2)
    weights = proto.graph.initializer[0]
    values = np.array(weights.float_data, dtype=np.float32).tobytes()
    (tmp_path / "secret").write_bytes(values)
    monkeypatch.chdir(tmp_path)
    del weights.float_data[:]
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret"), ("offset", "0"), ("length", str(len(values)))):
        weights.external_data.add(key=key, value=value)
    graph = proto.SerializeToString()
    with pytest.raises(Denied, match="data outside of the file"):
        load_parts(package_of(graph), graph)


def deep(make):
    """Return a graph whose offence is three graphs down, in an attribute of `If`."""
    inner = make()
    for level in range(3):
        branch = helper.make_graph(
            [inner], f"g{level}", [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
        )
        inner = helper.make_node("If", ["c"], ["out"], then_branch=branch, else_branch=branch)
    return model_proto([inner], [], outputs=2)


def external_constant():
    value = tensor("v", [1.0])
    value.data_location = TensorProto.EXTERNAL
    return helper.make_node("Constant", [], ["out"], value=value)


def sparse_external_constant():
    values = tensor("v", [1.0])
    values.external_data.add(key="location", value="*/_ORT_MEM_ADDR_/*")
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    return helper.make_node(
        "Constant", [], ["out"], sparse_value=helper.make_sparse_tensor(values, indices, [2])
    )


def with_function():
    proto = softmax_proto(2)
    identity = helper.make_node("Identity", ["a"], ["b"])
    proto.functions.append(
        helper.make_function("mine", "F", ["a"], ["b"], [identity], [helper.make_opsetid("", 15)])
    )
    return proto


def with_training():
    proto = softmax_proto(2)
    proto.training_info.add()
    return proto


@pytest.mark.parametrize(
    ("proto", "says"),
    [
        (lambda: deep(external_constant), "data outside of the file"),
        (lambda: deep(sparse_external_constant), "data outside of the file"),
        (
            lambda: deep(lambda: helper.make_node("Gelu", ["x"], ["out"], domain="com.microsoft")),
            "operators outside of the ONNX standard: found 'com.microsoft'",
        ),
        (lambda: softmax_proto(2, domains=["com.example"]), "found 'com.example'"),
        (with_function, "functions of its own"),
        (with_training, "training graphs"),
    ],
    ids=["external", "sparse external", "operator", "import", "function", "training"],
)
def test_a_graph_that_reaches_outside_is_denied_however_deep(proto, says):
    """Checked by reading the bytes, before a runtime sees them."""
    graph = proto().SerializeToString()
    with pytest.raises(Denied, match=says):
        load_parts(package_of(graph), graph)


def test_graphs_of_the_standard_pass():
    """Standard operators, machine-learning operators and nested graphs are what exporters write."""
    trees = helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm="L1")
    constant = helper.make_node("Constant", [], ["out"], value=tensor("v", np.ones(5000)))
    floats = helper.make_node("Constant", [], ["out"], value_floats=[0.5] * 5000)
    ints = helper.make_node("Constant", [], ["out"], value_ints=[-1, 0, 1, 300, 2**40] * 1000)
    texts = helper.make_node("Constant", [], ["out"], value_strings=["", "LEAF", "é" * 31, "a" * 64] * 1000)

    for proto in (
        model_proto([trees], [], outputs=2, domains=["ai.onnx.ml"]),
        deep(lambda: constant),
        deep(lambda: floats),
        deep(lambda: ints),
        deep(lambda: texts),
        linear_proto(),
    ):
        assert check_graph(proto.SerializeToString()) is None


FIELDS = st.one_of(
    st.builds(
        lambda number, n: _varint(number << 3) + _varint(n), st.integers(1, 20), st.integers(0, 2**64 - 1)
    ),
    st.builds(
        lambda number, four: _varint(number << 3 | 5) + four,
        st.integers(1, 20),
        st.binary(min_size=4, max_size=4),
    ),
    st.builds(
        lambda number, text: _varint(number << 3 | 2) + _varint(len(text)) + text,
        st.sampled_from([1, 4, 5, 6, 9, 9, 9, 11, 25]),
        st.binary(max_size=140),
    ),
)


@pytest.mark.parametrize("runs", [NUMBERS, PLAIN], ids=["numbers", "plain"])
@given(parts=st.lists(FIELDS, max_size=12), cut=st.integers(0, 3))
def test_fields_that_are_passed_over_at_once_are_those_that_one_after_the_other_are_found(runs, parts, cut):
    """Else something could hide in a run; and a message that ends too early does so in both."""
    whole = b"".join(parts)
    message = memoryview(whole[: max(len(whole) - cut, 0)])

    def found(**how):
        try:
            for number, value in fields(message, **how):
                yield from fields(value) if number == 0 else [(number, value)]
        except Corrupt as error:
            yield str(error)

    assert list(found()) == list(found(runs=runs))


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (b"\x3a", "ends too early"),
        (b"\x3a\x05a", "ends too early"),
        (b"\x3a" + b"\xff" * 10, "too long"),
        (b"\x38\x01", "a number stands where a message should"),
        (b"\x0b", "unknown wire type"),
        # Field 25 (functions), its key longer than 32 bits: readers that cut it would see the function.
        (b"\xca\x81\x80\x80\x10\x00", "field number is too large"),
    ],
)
def test_bytes_that_are_no_message_are_refused(graph, says):
    """With the right digest, too: the walker and the runtime must not read them differently."""
    with pytest.raises(Corrupt, match=says):
        check_graph(graph)


def test_a_graph_nested_too_deeply_is_refused():
    """Reading must not exhaust the stack."""
    message = b""
    for field in [0x32, 0x2A, 0x0A] * 1000:
        size, length = len(message), b""
        while size > 0x7F:
            length += bytes([size & 0x7F | 0x80])
            size >>= 7
        message = bytes([field]) + length + bytes([size]) + message
    # A model's graph is field 7, a graph's node 1, a node's attribute 5, an attribute's graph 6.
    with pytest.raises(Corrupt, match="nested too deeply"):
        check_graph(b"\x3a" + _varint(len(message)) + message)


def _varint(n):
    return bytes([n & 0x7F | 0x80]) + _varint(n >> 7) if n > 0x7F else bytes([n])


def test_bytes_that_only_the_runtime_can_judge_are_refused_as_corrupt(capfd):
    """Whatever it raises is one of our errors, and it prints nothing to stdout, which belongs to `--json`."""
    proto = softmax_proto(2)
    proto.graph.node[0].op_type = "NoSuchOperator"
    for graph in (proto.SerializeToString(), b""):
        with pytest.raises(Corrupt, match="not an ONNX graph that can run"):
            load_parts(package_of(graph), graph)

    assert "" == capfd.readouterr().out


def test_graphs_with_any_bit_flipped_load_or_are_refused_by_our_errors():
    """Were their digests right, still no other exception may reach the endpoint."""
    outcomes = set()
    for graph in flips(BINARY_GRAPH):
        try:
            model_of(graph).scores(ROWS)
            outcomes.add("answers")
        except (Corrupt, Denied, Terminal, RequestError) as error:
            outcomes.add(type(error).__name__)

    assert {"answers", "Corrupt"} <= outcomes


PROBABILITIES = hnp.arrays(
    np.float64, st.integers(1, 20), elements=st.floats(0, 1) | st.sampled_from([0.0, 1.0, 2.0**-149])
)


def two(p):
    return np.column_stack([1 - p, p])


def test_no_calibration_leaves_scores_as_they_are():
    """Also those of regression."""
    scores = np.array([[1.5], [-2.0]])

    assert scores.tolist() == calibrate(Calibration(), scores).tolist()


@settings(deadline=None)
@given(PROBABILITIES, st.floats(-5, 5), st.floats(-50, 50))
def test_sigmoid_is_the_formula_and_stays_finite(p, a, b):
    """Against scipy, away from the ends of float32; a probability at the ends, too."""
    scores = calibrate(Calibration(method="sigmoid", parameters=(a, b)), two(p))
    inner = (p > 2.0**-24) & (p < 1 - 2.0**-24)

    assert np.isfinite(scores).all()
    np.testing.assert_allclose(expit(a * logit(p[inner]) + b), scores[inner, 1], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(1, scores.sum(axis=1))


@given(PROBABILITIES, st.floats(-5, 5), st.floats(-50, 50))
def test_a_sigmoid_of_many_rows_is_that_of_each(p, a, b):
    """To the bit: a batch answers as the endpoint does."""
    calibration, raw = Calibration(method="sigmoid", parameters=(a, b)), np.repeat(two(p), 9, axis=0)

    alone = [calibrate(calibration, raw[i : i + 1])[0] for i in range(len(raw))]
    assert np.array(alone).tobytes() == calibrate(calibration, raw).tobytes()


@given(PROBABILITIES, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9))
def test_isotonic_interpolates_and_keeps_the_order(p, points):
    """Flat outside of its points, and a higher raw score never becomes a lower probability."""
    x = np.unique([point[0] for point in points])
    y = np.sort([point[1] for point in points])[: len(x)]
    calibration = Calibration(method="isotonic", x=tuple(x.tolist()), y=tuple(y.tolist()))
    scores = calibrate(calibration, two(p))[:, 1]

    assert np.interp(p, x, y).tolist() == scores.tolist()
    assert (np.diff(scores[np.argsort(p)]) >= -1e-12).all()


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(2, 5)), elements=st.floats(0, 1)),
    st.floats(0.05, 20),
)
def test_temperature_is_the_formula(raw, t):
    """Against scipy; a class that is impossible stays so."""
    raw[:, 0] += 0.5
    scores = calibrate(Calibration(method="temperature", parameters=(t,)), raw)
    with np.errstate(divide="ignore"):
        expected = softmax(np.log(raw) / t, axis=1)

    np.testing.assert_allclose(expected, scores, rtol=1e-9, atol=1e-300)
    assert (scores[raw == 0] == 0).all()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0.0),
        ({"probabilities": {"No": 0.4, "Yes": 0.6}}, 0.1),
        ({"probabilities": {"Nein": 0.5, "Ja": 0.5}}, np.inf),
        ({"interval": [0, 1, 0.9]}, np.inf),
    ],
)
def test_differences_from_golden_answers_are_measured(change, expected):
    """An endpoint on another machine must know by how much it differs."""
    model = model_of(BINARY_GRAPH)
    golden = {"prediction": "Yes", "probabilities": {"No": 0.5, "Yes": 0.5}, "threshold": 0.4, **change}

    assert expected == pytest.approx(golden_differences(model, ROWS[:1], [golden]))
    assert np.inf == golden_differences(model, ROWS[:2], [golden])


def test_differences_of_numbers_are_relative_to_large_ones():
    """A price of a million has no six decimals."""
    model = model_of(linear_proto().SerializeToString(), **REGRESSION)
    near = {"prediction": 5.5 + 0.11, "interval": [0, 0, 0.9]}
    small = {"prediction": 0.25, "interval": [0, 0, 0.9]}

    assert 0.11 / 5.61 == pytest.approx(golden_differences(model, ROWS[1:2], [near]))
    assert 0.25 == pytest.approx(golden_differences(model, ROWS[:1], [small]))
    # Beside one of 1,000 the same difference is a four-hundredth of what a graph adds up.
    assert 0.0025 == pytest.approx(
        largest_difference(
            [{"prediction": 0.0}, {"prediction": 1e3}], [{"prediction": 0.25}, {"prediction": 1e3}]
        )
    )


def test_building_a_package_is_pure():
    """Equal parts give one digest on any day and machine."""
    first, second = package_of(BINARY_GRAPH, b"{}"), package_of(BINARY_GRAPH, b"{}")

    assert digest_of(first) == digest_of(second)
    assert digest_of_bytes(BINARY_GRAPH) == first.graph
    assert (len(BINARY_GRAPH), digest_of(trained())) == (first.graph_bytes, first.trained)


def test_the_test_graphs_are_valid_onnx():
    """Otherwise the refusals above would prove little."""
    for proto in (softmax_proto(2), softmax_proto(3), linear_proto(), with_function()):
        onnx.checker.check_model(proto)


def test_a_gentle_sigmoid_does_not_magnify_the_rounding_of_served_scores():
    """Near 1 a float32 probability is 6e-8 apart; its complement says how near it is."""
    margins = np.linspace(-30, 30, 2_001)
    exact = np.column_stack([1 / (1 + np.exp(margins)), 1 / (1 + np.exp(-margins))])
    gentle = Calibration(method="sigmoid", parameters=(0.4, 0.1))

    served = calibrate(gentle, exact.astype(np.float32).astype(np.float64))

    assert np.abs(served - calibrate(gentle, exact)).max() < 1e-6


def test_a_package_of_raw_columns_reads_them_by_place_and_type():
    """The signature of a graph is checked for raw columns too, and a mixture of both kinds is no package."""
    graph = helper.make_graph(
        [
            helper.make_node("Concat", ["x0", "x1"], ["both"], axis=1),
            helper.make_node("Softmax", ["both"], ["y"]),
        ],
        "raw",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("x0", "x1")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
    )
    body = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8
    ).SerializeToString()
    a, b = Raw(column="a", dtype="float"), Raw(column="b", dtype="float")
    rows = np.array([(0.0, 0.0), (1.0, -2.0)], dtype=[("x0", np.float32), ("x1", np.float32)])
    model = model_of(body, encoder=Encoder(encodings=(a, b)))

    np.testing.assert_allclose(model.scores(rows), softmax([[0.0, 0.0], [1.0, -2.0]], axis=1), rtol=1e-6)
    with pytest.raises(RequestError, match="another form"):
        model.scores(ROWS)
    with pytest.raises(Corrupt, match="input of the graph"):
        model_of(body, encoder=Encoder(encodings=(a, Raw(column="b", dtype="string"))))
    with pytest.raises(Corrupt, match="raw columns"):
        model_of(body, encoder=Encoder(encodings=(a, Number(column="b"))))


def test_running_a_model_tells_nobody_of_it(tmp_path):
    """ONNX Runtime would make an id of this machine in the user's folder, and report each session to its maker."""
    code = "import sys; from linewright.model.onnx.session import onnxruntime as run; run.InferenceSession(sys.stdin.buffer.read())"
    subprocess.run(
        [sys.executable, "-c", code],
        input=BINARY_GRAPH,
        # Nothing else: a variable that says that this is a test run would keep it silent too.
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=True,
    )

    assert [] == list(tmp_path.iterdir())
