"""What this machine makes of a few fixed computations, to the bit: why the same training may end otherwise elsewhere.

Sums, products of matrices, exponentials and logarithms are not rounded alike by all processors and libraries: each takes
the instructions that the processor has, and adds in the order that suits them.
"""

import hashlib
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from linewright.model.tasks.links import Floats

_ROWS, _WIDTH, _ROUNDS = 512, 6, 8
_DIGITS = 16


def numerics(*, fits: bool = True) -> dict[str, str]:
    """Compute what the bits depend on, and return a digest of each outcome, by name.

    Examples
    --------
    >>> numerics() == numerics()
    True
    >>> sorted(numerics())
    ['dot', 'exp', 'lightgbm', 'log', 'solve', 'sum']
    """
    whole = np.arange(_ROWS * _WIDTH, dtype=np.int64) * 2_654_435_761 % 2**31
    x = (whole.astype(np.float64) / 2**31).reshape(_ROWS, _WIDTH)
    computed = {**_COMPUTED, "lightgbm": _boosted} if fits else _COMPUTED
    with threadpool_limits(1), np.errstate(all="ignore"):
        return {name: hashlib.sha256(compute(x)).hexdigest()[:_DIGITS] for name, compute in computed.items()}


def processor() -> tuple[str, ...]:
    """Return what this processor can do, as far as numpy and the linear algebra ask for it, sorted.

    Such as ``("AVX2", "AVX512F", "FMA3", "openblas SkylakeX", …)``.
    """
    found = cast("dict[str, list[str]]", np.show_config(mode="dicts").get("SIMD Extensions", {}))
    simd = {*found.get("baseline", []), *found.get("found", [])}
    blas = {
        f"{one['internal_api']} {one['architecture']}" for one in threadpool_info() if "architecture" in one
    }
    return tuple(sorted(simd | blas))


def _solved(x: Floats) -> bytes:
    return np.linalg.solve(x.T @ x + np.eye(_WIDTH), x.T @ x[:, 0]).tobytes()


def _boosted(x: Floats) -> bytes:
    lgb = import_module("linewright.model.families.lightgbm").lgb  # a second that only those who train pay
    target = (x[:, 0] + x[:, 1] * x[:, 2] > 0.8).astype(np.float64)
    settings = {
        "objective": "binary",
        "num_leaves": 7,
        "learning_rate": 0.1,
        "feature_fraction": 0.7,
        "seed": 1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    fitted = lgb.train(settings, lgb.Dataset(x, target, free_raw_data=True), _ROUNDS)
    return fitted.model_to_string().encode()


_COMPUTED: Mapping[str, Callable[[Floats], bytes]] = MappingProxyType(
    {
        "exp": lambda x: np.exp(x * 40 - 20).tobytes(),
        "log": lambda x: np.log(x + 1e-9).tobytes(),
        "sum": lambda x: np.concatenate([x.sum(axis=0), x.sum(axis=1), [x.sum()]]).tobytes(),
        "dot": lambda x: (x @ x.T).tobytes(),
        "solve": _solved,
    }
)
