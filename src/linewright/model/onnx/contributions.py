"""Why a model answered as it did: what each column of a row contributed to the score.

Read from the graph that answers: its trees with the training rows at each node, or its linear design with the means over
the training rows. The score is what the model adds up, before calibration: log-odds of the positive class, one log-weight a
class whose softmax the probabilities are, or the number itself.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.features.facts import Encoder, partner
from linewright.model.explanation_text import cannot_be_explained
from linewright.model.facts import Task
from linewright.model.onnx.reader import Parts, read_parts, read_tensor, with_output
from linewright.model.onnx.session import ERRORS, Graph, open_session
from linewright.model.onnx.shapley import TreeExplainer
from linewright.model.onnx.trees import ROWS, read_trees
from linewright.model.tasks import link_of
from linewright.model.tasks.links import HAZARD, weighted
from linewright.store.values import decoder

Floats = NDArray[np.float64]

NAME = "linewright"
"""Of the graphs that are exported here."""
SHARES = "linewright.shares"
"""Of graphs that add up probabilities, or come from an estimator as a whole: those have no score that is a sum over columns."""
DESIGN, COEFFICIENTS, INTERCEPT = "design", "coefficients", "intercept"
"""In the graph of a linear model: the design matrix of rows, and what it is multiplied with."""
OFFSET = "offset"
"""In the graph of trees: what is added to their sum."""


class Centre(msgspec.Struct, frozen=True, kw_only=True):
    """In the metadata of a linear model's graph: what an average row is."""

    means: tuple[float, ...]
    """Mean of each design column over the training rows."""
    sources: tuple[int, ...]
    """The matrix column of each design column."""

    def to_metadata(self, suffix: str) -> dict[str, str]:
        """Return it as an entry of the metadata; `suffix` is of the member of an ensemble that it is about."""
        return {_CENTRE + suffix: msgspec.json.encode(self).decode()}


class Summed(msgspec.Struct, frozen=True, kw_only=True):
    """In the metadata of a graph that sums several models: a linear one."""

    weight: float
    """What it adds up counts so often. Leaves of trees have their weight in them."""
    suffix: str
    """Behind the names of its constants."""


def to_metadata(summed: Sequence[Summed]) -> dict[str, str]:
    """Return the linear models that a graph sums as an entry of its metadata."""
    return {_SUMMED: msgspec.json.encode(summed).decode()}


_CENTRE, _SUMMED = "linewright.centre", "linewright.summed"


class Explained(NamedTuple):
    """Rows, explained: ``base + contributions.sum(axis=1)`` is the score, but for rounding."""

    base: Floats
    """Score of the average training row, shape (outputs,)."""
    scores: Floats
    """Shape (n, outputs); one output for two classes and for numbers, else one a class."""
    contributions: Floats
    """Shape (n, width, outputs)."""

    def largest(self) -> Floats:
        """Return the largest of what is added up to the score of each row, shape (n,), without its sign."""
        return np.maximum(np.abs(self.contributions).max(axis=(1, 2), initial=0.0), np.abs(self.base).max())

    def averaged(self) -> "Explained":
        """Return the means over outputs, as those of one."""
        base, scores, contributions = (part.mean(axis=-1, keepdims=True) for part in self)
        return Explained(base, scores, contributions)


class Explainer(Protocol):
    """Explains encoded rows."""

    def __call__(self, x: NDArray[np.float32]) -> Explained:
        """Return what each matrix column contributed to the scores of rows, float32 of shape (n, width)."""
        ...


def open_explainer(graph: Graph, *, encoder: Encoder, outputs: int, where: str) -> Explainer:
    """Make what explains the answers of a package."""
    parts = read_parts(graph.data)
    if parts.name == SHARES:
        raise cannot_be_explained("adds-no-scores", model=where)
    if parts.name != NAME or encoder.is_raw:
        raise cannot_be_explained("imported", model=where)
    width = len(encoder.encodings)
    trees = [node for node in parts.nodes if node.operator == "TreeEnsembleRegressor"]
    linear = _summed(parts, where)
    if (trees or linear) and len(trees) <= 1 and all(ROWS in node.attributes for node in trees):
        explainers: list[tuple[float, Explainer]] = [
            (
                1.0,
                _Trees(TreeExplainer(read_trees(node), width=width, outputs=outputs), _offset(parts)),
            )
            for node in trees
        ]
        explainers += [
            (one.weight, _Linear(graph.data, parts, width=width, where=where, suffix=one.suffix))
            for one in linear
        ]
        return _Sum(explainers)
    raise Corrupt(
        "the graph does not say how its training rows were spread, against which an answer is explained",
        where=where,
    )


def _summed(parts: Parts, where: str) -> list[Summed]:
    """Return the linear models of a graph."""
    if _SUMMED not in parts.metadata:
        return [Summed(weight=1.0, suffix="")] if _CENTRE in parts.metadata else []
    try:
        return decoder(list[Summed]).decode(parts.metadata[_SUMMED])
    except msgspec.MsgspecError as error:
        raise Corrupt("the graph does not say what it sums", where=where, found=str(error)) from error


def _offset(parts: Parts) -> Floats:
    """Return what is added to each sum."""
    return read_tensor(parts.constants[OFFSET]) if OFFSET in parts.constants else np.zeros(1)


class _Sum:
    """Explains a weighted sum: contributions and bases are the weighted sums of those of its parts."""

    def __init__(self, parts: Sequence[tuple[float, Explainer]]) -> None:
        self._parts = parts

    def __call__(self, x: NDArray[np.float32]) -> Explained:
        told = [explain(x) for _, explain in self._parts]
        weights = [weight for weight, _ in self._parts]
        return Explained(*(weighted(part, weights) for part in zip(*told, strict=True)))


class _Trees:
    """Explains a sum of trees."""

    def __init__(self, explainer: TreeExplainer, offset: Floats) -> None:
        self._explainer, self._offset = explainer, offset

    def __call__(self, x: NDArray[np.float32]) -> Explained:
        sums, contributions = self._explainer.explain(x)
        return Explained(self._offset + self._explainer.base, self._offset + sums, contributions)


class _Linear:
    """Explains a linear model: by how much each design column is off its mean, times its coefficient.

    Where columns do not hang together these are the Shapley values of the model; where they do, they take each column as if
    it did not.
    """

    def __init__(self, graph: bytes, parts: Parts, *, width: int, where: str, suffix: str) -> None:
        try:
            centre = decoder(Centre).decode(parts.metadata[_CENTRE + suffix])
            coefficients, intercept = (
                read_tensor(parts.constants[name + suffix]) for name in (COEFFICIENTS, INTERCEPT)
            )
        except (KeyError, msgspec.MsgspecError) as error:
            raise Corrupt(
                "the graph of a linear model lacks a part", where=where, found=str(error)
            ) from error
        self._means, self._sources = np.array(centre.means), np.array(centre.sources, dtype=np.int64)
        if (
            len({len(coefficients), len(self._means), len(self._sources)}) > 1
            or (self._sources >= width).any()
        ):
            raise Corrupt("the parts of a linear model do not fit together", where=where)
        self._coefficients, self._intercept = coefficients, intercept
        self._width, self._where = width, where
        self._design = DESIGN + suffix
        self._session = open_session(with_output(graph, self._design), where)

    def __call__(self, x: NDArray[np.float32]) -> Explained:
        try:
            design = cast(Floats, self._session.run([self._design], {"x": np.ascontiguousarray(x)})[0])
        except ERRORS as error:
            raise Corrupt(f"the graph of a linear model failed: {error}", where=self._where) from error
        parts = (design - self._means)[:, :, None] * self._coefficients
        base = self._intercept + self._means @ self._coefficients
        scores = design @ self._coefficients + self._intercept
        return Explained(base, scores, _added(parts, self._sources, self._width))


def _added(parts: Floats, place: NDArray[np.int64], width: int) -> Floats:
    """Add up parts, shape (n, parts, outputs), that have the same of `width` places."""
    total = np.zeros((width, len(parts), parts.shape[2]))
    np.add.at(total, place, parts.swapaxes(0, 1))
    return total.swapaxes(0, 1)


def sources_of(encoder: Encoder) -> tuple[str, ...]:
    """Return the column that each matrix column is made of; what two columns are together is named after both.

    Examples
    --------
    >>> from linewright.features.facts import DatePart, Elapsed
    >>> sources_of(
    ...     Encoder(
    ...         encodings=(DatePart(column="opened", part="month"), Elapsed(column="closed", since="opened"))
    ...     )
    ... )
    ('opened', 'closed-opened')
    """
    return tuple(
        encoding.column if partner(encoding) is None else name
        for encoding, name in zip(encoder.encodings, encoder.names, strict=True)
    )


def to_answers(
    explained: Explained, *, task: Task, classes: Sequence[str], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what the endpoint says of each explained row.

    Examples
    --------
    >>> explained = Explained(np.array([1.0]), np.array([[4.5]]), np.array([[[1.0], [2.0], [0.5]]]))
    >>> to_answers(explained, task="binary", classes=("No", "Yes"), sources=("opened", "Age", "opened"))
    [{'score': 4.5, 'score_unit': 'log-odds', 'base': 1.0, 'contributions': {'opened': 1.5, 'Age': 2.0}}]
    """
    link = link_of(task)
    if link is HAZARD:
        explained, classes = explained.averaged(), ()
    is_by_class = link.outputs(len(classes)) > 1
    place = {name: at for at, name in enumerate(dict.fromkeys(sources))}
    added = _added(explained.contributions, np.array([place[name] for name in sources]), len(place))

    def shown(values: Floats) -> Any:
        return dict(zip(classes, values.tolist(), strict=True)) if is_by_class else float(values[0])

    def by_column(values: Floats) -> dict[str, float]:
        return dict(zip(place, values.tolist(), strict=True))

    return [
        {
            "score": shown(score),
            "score_unit": link.unit,
            "base": shown(explained.base),
            "contributions": {name: by_column(row[:, k]) for k, name in enumerate(classes)}
            if is_by_class
            else by_column(row[:, 0]),
        }
        for score, row in zip(explained.scores, added, strict=True)
    ]
