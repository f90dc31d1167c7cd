"""What every trainer must do, and a trainer whose models are written down beforehand. The suite needs pytest."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from linewright.model.facts import Task
from linewright.model.families.linear import LinearFitted, LinearNative
from linewright.model.families.trainer import Fitted, Trainer, Valid, read_native
from linewright.model.tasks import TASKS as BUILT_IN
from linewright.model.tasks import task as task_rules
from linewright.model.tasks.links import Floats, Matrix

TASKS: tuple[Task, ...] = tuple(name for name in BUILT_IN if task_rules(name).link.native == name)
"""Tasks that families learn as they are; others are learned by way of one of them, or by none."""
CODES = (4, 5)
"""Columns of `mixed_rows` that hold codes."""
UNSEEN = 999.0
"""A code that `mixed_rows` never has."""


def mixed_rows(task: Task, n: int = 400, *, seed: int = 0) -> tuple[Matrix, npt.NDArray[Any], Floats]:
    """Return made-up rows with all that is awkward, their targets and weights.

    Columns: two numbers that matter (the second often missing), a constant one, one without any value, a category of
    3 levels that matters, and one of 60 levels. Weights are 0.5, 1 or 1.5.
    """
    chance = np.random.default_rng(seed)
    x = np.empty((n, 6), dtype=np.float32)
    x[:, :2] = chance.normal(size=(n, 2))
    x[chance.random(n) < 0.3, 1] = np.nan
    x[:, 2], x[:, 3] = 7.0, np.nan
    x[:, 4] = chance.integers(2, 5, n)
    x[:, 5] = chance.integers(0, 62, n)
    signal = 2.0 * x[:, 0] + np.nan_to_num(x[:, 1], nan=1.0) + 1.5 * (x[:, 4] == 3)
    signal = signal.astype(np.float64) + chance.normal(size=n)
    weight = chance.choice([0.5, 1.0, 1.5], n)
    if not (classes := class_count(task)):
        return x, 1_000 + 10 * signal, weight
    return x, np.digitize(signal, [1.0] if classes == 2 else [0.0, 2.0]).astype(np.int64), weight


def class_count(task: Task) -> int:
    """Return the number of classes of `mixed_rows`."""
    return int(min(3, task_rules(task).class_limits[1]))


class TrainerContract:
    """What every trainer must do. Supply the fixtures `trainer` and `settings` (a mapping for its `fit`)."""

    @pytest.fixture(params=TASKS)
    def task(self, request: pytest.FixtureRequest) -> Task:
        """Each task in turn."""
        return request.param

    def fitted(
        self, trainer: Trainer, settings: Mapping[str, Any], task: Task, **changes: Any
    ) -> tuple[Matrix, Fitted]:
        """Fit to `mixed_rows`, with some arguments of `Trainer.fit` changed."""
        x, target, weight = mixed_rows(task)
        rows = {"x": x, "target": target, "weight": weight}
        arguments: dict[str, Any] = {
            **rows,
            "categorical": CODES,
            "task": task,
            "classes": class_count(task),
            "rounds": 20,
            "valid": None,
            "seed": 5,
            "settings": settings,
        } | changes
        x, target, weight = (arguments.pop(name) for name in rows)
        return x, trainer.fit(x, target, weight, **arguments)

    def test_scores_have_the_form_of_the_task(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """Calibration, metrics and packages rely on the form, also of no rows at all."""
        x, fitted = self.fitted(trainer, settings, task)
        shape = (class_count(task),) if class_count(task) else ()

        assert (len(x), *shape) == fitted.scores(x).shape
        assert (0, *shape) == fitted.scores(x[:0]).shape
        assert np.float64 == fitted.scores(x).dtype

    def test_probabilities_are_some(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """Each row's probabilities lie in (0, 1) and sum to 1; numbers are finite."""
        x, fitted = self.fitted(trainer, settings, task)
        scores = fitted.scores(x)

        assert np.isfinite(scores).all()
        if class_count(task):
            assert (scores > 0).all()
            np.testing.assert_allclose(np.ones(len(x)), scores.sum(axis=1), atol=1e-12)

    def test_it_learns(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """New rows are told better than by no model at all."""
        _, fitted = self.fitted(trainer, settings, task)
        x, target, _ = mixed_rows(task, seed=1)
        scores = fitted.scores(x)

        if not class_count(task):
            assert 0.7 * target.std() > np.sqrt(np.mean((target - scores) ** 2))
        else:
            assert 1.3 * np.bincount(target).max() / len(target) < np.mean(scores.argmax(axis=1) == target)

    def test_equal_arguments_give_equal_bytes(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """A model is rebuilt from its manifest, byte for byte."""
        first, second = (self.fitted(trainer, settings, task)[1].to_native() for _ in range(2))

        assert first == second

    def test_a_model_read_back_scores_alike(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """What is kept is what was judged, bit for bit."""
        x, fitted = self.fitted(trainer, settings, task)
        again = read_native(fitted.to_native())

        np.testing.assert_array_equal(fitted.scores(x), again.scores(x))
        assert fitted.to_native() == again.to_native()

    def test_a_row_is_scored_alike_alone_and_among_others(
        self, trainer: Trainer, settings: Any, task: Task
    ) -> None:
        """An answer is recomputed from the log one row at a time."""
        x, fitted = self.fitted(trainer, settings, task)
        alone = np.concatenate([fitted.scores(x[i : i + 1]) for i in range(20)])

        np.testing.assert_allclose(alone, fitted.scores(x)[:20], rtol=1e-12)

    def test_missing_numbers_and_unseen_codes_are_scored(
        self, trainer: Trainer, settings: Any, task: Task
    ) -> None:
        """Such rows come at serving even where training had none."""
        x, fitted = self.fitted(trainer, settings, task)
        odd = x.copy()
        odd[:, :4] = np.nan
        odd[:, CODES] = UNSEEN

        assert np.isfinite(fitted.scores(odd)).all()

    def test_an_unseen_code_is_scored_like_the_code_for_unseen(
        self, trainer: Trainer, settings: Any, task: Task
    ) -> None:
        """Column 4 has no code 0 at training, so 0 and any other new code say the same: nothing."""
        x, fitted = self.fitted(trainer, settings, task)
        zero, new = x.copy(), x.copy()
        zero[:, 4], new[:, 4] = 0.0, UNSEEN

        np.testing.assert_array_equal(fitted.scores(zero), fitted.scores(new))

    def test_weights_count(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """A row of little weight moves the model little."""
        x, target, weight = mixed_rows(task)
        other = (target + 1) % 2 if class_count(task) == 2 else target[::-1].copy()
        both = {"x": np.concatenate([x, x]), "target": np.concatenate([target, other])}
        shares = {share: np.concatenate([weight, share * weight]) for share in (1e-3, 3.0)}
        light, heavy = (
            self.fitted(trainer, settings, task, **both, weight=mass)[1].scores(x) for mass in shares.values()
        )
        _, alone = self.fitted(trainer, settings, task)

        assert np.abs(light - alone.scores(x)).mean() < np.abs(heavy - alone.scores(x)).mean()

    def test_a_class_without_rows_gets_a_small_probability(self, trainer: Trainer, settings: Any) -> None:
        """A rare class may be absent from what a fold learns from."""
        x, target, _ = mixed_rows("multiclass")
        for absent in range(3):
            seen = target != absent
            rows = {"x": x[seen], "target": target[seen], "weight": np.ones(seen.sum())}
            _, fitted = self.fitted(trainer, settings, "multiclass", **rows)
            scores = fitted.scores(x)

            assert scores[:, absent].max() < 0.001
            assert np.isfinite(np.log(scores[:, absent])).all()

    def test_one_column_is_enough(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """Tables may be narrow; the column may be a number, a category, or say nothing."""
        x, _, _ = mixed_rows(task)
        for column in range(6):
            narrow = x[:, [column]]
            categorical = (0,) if column in CODES else ()
            _, fitted = self.fitted(trainer, settings, task, x=narrow, categorical=categorical)

            assert np.isfinite(fitted.scores(narrow)).all()

    def test_watched_rows_are_not_learned_from(self, trainer: Trainer, settings: Any, task: Task) -> None:
        """Rows that judge a model may choose its rounds and nothing else."""
        x, target, weight = mixed_rows(task, seed=2)
        _, plain = self.fitted(trainer, settings, task, rounds=7)
        _, watching = self.fitted(trainer, settings, task, rounds=7, valid=(x, target, weight))

        assert plain.to_native() == watching.to_native()

    def test_cuts_are_finite_ascending_and_of_numbers(
        self, trainer: Trainer, settings: Any, task: Task
    ) -> None:
        """Parity probes there."""
        _, fitted = self.fitted(trainer, settings, task)

        for column, values in fitted.cuts().items():
            assert column not in CODES
            assert np.float32 == values.dtype
            assert np.isfinite(values).all()
            assert (np.diff(values) > 0).all()


class ScriptedTrainer:
    """A trainer that answers what it was told to, whatever the rows say; it keeps what it was asked.

    Its models are linear ones, so they can be read, exported and served like any other.

    Parameters
    ----------
    slope
        Margin, or prediction, a unit of matrix column 0, for each output: one for binary and regression, else one a
        class. Missing values count as 0.
    offset
        Margin, or prediction, at 0, for each output.
    rounds
        Rounds that early stopping is said to have found.

    Examples
    --------
    >>> trainer = ScriptedTrainer(slope=(1.0,), offset=(0.0,))
    >>> x = np.zeros((1, 1), dtype=np.float32)
    >>> arguments = {"categorical": (), "rounds": None, "valid": None, "seed": 0, "settings": {}}
    >>> trainer.fit(x, np.zeros(1), np.ones(1), task="binary", classes=2, **arguments).scores(x).tolist()
    [[0.5, 0.5]]
    >>> len(trainer.asked)
    1
    """

    family = "linear"

    def __init__(self, *, slope: tuple[float, ...], offset: tuple[float, ...], rounds: int = 0) -> None:
        self.slope, self.offset, self.rounds = slope, offset, rounds
        self.asked: list[dict[str, Any]] = []
        """Arguments of each `fit`, in order."""

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,
        valid: Valid | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> LinearFitted:
        """Return the scripted model."""
        self.asked.append(
            {
                "x": x,
                "target": target,
                "weight": weight,
                "categorical": categorical,
                "task": task,
                "classes": classes,
                "rounds": rounds,
                "valid": valid,
                "seed": seed,
                "settings": settings,
            }
        )
        # Far below where the scale bends: for values about 1 it is a straight line to 1e-9.
        small = 1e-4
        native = LinearNative(
            task=task,
            width=x.shape[1],
            numbers=(0,),
            centre=(0.0,),
            factor=(small,),
            missing=(),
            hinges=(),
            levels=(),
            coefficients=tuple((slope / small,) for slope in self.slope),
            intercept=self.offset,
            means=(0.0,),
        )
        fitted = LinearFitted(native)
        fitted.rounds = self.rounds if rounds is None else rounds
        return fitted
