"""Odd parts of pictures: how far each patch is from the nearest of many patches of good pictures [1]_.

A picture becomes patches (`model.pictures.patches_of`), and those of good pictures are a bank. What is learned is a graph from pixels to how odd
each patch is: it is the backbone of the package's encoder, so that the answer, its explanation and a heat map come of the same numbers.

References
----------
.. [1] K. Roth et al., Towards total recall in industrial anomaly detection, CVPR 2022.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from linewright.engine.context import Progress
from linewright.model.anomaly.learn import Learned, reason_of, require_good, trial_of
from linewright.model.facts import Executed, MemberOf
from linewright.model.families.anomaly.empirical_cdf import learn_cdf
from linewright.model.families.anomaly.fitted import Given, OddityFitted, OddityNative
from linewright.model.families.anomaly.prepared import Prepared
from linewright.model.tasks.links import Matrix

BANK, DRAWN = 6_000, 60_000
"""Patches of good pictures that are kept, and of which they are chosen."""
_ROUNDS = 4
_AT_ONCE = 4_096
ODDEST = 0.05
"""A picture is as odd as the mean of this share of its patches, the oddest."""
MOST_TAUGHT, MOST_SCORED = 5_000, 2_000
"""Good pictures that patches are drawn from, and by which scores are set."""
NAME = "patches"
Read = Callable[[Sequence[str]], Matrix]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaughtPictures:
    """Training pictures by their digests, and which are known to be faulty."""

    digests: Sequence[str]
    is_faulty: NDArray[np.bool_]
    groups: NDArray[np.int64]
    """A number for the group of each; patches of one group do not method it."""
    grid: int
    """Patches of a side."""
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedPatches:
    """A model of pictures."""

    learned: Learned
    bank: Matrix
    """float32, shape (patches, numbers of a patch)."""


def learn_patches(rows: TaughtPictures, read: Read, *, report: Callable[[Progress], None]) -> LearnedPatches:
    """Learn how odd parts of pictures are."""
    good, faulty = np.flatnonzero(~rows.is_faulty), np.flatnonzero(rows.is_faulty)
    require_good(len(good))
    chance = np.random.default_rng(rows.seed)
    taught = np.sort(chance.permutation(good)[:MOST_TAUGHT])
    scored = np.sort(np.concatenate([chance.permutation(part)[:MOST_SCORED] for part in (good, faulty)]))
    each = rows.grid * rows.grid

    def patches_of(places: NDArray[np.int64]) -> Matrix:
        return read([str(rows.digests[place]) for place in places.tolist()]).reshape(len(places), each, -1)

    report(Progress(step="train", says=f"{NAME}: {len(taught):,} good pictures", done=0, of=2))
    # Which patches may be kept is drawn before pictures are read, so that only these are in memory.
    drawn = np.sort(chance.permutation(len(taught) * each)[:DRAWN])
    parts = [
        patches_of(taught[[place]])[0, drawn[drawn // each == place] % each] for place in range(len(taught))
    ]
    patches = np.concatenate(parts)
    kept = coreset(patches, BANK, chance)
    bank, owners = patches[kept], rows.groups[taught[drawn[kept] // each]]
    report(Progress(step="train", says=f"{NAME}: {len(scored):,} pictures scored", done=1, of=2))
    lengths = (bank**2).sum(axis=1)
    oddest = max(1, round(ODDEST * each))
    oddity = np.full(len(rows.digests), np.nan)
    typical: list[Matrix] = []
    for place in scored.tolist():
        others = owners != rows.groups[place]
        if not others.any():
            continue
        found = nearest(patches_of(np.array([place]))[0], bank, np.where(others, lengths, np.inf))
        oddity[place] = np.sort(found.astype(np.float64))[-oddest:].mean()
        if not rows.is_faulty[place]:
            typical.append(found)
    is_known = np.isfinite(oddity)
    require_good(int((is_known & ~rows.is_faulty).sum()))
    cdf = learn_cdf(oddity[is_known & ~rows.is_faulty])
    settings = {"grid": rows.grid, "numbers": bank.shape[1], "bank": len(bank), "oddest": oddest}
    trial = trial_of(NAME, oddity[is_known], rows.is_faulty[is_known], settings=settings, seed=rows.seed)
    native = OddityNative(
        task="anomaly",
        width=each,
        prepared=Prepared(numbers=(), centre=(), factor=(), levels=()),
        method=Given(parts=tuple(range(each)), oddest=oddest),
        cdf=cdf,
        typical=tuple(np.median(typical, axis=0).astype(np.float64).tolist()),
    )
    return LearnedPatches(
        bank=bank,
        learned=Learned(
            native=OddityFitted(native).to_native(),
            trials=(trial,),
            chosen=NAME,
            reason=reason_of(
                (trial,), faulty=int((is_known & rows.is_faulty).sum()), rows=int(is_known.sum())
            ),
            executed=Executed(folds=1, of=1, members=(MemberOf(trial=NAME, weight=1.0, rounds=0),)),
            score=np.where(is_known, cdf.scores(np.nan_to_num(oddity)), np.nan),
            rows=len(taught),
        ),
    )


def coreset(patches: Matrix, most: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Return which patches stand for all: a quarter of them drawn, then thrice as many that are far from those before.

    Half of the farthest are taken each time, by chance, so that one odd corner does not fill the bank.
    """
    if len(patches) <= most:
        return np.arange(len(patches))
    order, step = chance.permutation(len(patches)), most // _ROUNDS
    kept = taken = order[:step]
    apart = np.full(len(patches), np.inf, dtype=np.float32)
    while len(kept) < most:
        bank = patches[taken]
        lengths = (bank**2).sum(axis=1)
        for start in range(0, len(patches), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            apart[part] = np.minimum(apart[part], nearest(patches[part], bank, lengths))
        apart[kept] = -1  # at a distance of 0 but for rounding
        take = min(step, most - len(kept))
        farthest = np.argsort(-apart, kind="stable")[: 2 * take]
        taken = chance.permutation(farthest[apart[farthest] >= 0])[:take]
        kept = np.concatenate([kept, taken])
    return np.sort(kept)


def nearest(patches: Matrix, bank: Matrix, lengths: Matrix) -> Matrix:
    """Return how far each patch is from the nearest of a bank, float32, shape (n,).

    Examples
    --------
    >>> bank = np.array([[0, 0], [3, 3]], dtype=np.float32)
    >>> nearest(np.array([[3, 4]], dtype=np.float32), bank, (bank**2).sum(axis=1)).tolist()
    [1.0]
    """
    squares = (patches**2).sum(axis=1)[:, np.newaxis] + (lengths - 2 * (patches @ bank.T))
    return np.sqrt(np.maximum(squares.min(axis=1), 0))


def detector(patches: bytes, bank: Matrix, *, grid: int) -> bytes:
    """Return the graph from pixels to how odd each patch is, from that of patches and the bank."""
    model = onnx.load_from_string(patches)
    graph, each = model.graph, grid * grid

    def constant(name: str, values: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def add(kind: str, *inputs: str, output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    rows = add(
        "Reshape", "features", constant("shape_of_patches", np.array([-1, bank.shape[1]])), output="patches"
    )
    axis = constant("axis_of_numbers", np.array([1]))
    own = add("ReduceSum", add("Mul", rows, rows, output="squared"), axis, output="lengths", keepdims=1)
    crossed = add("MatMul", rows, constant("bank", np.ascontiguousarray(-2 * bank.T)), output="crossed")
    apart = add("Add", crossed, constant("lengths_of_bank", (bank**2).sum(axis=1)), output="apart")
    least = add("ReduceMin", apart, axis, output="least", keepdims=1)
    squares = add("Add", least, own, output="squares")
    above = add("Max", squares, constant("nothing", np.array(0, dtype=np.float32)), output="above")
    add(
        "Reshape",
        add("Sqrt", above, output="distances"),
        constant("shape_of_pictures", np.array([-1, each])),
        output="odd",
    )
    graph.output.pop()
    graph.output.append(helper.make_tensor_value_info("odd", TensorProto.FLOAT, ["n", each]))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
