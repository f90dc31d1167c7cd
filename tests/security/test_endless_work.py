"""SQL and models without end are ended: by a deadline that counts from the last sign of progress, and by memory."""

import sys
from pathlib import Path
from time import monotonic

import commands
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from linewright.capabilities.drafts.write import new_line
from linewright.data.contract.sql_checks import answers
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.source import read_source
from linewright.data.spec import ContractSpec, DataSpec, FileSource
from linewright.data.table.build import build_table
from linewright.engine.machine import resident
from linewright.errors import RequestError, SpecError
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.model.imported.onnx_file import look_at
from linewright.model.imported.sandbox import tried

ENDLESS = [
    "select count(*) as n from range(1000000) a, range(1000000) b, range(1000000) c",
    "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as m from n",
    "select count(*) as n from range(100000000000)",
    "select sum(a.id::int * b.range) as n from s a, range(1000000000000) b where a.id::int + b.range < 0",
]

PROGRAM = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
from linewright.data.table.sql import select
from linewright.data.spec import QueryLimits
from linewright.errors import LinewrightError
try:
    select(sys.argv[1], {}, where="table.sql", allowed="", limits=QueryLimits())
except LinewrightError as error:
    print(error)
"""


def joined(folder: Path, sql: str, **limits: float) -> pl.DataFrame:
    (folder / "s.csv").write_text("id,y\n" + "".join(f"{i},{i % 2}\n" for i in range(100)))
    data = DataSpec.model_validate(
        {
            "sources": {"s": {"file": "s.csv"}},
            "table": {"sql": sql, "limits": limits},
            "label": {"column": "y"},
        }
    )
    table = build_table([read_source("s", FileSource(file="s.csv"), folder)], data)
    return pl.concat([batch.frame for batch in table.batches()])


@pytest.mark.parametrize("sql", ENDLESS)
def test_sql_without_end_is_ended(tmp_path, sql):
    """A cross join that was meant otherwise is the usual way to hold a worker for ever."""
    began = monotonic()

    with pytest.raises(SpecError) as caught:
        joined(tmp_path, sql, seconds=0.2)

    assert caught.value.where == "table.sql"
    assert "the SQL gave no row for 0.2 s" in str(caught.value)
    assert "table.limits.seconds" in caught.value.hint
    assert monotonic() - began < 30


def test_a_check_without_end_is_ended():
    """A contract's checks are SQL as well."""
    check = {"name": "never ends", "sql": ENDLESS[0], "limits": {"seconds": 0.2}}
    contract = ContractSpec.model_validate({"checks": [check]})

    with pytest.raises(SpecError) as caught:
        list(answers(pl.DataFrame({"x": [1]}), contract))

    assert caught.value.where == "contract.checks[0].sql"
    assert "contract.checks[0].limits.seconds" in caught.value.hint


def test_sql_that_gives_rows_without_end_is_ended(tmp_path):
    """Each row is progress, and each is held: their number has a limit of its own."""
    with pytest.raises(RequestError, match="more than 100,000 rows") as caught:
        joined(tmp_path, "select range as y from range(100000000000)", rows=100_000)

    assert "table.limits.rows" in caught.value.hint


def test_sql_that_gives_rows_slowly_goes_on(tmp_path):
    """The deadline counts from the last row: what makes progress is not ended, however long it takes."""
    slow = (
        "select a.range as y, (select sum(sqrt(b.range)) from range(300000) b where b.range <> a.range) as x "
        "from range(40) a"
    )

    assert 40 == joined(tmp_path, slow, seconds=20).height


def test_an_answer_of_sql_is_as_it_was(tmp_path):
    """Reading an answer bit by bit keeps its rows in their order, and their types."""
    frame = joined(
        tmp_path, "select id::int as id, y, id::int / 4 as q from s, range(1000) order by id desc, range"
    )

    assert 100_000 == frame.height
    assert [pl.Int32, pl.Int64, pl.Float64] == frame.dtypes
    assert frame["id"].to_list() == sorted(frame["id"].to_list(), reverse=True)


@pytest.mark.parametrize(
    "sql",
    [
        "select list(range) as y from range(100000000000)",
        "select repeat('x', 1000000) as y from range(1000000)",
        "select range as y, repeat('x', 10000) as z from range(1000000)",
    ],
)
def test_sql_takes_no_more_memory_than_its_share(tmp_path, sql):
    """DuckDB would take four fifths of the machine, and its answers come on top of that."""
    start = commands.programs("linewright.data.table.sql")
    done = commands.run([sys.executable, "-c", PROGRAM, sql], of=start, cwd=tmp_path, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("table.sql: "), done


def file_of(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> bytes:
    """Make a model of two numbers whose probabilities are those of the nodes' ``p``, shape (n, 2)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2])],
        constants,
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def loop(rounds: int, *, doubles: bool) -> bytes:
    """Make a model that goes round so many times, and doubles what it has each time."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Concat", ["v", "v"], ["w"], axis=0)
            if doubles
            else helper.make_node("Identity", ["v"], ["w"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["rounds", "yes", "x"], ["l"], body=body),
        helper.make_node("Softmax", ["l"], ["p"]),
    ]
    return file_of(
        nodes,
        [
            numpy_helper.from_array(np.array(rounds, dtype=np.int64), "rounds"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )


def filled(cells: int) -> bytes:
    """Make a model that fills so many cells before it answers."""
    return file_of(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["many"], value=numpy_helper.from_array(np.array([0.5], dtype=np.float32))),
            helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["a"]),
            helper.make_node("Softmax", ["a"], ["p"]),
        ],
        [numpy_helper.from_array(np.array([cells], dtype=np.int64), "shape")],
    )  # fmt: skip


def test_a_sound_model_says_what_it_reads():
    """What is tried elsewhere says the same as when it is looked at here."""
    data = loop(3, doubles=False)

    assert look_at(data, where="m") == tried(data, where="m")


def test_a_refusal_is_the_one_that_a_look_gives():
    """The child's errors are those of the product, with their class."""
    with pytest.raises(RequestError, match="not an ONNX file that can run"):
        tried(b"nonsense", where="m")


def test_a_model_that_never_answers_is_refused():
    """A file of 1 KB that somebody brings would hold `new`, `check` and the worker for ever."""
    began = monotonic()

    with pytest.raises(RequestError, match=r"the model was refused: it did not answer within 1 s") as caught:
        tried(loop(2**62, doubles=False), where="train.model.file", patience_s=1)

    assert caught.value.where == "train.model.file"
    assert monotonic() - began < 30  # of which the child needs some to load its libraries


@pytest.mark.parametrize(
    "data", [loop(60, doubles=True), filled(2**40), filled(2**33)], ids=["doubling", "4 TB", "32 GB"]
)
def test_a_model_that_takes_all_memory_is_refused(data):
    """The system would otherwise end the process that takes most: the endpoint, or the worker."""
    before = resident()

    with pytest.raises(RequestError, match="the model was refused"):
        tried(data, where="m", patience_s=3)

    assert resident() - before < 64 << 20


MEETS = {
    "new": lambda root: new_line(
        root, "scored", root / "s.csv", GivenRoles(label="y"), model=root / "m.onnx"
    ),
    "check": lambda root: check_line(Factory.open(root), "scored"),
}


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("way", MEETS)
def test_no_command_meets_a_model_before_it_was_tried(tmp_path, monkeypatch, way):
    """`new --model` and `check` are the first that meet a file from elsewhere."""
    monkeypatch.setattr("linewright.model.imported.sandbox.PATIENCE_S", 1)
    (tmp_path / "m.onnx").write_bytes(loop(2**62, doubles=False))
    (tmp_path / "s.csv").write_text(
        "a,b,y\n" + "".join(f"{i},{i * 7 % 11},{'no' if i % 3 else 'yes'}\n" for i in range(300))
    )
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    (tmp_path / "lines").mkdir()

    line = tmp_path / "lines" / "scored.yaml"
    if way == "check":
        line.write_text(
            "line: scored\nsources: {s: {file: s.csv}}\nlabel: {column: y}\ntrain: {model: {file: m.onnx}}\n"
        )

    with pytest.raises(RequestError, match="it did not answer within 1 s"):
        MEETS[way](tmp_path)

    assert line.exists() == (way == "check")
