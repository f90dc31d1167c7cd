"""What loaded models take in memory, beside what an endpoint thinks that they take.

    python benchmarks/model_memory.py

Each kind of model is loaded some times in this process. What a copy adds to the resident memory is divided by what
`serve.models.memory.cost_of` says, by which an endpoint keeps within its memory for models: below 1.00 the estimate is too large.
"""

import gc
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper
from swap import make, resident

from linewright.features.facts import Category, Encoder, Number
from linewright.model.facts import Calibration, Package, RequestColumn
from linewright.model.package.model import open_model, read_package
from linewright.serve.models.memory import cost_of, give_back
from linewright.serve.rows.scorer import Scorer
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.values import digest_of_bytes

ROW = {"key": "k", "a": 1.0, "b": 2.0, "kind": "x"}
REPEATED = ("nodes_", "class_", "target_")
"""Attributes of a tree ensemble that have a value a node or leaf."""


def with_graph(package: Package, graph: bytes) -> tuple[Package, bytes]:
    return replace(package, graph=digest_of_bytes(graph), graph_bytes=len(graph)), graph


def many_trees(graph: bytes, times: int) -> bytes:
    """Return a graph with each of its trees so many times."""
    model = onnx.load_from_string(graph)
    (ensemble,) = (node for node in model.graph.node if node.op_type.startswith("TreeEnsemble"))
    trees = 1 + max(next(each.ints for each in ensemble.attribute if each.name == "nodes_treeids"))
    for each in ensemble.attribute:
        if not each.name.startswith(REPEATED):
            continue
        if each.HasField("t"):
            values = np.tile(numpy_helper.to_array(each.t), times)
            each.t.CopyFrom(numpy_helper.from_array(values, each.t.name))
            continue
        kind = "strings" if each.strings else "ints"
        values = list(getattr(each, kind))
        shift = trees if each.name.endswith("treeids") else 0
        del getattr(each, kind)[:]
        for time in range(times):
            getattr(each, kind).extend([value + shift * time if shift else value for value in values])
    return model.SerializeToString()


def dense(columns: int, width: int) -> bytes:
    """Return a graph of two matrices, for two classes."""
    chance = np.random.default_rng(0)
    first, second = (chance.normal(size=size).astype(np.float32) for size in ((columns, width), (width, 2)))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "second"], ["z"]),
            helper.make_node("Softmax", ["z"], ["y"], axis=1),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    opsets = [helper.make_opsetid("", 15)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def numbers(package: Package, count: int) -> Package:
    """Return a package of so many columns of numbers."""
    columns = tuple(RequestColumn(name=f"column_{number}", type="number") for number in range(count))
    encoder = Encoder(encodings=tuple(Number(column=column.name) for column in columns))
    return replace(package, columns=columns, encoder=encoder, calibration=Calibration())


def levels(package: Package, count: int) -> Package:
    """Return a package whose category has so many levels."""
    names = tuple(f"level-{number:06}" for number in range(count))
    encodings = (*package.encoder.encodings[:2], Category(column="kind", levels=names))
    return replace(package, encoder=Encoder(encodings=encodings))


def added(load: Callable[[], object], times: int) -> float:
    """Return what one more copy takes, in bytes."""

    def now() -> float:
        gc.collect()
        give_back()
        return resident(os.getpid()) * 2**20

    held = [load()]
    before = now()
    held += [load() for _ in range(times)]
    return (now() - before) / times


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        models = make(Path(folder) / "factory")
        artifacts = LocalArtifacts(models.state / "artifacts")
        package = read_package(models.good[0], artifacts.get)
        graph = artifacts.get(package.graph)
    kinds = {
        "trees": (*with_graph(package, graph), 100, False),
        "trees, explained": (*with_graph(package, graph), 100, True),
        "20 times as many trees": (*with_graph(package, many_trees(graph, 20)), 8, False),
        "20 times as many trees, explained": (*with_graph(package, many_trees(graph, 20)), 8, True),
        "2 columns, 2 matrices": (*with_graph(numbers(package, 2), dense(2, 3)), 400, False),
        "1,000 columns, 2 matrices": (*with_graph(numbers(package, 1000), dense(1000, 2500)), 8, False),
        "20,000 levels, trees": (*with_graph(levels(package, 20_000), graph), 20, False),
    }
    print("| model | bytes of its graph | taken, MB | thought, MB | of that |\n|---|---:|---:|---:|---:|")
    for kind, (made, own, times, is_explained) in kinds.items():

        def load(made: Package = made, own: bytes = own, is_explained: bool = is_explained) -> Scorer:
            # Copies, as each model that is loaded from the disk has its own.
            package = msgspec.json.decode(msgspec.json.encode(made), type=Package)
            scorer = Scorer(open_model(package, bytes(bytearray(own))))
            if is_explained:
                scorer.explain(scorer.matrix([ROW]))
            return scorer

        taken, thought = added(load, times), cost_of(made)
        print(
            f"| {kind} | {len(own):,} | {taken / 1e6:.2f} | {thought / 1e6:.2f} | {taken / thought:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
