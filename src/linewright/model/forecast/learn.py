"""Learn a forecast: trees over all series and Theta, weighed by a backtest whose errors also say how wide intervals are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from linewright.engine.context import Progress
from linewright.errors import SpecError, Terminal
from linewright.features.series import Layout, encode_series
from linewright.model.facts import Executed, MemberOf, Trial
from linewright.model.families.forest import Forest
from linewright.model.families.lightgbm_format import exact_text, forest_of
from linewright.model.forecast.cuts import SeriesRows, Whole, cuts_of, whole_series
from linewright.model.forecast.graph import ALLOWED, Combination, to_graph, trees_input
from linewright.model.forecast.sums import shared_errors
from linewright.model.onnx.session import open_graph
from linewright.model.reasons import Alternative, ChosenReason, LowestLoss
from linewright.model.tasks.horizons import COVERED, Horizons
from linewright.text.numbers import figure

Floats = NDArray[np.float64]
MOST_STEPS = 500_000
"""Pairs of a cut and a step that trees learn from."""
COMPARED = 400
"""Cuts of a backtest, of few series together."""
_SHARE_COMPARED = 0.3
_FEWEST_STEPS = 2_000
"""Pairs below which trees are not tried: there is too little to learn."""
_ROUNDS = 200
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_FAR = 5.0
_MOST_TIMES, _MOST_ROWS_OF_SUMS = 120, 40_000
"""Latest times at which sums are compared, and rows of all series at these."""
_SETTINGS = {
    "objective": "l1",
    "num_leaves": 31,
    "learning_rate": 0.06,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
}
_Z = 1.959964


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecaster:
    """What was learned."""

    graph: bytes
    layout: Layout
    trials: tuple[Trial, ...]
    """Best first."""
    reason: ChosenReason
    executed: Executed
    shared: tuple[float, ...]
    """Of each level, see `shared_errors`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Encoded:
    rows: SeriesRows
    x: NDArray[np.float32]
    layout: Layout

    def part(self, name: str) -> Floats:
        return self.x[:, self.layout.of(name)].astype(np.float64)

    @property
    def plain_target(self) -> Floats:
        """What trees learn: values without season, from the centre of the row, in its unit."""
        plain = (self.rows.target - self.part("added")) / self.part("factor")
        return (plain - self.part("center")) / self.part("unit")

    def values(self, z: Floats) -> Floats:
        """Return forecasts, as the graph makes them."""
        plain = self.part("center") + self.part("unit") * z
        found = np.where(
            self.part("usable") > 0, plain * self.part("factor") + self.part("added"), self.part("naive")
        )
        return np.maximum(found, self.part("floor"))

    def errors(self, z: Floats) -> Floats:
        return np.abs(self.rows.target - self.values(z))


def learn_forecast(
    rows: SeriesRows,
    *,
    season: int,
    seed: int,
    levels: Sequence[NDArray[np.int64]] = (),
    report: Callable[[Progress], None] = lambda _: None,
) -> Forecaster:
    """Learn from rows of series.

    The rows are put together to whole series again. The backtest learns from cuts whose values ahead end before those of the latest
    cuts begin, and is measured at these; the model then learns from all of them.

    Examples
    --------
    >>> t = np.arange(60.0)
    >>> wave = np.tile(10 + np.sin(t * np.pi / 6), (30, 1))
    >>> rows = SeriesRows(
    ...     series=np.arange(30), at=np.full(30, 57), values=wave[:, :58], target=wave[:, 58:], known=np.empty((30, 0, 2))
    ... )
    >>> found = learn_forecast(rows, season=12, seed=1)
    >>> [trial.family for trial in found.trials][:1], len(found.executed.members)
    (['theta'], 1)
    """
    length, horizon = rows.values.shape[1], rows.target.shape[1]
    layout = Layout(horizon=horizon, season=season, known=rows.known.shape[1])
    wholes = whole_series(rows)
    latest, earlier = _backtest_cuts(wholes, horizon, at_least=_cuts_of_sums(len(wholes)) if levels else 1)
    if not sum(map(len, latest)):
        raise SpecError("no series has values ahead to learn from", where="table", hint="bring longer series")
    report(Progress(step="train", says="theta: the latest cuts of each series", done=0, of=3))
    held = _encoded(wholes, latest, layout, length)
    theta = held.part("theta")
    says = f"trees: {sum(map(len, earlier)):,} earlier cuts"
    report(Progress(step="train", says=says, done=1, of=3))
    trees = _fitted(wholes, earlier, layout, length, seed=seed)
    losses = {"theta": _losses(held, theta), "naive": _losses(held, _naive_plain(held))}
    weight = 0.0
    if trees is not None:
        found = _said_by(trees, held)
        mixed = {one: one * found + (1 - one) * theta for one in _WEIGHTS}
        means = {one: float(_losses(held, z).mean()) for one, z in mixed.items()}
        weight = min(means, key=lambda one: (means[one], one))
        losses |= {"trees": _losses(held, found)}
        if 0 < weight < 1:
            losses |= {"theta+trees": _losses(held, mixed[weight])}
        theta = mixed[weight]
    widths = _widths(held, theta)
    shared = _shared(held, theta, widths, [one.start for one in wholes], levels)
    forest, again = None, None
    if weight > 0:
        report(Progress(step="train", says="trees: all training rows", done=2, of=3))
        every = [_all_cuts(one, horizon) for one in wholes]
        again = _fitted(wholes, every, layout, length, seed=seed)
        forest = None if again is None else _forest(again)
        weight = 0.0 if forest is None else weight
    combination = Combination(
        layout=layout, forest=forest, trees=weight, widths=widths, usual=_usual_spread(held)
    )
    graph = to_graph(combination)
    z = held.part("theta")
    if again is not None and weight > 0:
        found = _said_by(again, held)
        z = weight * found + (1 - weight) * z
    _require_equal(graph, held, z, combination)
    name = "theta" if weight == 0 else "trees" if weight == 1 else "theta+trees"
    return Forecaster(
        graph=graph,
        layout=layout,
        trials=_trials(losses, name, held.rows.series, weight),
        reason=_reason(losses, name, held.rows.series),
        shared=shared,
        executed=Executed(
            folds=1,
            of=1,
            members=tuple(
                MemberOf(trial=one, weight=share, rounds=_ROUNDS if one == "trees" else 0)
                for one, share in sorted(
                    (("theta", 1 - weight), ("trees", weight)), key=lambda pair: -pair[1]
                )
                if share > 0
            ),
        ),
    )


def _first_cut(one: Whole) -> int:
    return min(4, max(len(one.values) - 1, 1))


def _cuts_of_sums(series: int) -> int:
    """Return how many cuts of each series a backtest of sums has."""
    return max(1, min(_MOST_TIMES, _MOST_ROWS_OF_SUMS // max(series, 1)))


def _shared(
    held: _Encoded,
    z: Floats,
    widths: Sequence[float],
    starts: Sequence[int],
    levels: Sequence[NDArray[np.int64]],
) -> tuple[float, ...]:
    """Return of each level how far errors go together, in the cuts of a backtest."""
    rows = held.rows
    errors = rows.target - held.values(z)
    spread = held.part("spread") * np.asarray(widths)
    at = np.asarray(starts, dtype=np.int64)[rows.series] + rows.at - 1
    return tuple(figure(shared_errors(errors, spread, at, level, rows.series)) for level in levels)


def _backtest_cuts(
    wholes: list[Whole], horizon: int, *, at_least: int = 1
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Return the latest cuts of each series, and those whose values ahead end before the first of these."""
    wanted = max(at_least, -(-COMPARED // max(len(wholes), 1)))
    latest, earlier = [], []
    for one in wholes:
        last = len(one.values) - horizon
        possible = np.arange(_first_cut(one), last + 1)
        many = max(1, min(wanted, int(len(possible) * _SHARE_COMPARED)))
        latest.append(possible[-many:])
        begins = int(possible[-many]) if len(possible) else 0
        earlier.append(np.arange(_first_cut(one), max(begins - horizon + 1, _first_cut(one))))
    return latest, earlier


def _all_cuts(one: Whole, horizon: int) -> NDArray[np.int64]:
    return np.arange(_first_cut(one), len(one.values) - horizon + 1)


def _encoded(wholes: list[Whole], cuts: list[NDArray[np.int64]], layout: Layout, length: int) -> _Encoded:
    rows = cuts_of(wholes, cuts, length=length, horizon=layout.horizon)
    n = len(rows.at)
    x = encode_series(rows.values, rows.known.reshape(n, -1), np.zeros(n, dtype=np.int64), layout)
    return _Encoded(rows=rows, x=x, layout=layout)


def _fitted(
    wholes: list[Whole], cuts: list[NDArray[np.int64]], layout: Layout, length: int, *, seed: int
) -> lgb.Booster | None:
    total = sum(map(len, cuts)) * layout.horizon
    if total < _FEWEST_STEPS:
        return None
    random = np.random.default_rng(seed)
    if total > MOST_STEPS:
        share = MOST_STEPS / total
        # Of each series at least its latest cut: short ones are many.
        cuts = [
            np.sort(random.choice(one, size=max(1, round(len(one) * share)), replace=False))
            if len(one)
            else one
            for one in cuts
        ]
    taught = _encoded(wholes, cuts, layout, length)
    z = taught.plain_target
    usable = (taught.part("usable") > 0) & np.isfinite(z)
    if usable.sum() < _FEWEST_STEPS:
        return None
    # What an error costs in scaled errors; rows that hardly ever moved would else be all that counts.
    cost = (taught.part("unit") / taught.part("scale"))[:, 0]
    cost = np.minimum(cost, 20 * np.median(cost))
    x = trees_input(taught.x, layout)[usable.ravel()]
    data = lgb.Dataset(
        x, np.clip(z[usable], -_FAR, _FAR), weight=np.repeat(cost, layout.horizon)[usable.ravel()]
    )
    least = max(5, min(_SETTINGS["min_data_in_leaf"], len(x) // 100))
    parameters = {
        **_SETTINGS,
        "min_data_in_leaf": least,
        "verbose": -1,
        "num_threads": 1,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
    }
    booster = lgb.train(parameters, data, _ROUNDS)
    return lgb.Booster(model_str=exact_text(booster.model_to_string()))


def _require_equal(graph: bytes, held: _Encoded, z: Floats, combination: Combination) -> None:
    """Require that the runtime that serves answers what the numbers say, added up by the library that trained."""
    opened = open_graph(graph, inputs=[("x", "float", combination.layout.width)], outputs=combination.outputs)
    said = Horizons(opened.run({"x": held.x}, len(held.x)).astype(np.float64))
    values = held.values(z)
    apart = np.abs(said.forecast - values) / np.maximum(np.abs(values), said.scale)
    if not apart.max(initial=0.0) <= ALLOWED:  # also if it is not a number
        raise Terminal(
            "the graph does not answer as its numbers say",
            where="ONNX export",
            found=f"a difference of {apart.max():.3g}",
            allowed=f"{ALLOWED:g}",
            hint="report this with the line file; the previous champion serves on",
        )


def _said_by(trees: lgb.Booster, rows: _Encoded) -> Floats:
    said = trees.predict(trees_input(rows.x, rows.layout), num_threads=1)
    return np.asarray(said, dtype=np.float64).reshape(-1, rows.layout.horizon)


def _forest(booster: lgb.Booster) -> Forest:
    return forest_of(booster.model_to_string(), outputs=1)


def _naive_plain(held: _Encoded) -> Floats:
    plain = (held.part("naive") - held.part("added")) / held.part("factor")
    return (plain - held.part("center")) / held.part("unit")


def _losses(held: _Encoded, z: Floats) -> Floats:
    errors = held.errors(z) / held.part("scale")
    there = ~np.isnan(errors)
    return np.where(there, errors, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def _widths(held: _Encoded, z: Floats) -> list[float]:
    """Return half-widths by step, in the spread of a row: quantiles of the errors of the backtest (split conformal), which never shrink."""
    spread = held.part("spread")
    errors = held.errors(z)
    widths: list[float] = []
    for step in range(held.layout.horizon):
        there = ~np.isnan(errors[:, step]) & (spread[:, 0] > 0)
        ratios = np.sort(errors[there, step] / spread[there, 0])
        if len(ratios):
            place = min(int(np.ceil(COVERED * (len(ratios) + 1))), len(ratios)) - 1
            widths.append(max(float(ratios[place]), widths[-1] if widths else 0.0))
        else:
            widths.append(widths[-1] if widths else 0.0)
    return widths


def _usual_spread(held: _Encoded) -> float:
    ratios = (held.part("spread") / held.part("unit"))[held.part("spread") > 0]
    return float(np.median(ratios)) if len(ratios) else 0.0


def _mean(values: Floats, series: NDArray[np.int64]) -> tuple[float, float]:
    """Return a mean over rows and its standard error, rows of one series drawn together."""
    mean = float(values.mean())
    if series.max(initial=0) == 0:
        return mean, float(values.std() / np.sqrt(max(len(values), 1)))
    sums = np.bincount(series, weights=values - mean)
    return mean, float(np.sqrt((sums**2).sum())) / len(values)


def _trials(
    losses: dict[str, Floats], chosen: str, series: NDArray[np.int64], weight: float
) -> tuple[Trial, ...]:
    trials: list[Trial] = []
    for name in sorted(losses, key=lambda one: (one != chosen, float(losses[one].mean()))):
        mean, error = _mean(losses[name], series)
        more, apart = _mean(losses[name] - losses[chosen], series)
        has_trees = name in {"trees", "theta+trees"}
        trials.append(
            Trial(
                name=name,
                family="lightgbm" if has_trees else name,
                settings={
                    **(_SETTINGS if has_trees else {}),
                    **({"trees": weight} if name == "theta+trees" else {}),
                },
                loss=figure(mean),
                low=figure(max(mean - _Z * error, 0.0)),
                high=figure(mean + _Z * error),
                rounds=_ROUNDS if has_trees else 0,
                more=figure(more),
                more_low=figure(more - _Z * apart),
                more_high=figure(more + _Z * apart),
            )
        )
    return tuple(trials)


def _reason(losses: dict[str, Floats], chosen: str, series: NDArray[np.int64]) -> ChosenReason:
    others = sorted((one for one in losses if one != chosen), key=lambda one: float(losses[one].mean()))
    following = None
    if others:
        more, error = _mean(losses[others[0]] - losses[chosen], series)
        following = Alternative(
            name=others[0],
            loss=figure(losses[others[0]].mean()),
            more=figure(more),
            error=figure(error),
            low=figure(more - _Z * error),
            high=figure(more + _Z * error),
        )
    return ChosenReason(
        choice=LowestLoss(
            trials=len(losses), loss=figure(losses[chosen].mean()), rows=len(series), next=following
        )
    )
