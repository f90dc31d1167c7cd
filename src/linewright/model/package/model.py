"""A package: one model that can serve, as plain data and one ONNX graph.

Imports numpy, onnxruntime and msgspec only, for an endpoint loads it. Nothing is parsed before it is hashed and found
right, and nothing that is loaded here can run code of its own.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Any, assert_never

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.data.facts import RowSql
from linewright.errors import Corrupt, RequestError, Terminal
from linewright.features.facts import Encoder, Raw, ViewFacts
from linewright.model.column_readers import readers_of
from linewright.model.explanation_text import cannot_be_explained
from linewright.model.facts import Calibration, CalibrationMethod, Package, RequestColumn, Trained
from linewright.model.onnx.anomaly_explanation import heat_maps, typical_of, why_odd
from linewright.model.onnx.contributions import Explainer, open_explainer, sources_of, to_answers
from linewright.model.onnx.list_contributions import ListExplainer
from linewright.model.onnx.session import LISTS_AT_ONCE, ROWS_AT_ONCE, Graph, Input, open_graph
from linewright.model.pictures import Files, KeptBy, PictureReader
from linewright.model.tasks import task
from linewright.model.tasks.explore import explored
from linewright.model.tasks.links import HAZARD
from linewright.store.protocols import Artifacts, Metadata
from linewright.store.values import canonical_json, decode, decoder, digest_of, digest_of_bytes

SMALLEST = 1e-30
"""`log_odds` takes no probability to be smaller; float32 goes a little below."""

_FEW = 8
"""Rows up to which they are calibrated one by one."""
_NEWEST = 1
_EXPLAINED_BYTES = 2e9
_EXPLAINED = 1e-5
"""How far what an explanation adds up to may be from the answer; of numbers relative to the largest of what is added up, for graphs add in
float32."""


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """A few request rows and what the model answered when it was packaged, to try after loading."""

    rows: tuple[dict[str, Any], ...]
    predictions: tuple[dict[str, Any], ...]


class Model:
    """A package that is ready to answer. Made by `load` and `open_model`; safe to use from several threads."""

    def __init__(
        self,
        package: Package,
        *,
        digest: str,
        graph: Graph,
        files: Files | None = None,
        kept: KeptBy | None = None,
    ) -> None:
        self.package, self.digest, self._graph = package, digest, graph
        self.readers = readers_of(package.encoder, files, kept)
        """What reads columns that need more bytes than the package, see `encode`."""
        self.pictures = {name: one for name, one in self.readers.items() if isinstance(one, PictureReader)}
        self._rules, self._feed = task(package.task), Feed(package.encoder)
        self._explainer: Explainer | None = None
        self._list_explainer: ListExplainer | None = None
        self._typical: NDArray[np.float32] | None = None
        self._names = package.classes or package.encoder.listed
        self._is_wide = bool(self._names)
        self.band = package.band
        """How wide the intervals of its answers are; `None` for classes."""

    def scores(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the calibrated scores of encoded rows."""
        scores = calibrate(self.package.calibration, self.raw_scores(x))
        # A sum is finite where all are, and seldom where one is not: then each is looked at.
        if (
            not math.isfinite(np.add.reduce(scores, axis=None))
            and not (finite := np.isfinite(scores).all(axis=1)).all()
        ):
            row = int(finite.argmin())
            raise RequestError(
                "the model has no finite answer for a row", where=f"row {row}", details={"row": row}
            )
        return scores if self._is_wide else scores[:, 0]

    def raw_scores(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of encoded rows before calibration, shape (n, classes) or (n, 1); see `scores`."""
        return self._graph.run(self._feed.of(x), len(x)).astype(np.float64)

    def answers(
        self, scores: NDArray[np.float64], *, ids: Sequence[str] = (), explore: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return what is said for each row of scores, by the rules of the task."""
        package = self.package
        answers = self._rules.answers(
            scores, classes=self._names, threshold=package.threshold, band=self.band
        )
        if explore and package.encoder.items:
            return explored(answers, scores, self._names, share=explore, ids=ids)
        if package.maintenance is None:
            return answers
        by = self._rules.act_by(scores, self._names, package.maintenance)
        return [{**answer, "act_by": time} for answer, time in zip(answers, by, strict=True)]

    def explain(self, x: NDArray[Any]) -> list[dict[str, Any]]:
        """Return what each column of encoded rows contributed to their scores before calibration."""
        package = self.package
        if package.encoder.items:
            if self._list_explainer is None:
                self._list_explainer = ListExplainer(self._graph.data, package.encoder, where=self.digest)
            return self._list_explainer.explain(x, self.scores(x))
        if package.encoder.window is not None:
            raise cannot_be_explained("says-steps", model=self.digest)
        if self._rules.learns_good:
            return self._why_odd(x)
        raw = self._graph.run(self._feed.of(x), len(x))
        if self._explainer is None:
            # Read when first asked for; two threads that ask at once read twice and alike.
            outputs = self._rules.link.outputs(len(package.classes))
            self._explainer = open_explainer(
                self._graph, encoder=package.encoder, outputs=outputs, where=self.digest
            )
        explained = self._explainer(x)
        told = self._rules.link.to_scores(explained.scores).reshape(raw.shape)
        unit = 1.0 if package.classes else np.maximum(1.0, explained.largest())[:, None]
        apart = np.abs(told - raw) / unit
        if not (apart <= _EXPLAINED).all():
            raise Terminal(
                "the explanation does not add up to what the model answers",
                where=self.digest,
                found=float(apart.max()),
                allowed=f"differences of at most {_EXPLAINED:g}",
            )
        return to_answers(
            explained, task=package.task, classes=package.classes, sources=sources_of(package.encoder)
        )

    def _why_odd(self, x: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Explain by columns that are put to what they are in a typical row; of a picture, say which parts of it are odd."""
        encoder = self.package.encoder
        if self._typical is None:
            width = len(encoder.encodings)
            self._typical = typical_of(self._graph.data, width=width, where=self.digest)
        self._feed.of(x)  # refuses rows of another form
        explained = why_odd(self._oddity, x, self._typical, sources_of(encoder))
        maps = [
            (one.column, heat_maps(self._oddity, x, one.grid))
            for one in encoder.pictures
            if one.grid is not None
        ]
        if not maps:
            return explained
        return [
            {**one, "heat_map": {name: each[row] for name, each in maps}} for row, one in enumerate(explained)
        ]

    @property
    def most_explained(self) -> int:
        """Rows that are explained in about a second, at least 1: of anomalies each column of each row asks the graph twice."""
        if not self._rules.learns_good:
            return 2**31
        columns = len(self.package.encoder.columns) + sum(
            one.grid or 0 for one in self.package.encoder.pictures
        )
        return max(1, int(_EXPLAINED_BYTES / (self.package.graph_bytes * columns)))

    def _oddity(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.scores(rows)[:, 1]


def inputs_of(encoder: Encoder) -> list[Input]:
    """Return what the graph of a package reads: one matrix ``x``, or the raw columns ``x0``, ``x1``, …."""
    if not encoder.is_raw:
        return [("x", "float", len(encoder.encodings))]
    raws = [encoding for encoding in encoder.encodings if isinstance(encoding, Raw)]
    return [(f"x{i}", raw.dtype, 1) for i, raw in enumerate(raws)]


class Feed:
    """Hands encoded rows to the graph of a package, as it reads them."""

    def __init__(self, encoder: Encoder) -> None:
        self._is_raw, self._width = encoder.is_raw, len(encoder.encodings)
        self._names = tuple(name for name, _, _ in inputs_of(encoder))

    def of(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the inputs of the graph."""
        if self._is_raw and x.dtype.names == self._names:
            return {name: np.ascontiguousarray(x[name]).reshape(-1, 1) for name in self._names}
        if self._is_raw or x.dtype != np.float32 or x.ndim != 2 or x.shape[1] != self._width:
            raise RequestError(
                "rows of another form than the model reads",
                found=f"{x.dtype} {x.shape}",
                allowed=f"{self._width} raw columns" if self._is_raw else f"float32 (n, {self._width})",
            )
        return {"x": np.ascontiguousarray(x)}


def load(digest: str, get: Callable[[str], bytes], kept: KeptBy | None = None) -> Model:
    """Load a model by its digest."""
    package = read_package(digest, get)
    return open_model(package, get(package.graph), digest=digest, files=get, kept=kept)


def read_package(digest: str, get: Callable[[str], bytes]) -> Package:
    """Return a package without its graph, by its digest."""
    return decode(Package, get(digest), digest=digest)


def open_model(
    package: Package,
    graph: bytes,
    *,
    digest: str = "",
    files: Files | None = None,
    kept: KeptBy | None = None,
) -> Model:
    """Make a model of a package and the bytes of its graph."""
    where = digest or digest_of(package)
    _check_fits(package, where)
    _check_bytes(graph, package.graph)
    if len(graph) != package.graph_bytes:
        raise _misfit(where, "bytes of the graph", len(graph), package.graph_bytes)
    is_list, is_wide = bool(package.encoder.items), bool(package.encoder.listed)
    opened = open_graph(
        graph,
        inputs=inputs_of(package.encoder),
        outputs=None if is_wide else len(package.classes) or 1,
        where=where,
        at_once=LISTS_AT_ONCE if is_list else ROWS_AT_ONCE,
    )
    return Model(package, digest=where, graph=opened, files=files, kept=kept)


def read_golden(package: Package, get: Callable[[str], bytes]) -> Golden:
    """Return the golden rows of a package."""
    body = get(package.golden)
    _check_bytes(body, package.golden)
    try:
        golden = decoder(Golden).decode(body)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"not golden rows: {error}", where=package.golden) from error
    if len(golden.rows) != len(golden.predictions):
        raise _misfit(package.golden, "golden predictions", len(golden.predictions), len(golden.rows))
    return golden


def golden_differences(model: Model, x: NDArray[Any], expected: Sequence[Mapping[str, Any]]) -> float:
    """Return how far the model's answers are from those it gave when it was packaged."""
    return largest_difference(model.answers(model.scores(x)), expected)


def largest_difference(answers: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> float:
    """Return how far answers are from the expected ones, as `golden_differences` has it."""
    if len(answers) != len(expected):
        return inf
    # A graph adds float32 numbers: an answer near 0 among large ones is as exact as they are.
    others = ("probabilities", "survival", "score", "scores", "times")
    numbers = [one["prediction"] for one in expected if not any(name in one for name in others)]
    unit = 0.1 * max(map(abs, numbers), default=0.0)
    return max((answer_difference(a, e, unit) for a, e in zip(answers, expected, strict=True)), default=0.0)


def answer_difference(answer: Mapping[str, Any], expected: Mapping[str, Any], unit: float = 1.0) -> float:
    """Return how far an answer is from the expected one; for regression relative to it, to `unit` or to 1, whichever is the largest."""
    if answer.keys() != expected.keys():
        return inf
    if "scores" in expected:
        if answer["prediction"] != expected["prediction"]:
            return inf
        pairs = zip(answer["scores"], expected["scores"], strict=True)
        return max((abs(a - b) / max(1.0, abs(b)) for a, b in pairs), default=0.0)
    if "times" in expected:
        return _steps_difference(answer, expected)
    if "score" in expected:
        return abs(answer["score"] - expected["score"])
    shares = next((name for name in ("probabilities", "survival") if name in answer), None)
    if shares is None:
        truth = expected["prediction"]
        return abs(answer["prediction"] - truth) / max(1.0, unit, abs(truth))
    # The class follows from the probabilities, the time from the curve; a row on the threshold may fall to either side on another machine.
    found, wanted = answer[shares], expected[shares]
    return max(abs(found[name] - wanted[name]) for name in wanted) if found.keys() == wanted.keys() else inf


def _steps_difference(answer: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """Return how far the steps of a forecast are from the expected ones, in what errors are divided by, or relative to them."""
    parts = ("prediction", "low", "high")
    if answer["times"] != expected["times"] or any(len(answer[one]) != len(expected[one]) for one in parts):
        return inf
    pairs = ((a, b) for one in parts for a, b in zip(answer[one], expected[one], strict=True))
    return max((abs(a - b) / max(expected["scale"], abs(b)) for a, b in pairs), default=0.0)


def build(
    trained: Trained,
    *,
    label: str,
    key: str | None,
    columns: Sequence[RequestColumn],
    missing: Sequence[str] = ("",),
    row_sql: RowSql | None = None,
    views: Sequence[ViewFacts] = (),
    graph: bytes,
    golden: bytes,
) -> Package:
    """Return the package of a trained model, before its threshold is chosen; nothing is kept."""
    return Package(
        task=trained.task,
        label=label,
        classes=trained.classes,
        key=key,
        columns=tuple(columns),
        missing=tuple(missing),
        row_sql=row_sql,
        views=tuple(views),
        encoder=trained.encoder,
        graph=digest_of_bytes(graph),
        graph_bytes=len(graph),
        calibration=trained.calibration,
        threshold=None,
        half_width=trained.half_width,
        band=trained.band,
        golden=digest_of_bytes(golden),
        trained=digest_of(trained),
    )


def keep_package(package: Package, artifacts: Artifacts, metadata: Metadata) -> str:
    """Keep a package as an artifact, for endpoints, and as a result, for the factory; return its one digest.

    Its graph and golden rows must have been put before.
    """
    artifacts.put(canonical_json(package))
    return metadata.keep(package)


def calibrate(calibration: Calibration, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn raw scores into answers, as `Calibration` says.

    Examples
    --------
    >>> raw = np.array([[0.5, 0.5], [0.1, 0.9]])
    >>> calibrate(Calibration(method="sigmoid", parameters=(0.5, 0.0)), raw).round(3).tolist()
    [[0.5, 0.5], [0.25, 0.75]]
    >>> calibrate(Calibration(method="isotonic", x=(0.4, 0.6), y=(0.0, 0.2)), raw).round(3).tolist()
    [[0.9, 0.1], [0.8, 0.2]]
    >>> calibrate(Calibration(method="clip", least=0.0), np.array([[-3.0], [4.0]])).tolist()
    [[0.0], [4.0]]
    """
    match calibration.method:
        case "none":
            return scores
        case "sigmoid":
            a, b = calibration.parameters
            if len(scores) > _FEW:
                return _sigmoids(a, b, scores)
            return np.array([_sigmoid(a, b, row) for row in scores.tolist()]).reshape(-1, 2)
        case "isotonic":
            return _two_columns(np.interp(scores[:, 1], calibration.x, calibration.y))
        case "temperature":
            (t,) = calibration.parameters
            return _softmax_of_log(scores, t)
        case "clip":
            return np.clip(scores, *_ends(calibration))
        case "hazard":
            return HAZARD.to_scores(HAZARD.to_margins(scores) + np.array(calibration.parameters))
        case _:
            assert_never(calibration.method)


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logit of the second of two columns of probabilities.

    It is taken from both columns: near 1 a float32 probability is coarse, and the other column says how near it is.

    Examples
    --------
    >>> log_odds(np.array([[0.5, 0.5], [0.0, 1.0]])).round(2).tolist()
    [0.0, 69.08]
    """
    logs = np.log(np.maximum(scores, SMALLEST))
    return logs[:, 1] - logs[:, 0]


def _two_columns(positive: NDArray[np.float64]) -> NDArray[np.float64]:
    both = np.empty((len(positive), 2))
    both[:, 0], both[:, 1] = 1 - positive, positive
    return both


def _sigmoid(a: float, b: float, row: Sequence[float]) -> tuple[float, float]:
    """Calibrate one row. For one row, a dozen of array operations would take longer than the model itself."""
    z = a * (math.log(max(row[1], SMALLEST)) - math.log(max(row[0], SMALLEST))) + b
    # exp of what is never positive cannot overflow.
    small = math.exp(-abs(z))
    positive = (1.0 if z >= 0 else small) / (1.0 + small)
    return 1.0 - positive, positive


def _sigmoids(a: float, b: float, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Calibrate many rows as `_sigmoid` does each, to the bit: logarithms of arrays may round otherwise than those of numbers."""
    logs = np.array(list(map(math.log, np.maximum(scores, SMALLEST).ravel().tolist()))).reshape(-1, 2)
    z = a * (logs[:, 1] - logs[:, 0]) + b
    small = np.array(list(map(math.exp, (-np.abs(z)).tolist())))
    return _two_columns(np.where(z >= 0, 1.0, small) / (1.0 + small))


def _softmax_of_log(p: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        z = np.log(p) / t
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _check_bytes(body: bytes, digest: str) -> None:
    found = digest_of_bytes(body)
    if found != digest:
        raise Corrupt(
            "stored bytes have changed", where=digest, found=found, hint="restore them from a backup"
        )


def _misfit(where: str, what: str, found: object, allowed: object) -> Corrupt:
    return Corrupt(
        f"the parts of the package do not fit together: {what}",
        where=where,
        found=found,
        allowed=str(allowed),
    )


def _check_fits(package: Package, where: str) -> None:
    if package.version > _NEWEST or package.encoder.version > _NEWEST:
        raise Corrupt("the package was written by a newer version", where=where, hint="upgrade linewright")
    raw = sum(isinstance(encoding, Raw) for encoding in package.encoder.encodings)
    if raw not in (0, len(package.encoder.encodings)):
        raise _misfit(where, "raw columns", raw, f"all {len(package.encoder.encodings)}, or none")
    k, rules = len(package.classes), task(package.task)
    least, most = rules.class_limits
    if not least <= k <= most:
        raise _misfit(where, f"classes of a {package.task} model", k, f"{least} to {most}")
    if not _is_usable(package.calibration, rules.calibrations, k):
        raise _misfit(
            where,
            f"calibration of a {package.task} model",
            package.calibration.method,
            "with the parameters that `Calibration` describes for the task",
        )


def _ends(calibration: Calibration) -> tuple[float, float]:
    least, most = calibration.least, calibration.most
    return -inf if least is None else least, inf if most is None else most


def _is_usable(calibration: Calibration, known: Collection[CalibrationMethod], classes: int) -> bool:
    parameters, x, y = calibration.parameters, calibration.x, calibration.y
    if calibration.method not in ("none", *known):
        return False
    match calibration.method:
        case "none":
            return True
        case "sigmoid":
            return len(parameters) == 2
        case "isotonic":
            rises = all(a <= b for a, b in pairwise(x))
            return len(x) == len(y) > 0 and rises and 0 <= min(y) <= max(y) <= 1
        case "temperature":
            return len(parameters) == 1 and parameters[0] > 0
        case "clip":
            low, high = _ends(calibration)
            return low < high and (low, high) != (-inf, inf)
        case "hazard":
            return len(parameters) == classes and all(map(math.isfinite, parameters))
        case _:
            assert_never(calibration.method)
