"""Which setting is taken, and which rows it learns from: what each says about rows that it has not seen decides."""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.engine.context import Progress, TrialScore
from linewright.errors import SpecError, Terminal
from linewright.features.facts import Encoder
from linewright.model.facts import Recent, Task, Trial
from linewright.model.families.ensemble import MOST_MEMBERS
from linewright.model.families.hazard import Hazard
from linewright.model.families.linear import steady
from linewright.model.families.trainer import Fitted, Trainer
from linewright.model.metrics.definitions import MetricRule
from linewright.model.reasons import ChosenReason, Named, Offer, PairsUnsure
from linewright.model.spec import TrainSpec
from linewright.model.tasks import link_of
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.links import HAZARD, Floats, Matrix
from linewright.model.train.ensemble_selection import (
    Blend,
    Judged,
    Tried,
    blends,
    choose,
    surely_better,
    what_pairs_give,
    what_small_costs,
    why,
)
from linewright.model.train.feature_pairs import Pair, can_pair, chosen_pairs, numbers_of, widened
from linewright.model.train.fit_cache import Kept
from linewright.model.train.recency import longest_as_good, windows_of
from linewright.model.train.settings import (
    FEWER_FOLDS,
    MOST_PAIRS,
    PAIRS,
    Budget,
    Setting,
    Size,
    folds_judged,
    folds_within,
    milliseconds,
    most_refinements,
    paired,
    plain,
    planned,
    refinements,
    share_of_rounds,
    sized,
    with_pairs,
)
from linewright.text.numbers import count, in_digits

Fold = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Positions of the rows to learn from and of the rows to judge on."""

_SMALL = 5_000
"""Rows of a window on which all settings are tried: what is best for few rows is seldom what is best for many."""
_REFIT = 1.1
"""More rows bear more rounds."""
_FEW = 2_000
"""Most rows of a survival table whose folds are validated with the rounds of other folds (`Search._unbiased`). On tables of 330 to 800 rows the
bias was 1 to 3 % of the loss; more events make it smaller."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Training rows, their weights with mean 1."""

    x: Matrix
    target: npt.NDArray[Any]
    weight: Floats
    categorical: tuple[int, ...]
    numbers: tuple[int, ...]
    """Columns of which pairs may be made (`linewright.model.train.feature_pairs`)."""
    task: Task
    classes: int
    seed: int

    @property
    def learned(self) -> npt.NDArray[np.bool_]:
        """Which rows are learned from."""
        return self.weight > 0

    def within(self, window: npt.NDArray[np.bool_]) -> "Rows":
        """Return the rows with those outside of a window at weight 0."""
        return replace(self, weight=_scaled(np.where(window, self.weight, 0.0)))

    def fit(
        self,
        trainer: Trainer,
        taken: npt.NDArray[Any],
        held: npt.NDArray[Any] | None,
        rounds: int | None,
        setting: Setting,
        *,
        pairs: Sequence[Pair] = (),
    ) -> Fitted:
        """Fit a setting to the rows at `taken`; without `rounds`, those at `held` say when more rounds help no more.

        It reads what `pairs` of its columns are together, too.
        """
        valid = None if held is None else (widened(self.x[held], pairs), self.target[held], self.weight[held])
        fitter = Hazard(trainer) if link_of(self.task) is HAZARD else trainer
        return fitter.fit(
            widened(self.x[taken], pairs),
            self.target[taken],
            self.weight[taken],
            categorical=self.categorical,
            task=self.task,
            classes=self.classes,
            rounds=rounds,
            valid=valid,
            seed=self.seed,
            settings={name: value for name, value in setting.settings.items() if name != PAIRS},
        )

    def pairs(self, taken: npt.NDArray[Any], budget: Budget) -> tuple[Pair, ...]:
        """Return the pairs of numbers that are chosen by the rows at `taken`."""
        return chosen_pairs(
            self.x[taken],
            self.target[taken],
            self.weight[taken],
            numbers=self.numbers,
            categorical=self.categorical,
            task=self.task,
            classes=self.classes,
            rounds=paired(budget, _size(self))[1],
            seed=self.seed,
        )


class Pace:
    """Report each fit with an estimate of the time that is left, and stop when the cap on seconds is reached."""

    def __init__(
        self, total: int, cap: float | None, report: Callable[[Progress], None], clock: Callable[[], float]
    ) -> None:
        self._total, self._cap, self._report, self._clock = total, cap, report, clock
        self._start, self._done = clock(), 0
        self._found = self._untold = 0
        self.stages_left = 0
        """Stages that may follow the fits that are expected."""

    def more(self, fits: int) -> None:
        """Expect so many fits more, or fewer."""
        self._total += fits

    def found(self, fits: int = 1) -> None:
        """Count fits that were found done."""
        self._done += fits
        self._found += fits
        self._untold += fits

    def tell_found(self) -> None:
        """Report how many fits were found done since it was last reported."""
        if self._untold:
            says = f"found done: {count(self._untold, 'fit')}, by a training that did not end"
            self._report(Progress(step="train", says=says, done=self._done, of=self._total, stays=True))
            self._untold = 0

    def tried(self, trial: TrialScore, word: str) -> None:
        """Report the loss of a trial, which is called by a word."""
        self.tell_found()
        says = f"{trial.name}: {word} {in_digits(trial.loss, 4)}"
        self._report(
            Progress(
                step="train",
                says=says,
                done=self._done,
                of=self._total,
                stages_left=self.stages_left,
                trial=trial,
            )
        )

    def next(self, says: str) -> None:
        """Report the fit that begins now."""
        spent = self._clock() - self._start
        if self._cap is not None and spent > self._cap:
            raise Terminal(
                "training takes longer than allowed",
                where="train.max_seconds",
                found=f"{spent:.1f} seconds after {self._done} of {self._total} fits",
                allowed=f"{self._cap:g} seconds",
                hint="choose a smaller `train.budget` or fewer `train.folds`, or raise `train.max_seconds`",
            )
        self.tell_found()
        left = spent / own * (self._total - self._done) if (own := self._done - self._found) else None
        self._report(
            Progress(
                step="train",
                says=says,
                done=self._done,
                of=self._total,
                seconds_left=left,
                stages_left=self.stages_left,
            )
        )
        self._done += 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What an engine other than the built-in one is asked for: one setting, and what fits it."""

    rows: Rows
    folds: Sequence[Fold]
    """Those that settings are judged on."""
    names: tuple[str, ...]
    """What each column of the matrix is called."""
    budget: Budget
    pace: Pace


@dataclass(frozen=True, kw_only=True, eq=False)
class Offered:
    """What an engine offers; it is judged, calibrated and packaged like a setting of our own."""

    setting: Setting
    trainer: Trainer
    by: Named
    """Why it is this one."""
    libraries: Mapping[str, str]
    """Versions of what fits it."""


Engine = Callable[[Asked], Offered]
"""An engine. Equal arguments give an equal setting: it reads no clock."""

Judgement = tuple[Floats, int]
"""What a fit says of the rows that it is judged on, and its rounds."""
Begun = Future[Judgement] | Judgement
"""A fit that goes on, or one that was found done."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search over some rows found."""

    chosen: Blend
    reason: ChosenReason
    by_loss: bool
    """Whether the loss decided, rather than the line's metric or an engine."""
    tried: Sequence[Tried]
    """Best first."""
    judged: npt.NDArray[Any]
    """Positions of the rows that the scores are about."""
    rows: Judged
    folds: Sequence[Fold]


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """Tries settings on folds."""

    folds: Sequence[Fold]
    spec: TrainSpec
    trainers: Mapping[str, Trainer]
    pace: Pace
    metric: MetricRule | None = None
    """What people read first: it decides where it is surely of another opinion than the loss."""
    workers: int
    """Fits that go on at a time."""
    kept: Kept
    """Where finished fits are found, and put."""
    offered: Offered | None = None
    """The only setting, where an engine other than the built-in one chooses it."""

    def over(
        self, rows: Rows, only: frozenset[str] = frozenset(), *, seek: bool = True, then: int = 0
    ) -> Found:
        """Try what the budget buys, or some settings of it; `seek` others near the best where it buys that; choose.

        Stages that may come after it, such as windows of later rows, are told to those who wait (`then`).
        """
        budget, size = self.spec.budget, _size(rows)
        usable = usable_folds(rows, self.folds)
        if self.offered is not None:
            settings, seek = [self.offered.setting], False
        else:
            all_settings = planned(budget, size, self.spec.also)
            settings = [one for one in all_settings if not only or one.name in only]
            if self.spec.folds is None:
                usable = usable[-folds_judged(budget, size, len(usable)) :]
        pairing = int(seek and self._most_paired(rows) > 0)
        refining = int(seek and most_refinements(budget, self.spec.also) > 0)
        again = int(self._is_optimistic(rows, len(usable)))
        self.pace.stages_left = then + pairing + refining + again
        self.pace.more(len(settings) * len(usable))
        tried: list[Tried] = []
        with _side_by_side(self.workers) as pool:
            race, fits_of = self._affordable(_race_of(pool, rows, usable, budget), settings)
            about, usable = race.about, race.folds
            begun = [fits_of.get(one.name) or self._begin(race, one) for one in settings]
            for one, fits in zip(settings, begun, strict=True):
                tried.append(self._ended(race, one, fits, tried))
            self.pace.stages_left = then + refining + again
            wide = [one for one in self._paired(race, tried) if not _is_copy(one, tried)] if seek else []
            sizes = [len(held) for _, held in usable]
            gained = what_pairs_give(tried, wide, about, most=self._most_members, folds=sizes)
            allowed = [*tried, *wide] if gained else tried
            self.pace.stages_left = then + again
            if seek:
                self._refine(race, allowed)
            self.pace.stages_left = then
            unbiased, optimistic = self._unbiased(race, allowed)

        def best_first(some: Sequence[Tried]) -> list[Tried]:
            return sorted(some, key=lambda one: (about.mean(one.loss), one.milliseconds))

        chosen, reason, by_loss = self._settle(best_first(unbiased), about, rows.seed, trials=len(allowed))
        if gained and chosen.is_paired:
            reason = msgspec.structs.replace(reason, pairs=gained)
        elif wide and not gained:
            unsure = _not_surely(best_first(wide)[0], best_first(tried)[0], about)
            reason = msgspec.structs.replace(reason, pairs=unsure)
        return Found(
            chosen=chosen,
            reason=reason,
            by_loss=by_loss,
            tried=best_first([*unbiased, *optimistic, *([] if gained else wide)]),
            judged=_judged(usable),
            rows=about,
            folds=usable,
        )

    def _affordable(
        self, race: "_Race", settings: Sequence[Setting]
    ) -> tuple["_Race", dict[str, Sequence[Begun]]]:
        """Leave folds out that the budget does not buy; return the fits that showed it, by setting.

        If the settings would cost too much without stopping early, the first of trees is fitted on the last folds before
        others begin: its rounds show what they will cost.
        """
        folds, budget, size = len(race.folds), self.spec.budget, _size(race.rows)
        first = next((one for one in settings if "rounds" in one.settings), None)
        is_given = self.offered is not None or self.spec.folds is not None
        if first is None or is_given or folds_within(budget, size, folds, settings) == folds:
            return race, {}
        first_fits = self._in_turn(
            self._begin(race, first, range(folds - FEWER_FOLDS, folds)), first, [], race.about
        )
        share = share_of_rounds(first, float(np.mean([rounds for _, rounds in first_fits])))
        if folds_within(budget, size, folds, settings, share=share) == folds:
            return race, {first.name: [*self._begin(race, first, range(folds - FEWER_FOLDS)), *first_fits]}
        self.pace.more((FEWER_FOLDS - folds) * len(settings))
        return _race_of(race.pool, race.rows, race.folds[-FEWER_FOLDS:], budget), {first.name: first_fits}

    def _begin(
        self,
        race: "_Race",
        setting: Setting,
        folds: Sequence[int] | None = None,
        *,
        rounds: Sequence[int] | None = None,
    ) -> list[Begun]:
        """Begin the fits of a setting that are not found done, on all folds or on some; count those that are.

        Each has as many `rounds` as are given for its fold, or as early stopping finds.
        """
        numbers = range(len(race.folds)) if folds is None else folds
        fits = [
            self._found_or_begun(race, setting, number, None if rounds is None else rounds[number])
            for number in numbers
        ]
        self.pace.found(sum(not isinstance(fit, Future) for fit in fits))
        return fits

    def _found_or_begun(self, race: "_Race", setting: Setting, number: int, rounds: int | None) -> Begun:
        fold = race.folds[number]
        key = self.kept.key(setting, race.rows.weight, *fold, rounds=rounds)
        if (found := self.kept.scores(key)) is not None:
            return found
        choice = race.pairs(number) if PAIRS in setting.settings else None
        return race.pool.submit(self._fit_fold, race.rows, setting, fold, key, choice=choice, rounds=rounds)

    def _fit_fold(
        self,
        rows: Rows,
        setting: Setting,
        fold: Fold,
        key: str,
        *,
        choice: Future[tuple[Pair, ...]] | None,
        rounds: int | None,
    ) -> Judgement:
        taken, held = fold
        pairs = () if choice is None else choice.result()
        watched = held if rounds is None else None
        fitted = rows.fit(self.trainer(setting), taken, watched, rounds, setting, pairs=pairs)
        scores = np.ascontiguousarray(fitted.scores(widened(rows.x[held], pairs)))
        self.kept.keep_scores(key, scores, fitted.rounds)
        return scores, fitted.rounds

    def _ended(
        self,
        race: "_Race",
        setting: Setting,
        fits: Sequence[Begun],
        tried: Sequence[Tried],
        *,
        stopped: tuple[int, ...] | None = None,
    ) -> Tried:
        done = self._in_turn(fits, setting, tried, race.about)
        found = _tried(setting, done, race.about, _size(race.rows).outputs, stopped=stopped)
        trial = trial_of(found, race.about, None)
        self.pace.tried(
            TrialScore(
                name=trial.name,
                family=trial.family,
                loss=trial.loss,
                low=trial.low,
                high=trial.high,
                rows=len(race.about.mass),
            ),
            race.about.word,
        )
        return found

    def _unbiased(self, race: "_Race", tried: Sequence[Tried]) -> tuple[list[Tried], list[Tried]]:
        """Return the settings that may be chosen, with losses that early stopping does not bias, and those that cannot be the best.

        Early stopping takes the number of rounds that is best on the validation rows of a fold. With few rows the loss on the same rows is
        optimistic, and trees get too much weight beside linear models, which do not stop [1]_. So each setting of trees whose loss is
        below all unbiased ones is validated again, the lowest loss first, with the rounds of the other folds.

        References
        ----------
        .. [1] G. Cawley and N. Talbot, On over-fitting in model selection and subsequent selection bias in performance evaluation,
           Journal of Machine Learning Research 11 (2010), 2079-2107.
        """
        if not self._is_optimistic(race.rows, len(race.folds)):
            return list(tried), []
        mean = race.about.mean
        optimistic = sorted((one for one in tried if one.rounds), key=lambda one: mean(one.loss))
        unbiased = [one for one in tried if not one.rounds]
        while optimistic and mean(optimistic[0].loss) < min(
            (mean(one.loss) for one in unbiased), default=np.inf
        ):
            unbiased.append(self._validated_again(race, optimistic.pop(0), unbiased))
        return unbiased, optimistic

    def _is_optimistic(self, rows: Rows, folds: int) -> bool:
        return self.offered is None and folds > 1 and _is_few(rows)

    def _validated_again(self, race: "_Race", one: Tried, before: Sequence[Tried]) -> Tried:
        """Validate a setting on each fold after as many rounds as the other folds stopped after on average."""
        self.pace.more(len(race.folds))
        fits = self._begin(race, one.setting, rounds=_of_others(one.stopped))
        return self._ended(race, one.setting, fits, before, stopped=one.stopped)

    @property
    def _most_members(self) -> int:
        return 1 if self.spec.prefer == "small" or self.spec.budget == "quick" else MOST_MEMBERS

    def trainer(self, setting: Setting) -> Trainer:
        """Return what fits a setting."""
        return self.trainers[setting.family] if self.offered is None else self.offered.trainer

    def _in_turn(
        self,
        fits: Sequence[Begun],
        setting: Setting,
        tried: Sequence[Tried],
        about: Judged,
    ) -> list[Judgement]:
        best = min(tried, key=lambda one: about.mean(one.loss), default=None)
        so_far = (
            f"; best so far {best.setting.name}, {about.word} {in_digits(about.mean(best.loss), 4)}"
            if best
            else ""
        )
        done: list[Judgement] = []
        for number, fit in enumerate(fits, start=1):
            if isinstance(fit, Future):
                self.pace.next(f"{setting.name}: fold {number} of {len(fits)}{so_far}")
                done.append(fit.result())
            else:
                done.append(fit)
        return done

    def _paired(self, race: "_Race", tried: Sequence[Tried]) -> list[Tried]:
        """Try the best settings of trees again with what pairs of numbers are together, as far as the budget goes."""
        size, budget = _size(race.rows), self.spec.budget
        most = self._most_paired(race.rows)
        if not most:
            return []
        trees = sorted((one for one in tried if one.rounds), key=lambda one: race.about.mean(one.loss))
        wide = replace(size, width=size.width + MOST_PAIRS)
        settings = [sized(with_pairs(plain(one.setting)), budget, wide) for one in trees[:most]]
        self.pace.more(len(settings) * len(race.folds))
        begun = [self._begin(race, one) for one in settings]
        ended: list[Tried] = []
        for one, fits in zip(settings, begun, strict=True):
            ended.append(self._ended(race, one, fits, [*tried, *ended]))
        return ended

    def _most_paired(self, rows: Rows) -> int:
        most, _ = paired(self.spec.budget, _size(rows))
        # Pairs are chosen by trees of one sum a row, which hazards are not.
        is_fit = link_of(rows.task) is not HAZARD and can_pair(rows.x, rows.numbers)
        return most if most and is_fit else 0

    def _refine(self, race: "_Race", tried: list[Tried]) -> None:
        """Try settings near the best one of trees, as far as the budget goes."""
        trees = [one for one in tried if one.rounds]
        if not trees:
            return
        about, folds, size = race.about, race.folds, _size(race.rows)
        best = min(trees, key=lambda one: about.mean(one.loss))
        trials = refinements(
            self.spec.budget, size, best.setting, rounds=best.rounds, folds=len(folds), also=self.spec.also
        )
        if not trials:
            return
        self.pace.more(trials * len(folds))

        def judge(proposal: Setting) -> float:
            setting = sized(proposal, self.spec.budget, size)
            tried.append(self._ended(race, setting, self._begin(race, setting), tried))
            return about.mean(tried[-1].loss)

        # By name: Optuna takes a second to import, and most budgets ask for none of it.
        refined = import_module("linewright.model.train.refine").refined
        refined(plain(best.setting), about.mean(best.loss), count=trials, seed=race.rows.seed, judge=judge)

    def _settle(
        self, tried: Sequence[Tried], about: Judged, seed: int, *, trials: int
    ) -> tuple[Blend, ChosenReason, bool]:
        """Choose what becomes the model; return why, and whether the loss decided."""
        candidates = blends(tried, about, most=self._most_members)
        chosen = choose(candidates, about)
        if self.offered is not None:
            offer = Offer(by=self.offered.by, loss=about.mean(chosen.loss), rows=len(about.mass))
            return chosen, ChosenReason(choice=offer), False
        if self.metric is not None and (other := surely_better(candidates, chosen, about, self.metric, seed)):
            better, choice = other
            return better, ChosenReason(choice=choice), False
        is_small = self.spec.prefer == "small" and trials > 1
        reason = ChosenReason(
            choice=why(chosen, candidates, about, trials=trials),
            small=what_small_costs(chosen, blends(tried, about), about) if is_small else None,
        )
        return chosen, reason, True

    def windows(self, rows: Rows, at: npt.NDArray[Any]) -> list[npt.NDArray[np.bool_]]:
        """Return windows of the latest rows that can be judged, the shortest first."""
        every = windows_of(at, rows.target, learned=rows.learned, is_class=link_of(rows.task).is_class)
        return [one for one in every if _folds_with(rows.within(one), self.folds)]

    def narrowed(
        self, rows: Rows, whole: Found, windows: Sequence[npt.NDArray[np.bool_]]
    ) -> tuple[Rows, Found, Recent] | None:
        """Leave out older rows where the latest are surely answered better without them; `None` where they are not.

        Windows of the latest rows are tried too, small ones with all settings, others with the one that all rows chose.
        The best of each is compared with each that learned from all rows, by out-of-fold loss on the rows of the
        shortest; of those that are as good as the best the one of the longest window is taken.
        """
        if not windows:
            return None
        founds = [
            self.over(
                rows.within(one),
                frozenset() if one.sum() <= _SMALL else whole.chosen.names,
                seek=False,
                then=len(windows) - number,
            )
            for number, one in enumerate(windows, start=1)
        ]
        losses = np.stack(
            [
                *(by_row(one.chosen.loss, one.judged, len(rows.target)) for one in founds),
                *(by_row(one.loss, whole.judged, len(rows.target)) for one in whole.tried),
            ]
        )
        judged = windows[0] & np.isfinite(losses).all(axis=0)
        chosen, means = longest_as_good(losses[:, judged], rows.weight[judged])
        if chosen >= len(windows):
            return None
        narrow = rows.within(windows[chosen])
        latest = int(narrow.learned.sum())
        found = founds[chosen] if latest <= _SMALL else self.over(narrow)
        return (
            narrow,
            found,
            Recent(
                left_out=int(rows.learned.sum()) - latest,
                rows=latest,
                judged=int(judged.sum()),
                loss=float(means[chosen]),
                loss_with_older=float(means[len(windows) :].min()),
            ),
        )


def rows_of(
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    *,
    encoder: Encoder,
    task: Task,
    classes: int,
    seed: int,
) -> Rows:
    """Return training rows as a search takes them; the arguments are explained at `model.train.fit.train`."""
    if x.shape[1] == 0:
        raise SpecError(
            "no column is left to learn from",
            where="table",
            hint="the key, the time, the label and excluded columns are never features: exclude fewer",
        )
    if not np.any(weight > 0):
        raise SpecError("no training row has a weight above 0", where="table.weight")
    return Rows(
        x=x,
        target=target,
        weight=_scaled(weight),
        categorical=encoder.categorical,
        numbers=numbers_of(encoder),
        task=task,
        classes=classes,
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Race:
    """What all settings that are tried on some rows have in common."""

    pool: Executor
    rows: Rows
    folds: Sequence[Fold]
    about: Judged
    budget: Budget
    begun: dict[int, Future[tuple[Pair, ...]]] = field(default_factory=dict[int, "Future[tuple[Pair, ...]]"])
    """By fold, its pairs of numbers."""

    def pairs(self, number: int) -> Future[tuple[Pair, ...]]:
        """Return the pairs of a fold, chosen once; handed in before whoever waits for them, they never wait behind them."""
        if number not in self.begun:
            taken, _ = self.folds[number]
            self.begun[number] = self.pool.submit(self.rows.pairs, taken, self.budget)
        return self.begun[number]


def _race_of(pool: Executor, rows: Rows, folds: Sequence[Fold], budget: Budget) -> _Race:
    judged = _judged(folds)
    about = Judged(task=rows.task, truth=rows.target[judged], mass=rows.weight[judged])
    return _Race(pool=pool, rows=rows, folds=folds, about=about, budget=budget)


def _scaled(weight: Floats) -> Floats:
    return weight / weight[weight > 0].mean()


def _size(rows: Rows) -> Size:
    outputs = link_of(rows.task).outputs(rows.classes)
    return Size(rows=int(rows.learned.sum()), width=rows.x.shape[1], outputs=outputs)


def usable_folds(rows: Rows, folds: Sequence[Fold]) -> list[Fold]:
    """Return the folds that can judge."""
    usable = _folds_with(rows, folds)
    if not usable:
        raise SpecError(
            "too few training rows to judge a model on: no fold has rows of two classes to learn from and rows to judge"
            if link_of(rows.task).is_class
            else "too few training rows to judge a model on",
            where="train.folds",
            found=f"{len(rows.target):,} training rows in {len(folds)} folds",
            hint="bring more rows (of the rarer class), or choose fewer folds",
        )
    return usable


def _folds_with(rows: Rows, folds: Sequence[Fold]) -> list[Fold]:
    """Leave out of the folds what says nothing: rows without weight, and rows of a class not learned there."""
    usable: list[Fold] = []
    is_class = link_of(rows.task).is_class
    for taken, held in folds:
        learn, judge = taken[rows.weight[taken] > 0], held[rows.weight[held] > 0]
        if is_class:
            known = np.unique(rows.target[learn])
            judge = judge[np.isin(rows.target[judge], known)]
            learn = learn if len(known) > 1 else learn[:0]
        if len(learn) > 1 and len(judge):
            usable.append((learn, judge))
    return usable


def _judged(folds: Sequence[Fold]) -> npt.NDArray[Any]:
    return np.concatenate([held for _, held in folds])


@contextmanager
def _side_by_side(workers: int) -> Generator[Executor]:
    """Give threads for so many fits of one thread each; what was not begun when an error comes is not begun any more.

    The trainers compute outside of Python's lock, and a fit does not depend on what goes on beside it.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fit")
    with steady():
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _tried(
    setting: Setting,
    fits: list[Judgement],
    judged: Judged,
    outputs: int,
    *,
    stopped: tuple[int, ...] | None,
) -> Tried:
    scores = np.concatenate([each for each, _ in fits])
    stopped = stopped or tuple(each for _, each in fits)
    rounds = round(_REFIT * float(np.mean(stopped)))
    margins = link_of(judged.task).to_margins(scores)
    return Tried(
        setting=setting,
        margins=margins,
        scores=scores,
        loss=rules_of(judged.task).row_loss(judged.truth, scores),
        rounds=rounds,
        stopped=stopped,
        milliseconds=milliseconds(setting, rounds=rounds, outputs=outputs),
    )


def _of_others(stopped: Sequence[int]) -> list[int]:
    """Return for each of several folds the mean of the rounds of the others, at least 1.

    Examples
    --------
    >>> _of_others([10, 20, 60])
    [40, 35, 15]
    """
    return [max(1, round((sum(stopped) - own) / (len(stopped) - 1))) for own in stopped]


def _is_few(rows: Rows) -> bool:
    """Return whether a survival table has few rows. A window of it counts as the whole, with which it is compared."""
    return link_of(rows.task) is HAZARD and len(rows.target) <= _FEW


def _not_surely(paired: Tried, plain: Tried, about: Judged) -> PairsUnsure | None:
    """Return the best with pairs of numbers, which was not taken, where its loss is lower: it stands first in the leaderboard."""
    lower = about.mean(paired.loss)
    return PairsUnsure(name=paired.setting.name, loss=lower) if lower < about.mean(plain.loss) else None


def _is_copy(one: Tried, tried: Sequence[Tried]) -> bool:
    """Return whether a setting says what one before it says of every row: with pairs where no fold has found one."""
    return any(np.array_equal(one.margins, other.margins) for other in tried)


def trial_of(one: Tried, judged: Judged, beside: Blend | None) -> Trial:
    """Return a setting with its mean loss and its interval, and by how much that is more `beside` what the loss has chosen."""
    loss, error = judged.mean(one.loss), judged.error(one.loss)
    trial = Trial(
        name=one.setting.name,
        family=one.setting.family,
        settings=dict(one.setting.settings),
        loss=loss,
        low=max(0.0, loss - 1.96 * error),
        high=loss + 1.96 * error,
        rounds=one.rounds,
    )
    if beside is None:
        return trial
    more = one.loss - beside.loss
    low, high = judged.interval(more)
    return msgspec.structs.replace(trial, more=judged.mean(more), more_low=low, more_high=high)


def by_row(scores: Floats, judged: npt.NDArray[Any], n: int) -> Floats:
    """Return scores of the judged rows as scores of all `n` rows; NaN for those that no fold judged."""
    spread = np.full((n, *scores.shape[1:]), np.nan)
    spread[judged] = scores
    return spread
