"""The contract of a task, shipped for those who write another task."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from linewright.errors import SpecError
from linewright.line.file.read import parse_line
from linewright.model.families.hazard import Hazard
from linewright.model.families.linear import Linear
from linewright.model.metrics.definitions import metric, metrics_of
from linewright.model.metrics.predictions import say
from linewright.model.package.model import calibrate
from linewright.model.spec import TrainSpec
from linewright.model.tasks import TaskRules, task
from linewright.model.tasks.links import HAZARD, Floats
from linewright.model.train.calibrate import fit_calibration

ROWS = 600


class TaskContract:
    """What every task must do. Subclass it, and supply the fixtures `rules` and `labels`.

    `rules` is the `TaskRules`, as the table or an entry point names it. `labels` are some different labels that a line could
    have, as spelled; of classes all of them.
    """

    @pytest.fixture
    def rows(self, labels: Sequence[str]) -> list[str]:
        """Give labels of many rows: each of `labels` comes up."""
        drawn = np.random.default_rng(3).integers(0, len(labels), ROWS - len(labels))
        return [*labels, *(labels[int(place)] for place in drawn)]

    def scores_of(self, rules: TaskRules, rows: Sequence[str], *, sure: float = 0.9) -> Floats:
        """Return scores that are right about each row to the degree `sure`; the rest is the baseline."""
        classes = rules.classes(rows, None)
        target = rules.target(rows, classes)
        baseline = rules.baseline(target, np.ones(len(rows)), classes)
        if rules.label == "time":
            right = (np.abs(target)[:, np.newaxis] > np.arange(1, len(classes) + 1)).astype(np.float64)
            return sure * right + (1 - sure) * rules.baseline_scores(baseline, len(rows))
        right = np.eye(len(classes))[target.astype(np.int64)] if classes else target.astype(np.float64)
        return sure * right + (1 - sure) * rules.baseline_scores(baseline, len(rows))

    def test_it_is_found_by_its_name(self, rules: TaskRules) -> None:
        """The line file has the name, and so has every package."""
        assert rules is task(rules.name)

    def test_a_line_file_says_it(self, rules: TaskRules) -> None:
        """What is kept of a line file is read again years later, and is the same task."""
        said = {
            "line": "a",
            "sources": {"s": {"file": "a.csv"}},
            "label": {"column": "y", **({"event": "e"} if rules.label == "time" else {})},
            "train": {"task": rules.name},
        }
        train = parse_line(json.dumps(said), name="a.yaml").train

        assert rules.name == train.task
        assert train == TrainSpec.model_validate(train.model_dump(mode="json"))

    def test_classes_do_not_depend_on_the_order_of_rows(self, rules: TaskRules, rows: list[str]) -> None:
        """The order of classes is that of the scores, and the same data give the same model."""
        classes = rules.classes(rows, None)
        least, most = rules.class_limits

        assert classes == rules.classes(rows[::-1], None)
        assert least <= len(classes) <= most
        assert bool(classes) is (rules.is_class or rules.label == "time")

    def test_targets_are_codes_of_classes_or_numbers(self, rules: TaskRules, rows: list[str]) -> None:
        """Trainers get nothing else."""
        classes = rules.classes(rows, None)
        target = rules.target(rows, classes)

        assert (len(rows),) == target.shape
        assert (np.int64 if rules.is_class else np.float64) == target.dtype
        assert np.array_equal(target, rules.target(np.array(rows, dtype=object), classes))
        assert not rules.is_class or rows == [classes[code] for code in target.tolist()]

    def test_labels_that_do_not_fit_are_refused(self, rules: TaskRules, rows: list[str]) -> None:
        """Before hours of training, and with the place where it is corrected."""
        if rules.learns_good:  # rows that are all good are enough
            assert rules.classes([], None) == rules.classes(rows[:1] * 5, None)
        else:
            with pytest.raises(SpecError):
                rules.classes([], None)
            with pytest.raises(SpecError):
                rules.classes(rows[:1] * 5, None)
        with pytest.raises(SpecError):
            rules.target(["no such label"], rules.classes(rows, None))
        if not rules.has_positive:
            with pytest.raises(SpecError):
                rules.classes(rows, rows[0])

    def test_the_baseline_answers_all_rows_alike(self, rules: TaskRules, rows: list[str]) -> None:
        """Gates compare a first model with it."""
        scores = self.scores_of(rules, rows, sure=0.0)

        classes = rules.classes(rows, None)
        assert (len(rows), *([len(classes)] if classes else [])) == scores.shape
        assert (scores == scores[0]).all()
        assert not rules.is_class or (scores.sum(axis=1) == pytest.approx(1.0))
        target = rules.target(rows, classes)
        with pytest.raises(SpecError):
            rules.baseline(target, np.zeros(len(rows)), classes)

    def test_who_knows_more_loses_less(self, rules: TaskRules, rows: list[str]) -> None:
        """Settings are chosen by this loss, and gates compare models by metrics that agree with it."""
        target = rules.target(rows, rules.classes(rows, None))
        losses = [rules.row_loss(target, self.scores_of(rules, rows, sure=sure)) for sure in (0.0, 0.5, 0.95)]

        assert {(len(rows),)} == {loss.shape for loss in losses}
        assert all(np.isfinite(loss).all() for loss in losses)
        assert sorted((loss.mean() for loss in losses), reverse=True) == [loss.mean() for loss in losses]

    def test_its_link_leads_there_and_back(self, rules: TaskRules, rows: list[str]) -> None:
        """Members of a sum are added as margins."""
        scores = self.scores_of(rules, rows)
        margins = rules.link.to_margins(scores)
        outputs = rules.link.outputs(scores.shape[1] if scores.ndim == 2 else 0)

        assert len(rows) * outputs == margins.size
        assert np.allclose(scores, rules.link.to_scores(margins), rtol=1e-9, atol=1e-12)
        assert np.allclose(scores, rules.link.to_scores(margins.reshape(len(rows), outputs)), rtol=1e-9)

    def test_decisions_are_of_its_classes_or_numbers(self, rules: TaskRules, rows: list[str]) -> None:
        """Scores that are nearly certain of a class decide for it."""
        scores = self.scores_of(rules, rows, sure=0.99)
        target = rules.target(rows, rules.classes(rows, None))
        decided = rules.decide(scores, None)

        assert target.shape == decided.shape
        assert target.dtype == decided.dtype
        assert not rules.is_class or np.array_equal(target, decided)

    def test_answers_are_plain_json(self, rules: TaskRules, rows: list[str]) -> None:
        """Clients rely on these names, and monitors read the answers of the log."""
        classes = rules.classes(rows, None)
        scores = self.scores_of(rules, rows)
        answers = rules.answers(scores, classes=classes, threshold=None, band=None)
        watched = rules.watched(json.loads(json.dumps(answers)), classes)

        assert answers == json.loads(json.dumps(answers, allow_nan=False))
        assert rules.answers(scores[:0], classes=classes, threshold=None, band=None) == []
        assert (len(rows),) == watched.shape
        assert watched.dtype in {np.dtype(object), np.dtype(np.float64)}
        if rules.is_class:
            decided = rules.decide(scores, None)
            assert [classes[code] for code in decided.tolist()] == [one["prediction"] for one in answers]
            if not rules.learns_good:
                assert {classes} == {tuple(one["probabilities"]) for one in answers}
        else:
            assert all(isinstance(one["prediction"], float) for one in answers)

    def test_its_metrics_are_measured_and_agree_with_what_is_known(
        self, rules: TaskRules, rows: list[str]
    ) -> None:
        """The first is the headline of lines that name none."""
        target, weight = rules.target(rows, rules.classes(rows, None)), np.ones(len(rows))
        knows, guesses = (
            say(rules.name, self.scores_of(rules, rows, sure=sure), None) for sure in (0.95, 0.0)
        )

        assert set(rules.metrics) <= set(metrics_of(rules.name))
        for name in rules.metrics:
            rule = metric(name, rules.name)
            own, other = (rule.function(target, said.used_by(rule), weight) for said in (knows, guesses))
            assert np.isfinite([own, other]).all(), name
            assert rule.sign * (own - other) >= 0, name
            assert own != other or name != rules.metrics[0]
            assert not rule.is_bounded or 0 <= own <= 1, name

    def test_what_calibrates_it_leaves_scores_of_its_form(self, rules: TaskRules, rows: list[str]) -> None:
        """A package with another calibration would be refused."""
        target = rules.target(rows, rules.classes(rows, None))
        scores = self.scores_of(rules, rows, sure=0.6)
        found = fit_calibration(scores, target, np.ones(len(rows)), kind=rules.name, seed=1)

        assert found.method in ("none", *rules.calibrations)
        assert scores.shape == calibrate(found, scores).shape

    def test_a_family_learns_it(self, rules: TaskRules, rows: list[str]) -> None:
        """Families know links, so each of them trains each task; those that learn from good rows alone are in `model.anomaly`."""
        if rules.learns_good:
            return
        classes = rules.classes(rows, None)
        target, weight = rules.target(rows, classes), np.ones(len(rows))
        of_place = np.abs(target)  # of a time that is censored the place is negative
        x = (
            (of_place if rules.label == "time" else target)
            + np.random.default_rng(4).normal(size=len(rows)) * 0.3
        )[:, np.newaxis].astype(np.float32)
        fitted = (Hazard(Linear()) if rules.link is HAZARD else Linear()).fit(
            x,
            target,
            weight,
            categorical=(),
            task=rules.name,
            classes=len(classes),
            rounds=None,
            valid=None,
            seed=1,
            settings={"c": 1.0},
        )
        own = rules.row_loss(target, fitted.scores(x))

        assert 0.9 * rules.row_loss(target, self.scores_of(rules, rows, sure=0.0)).mean() > own.mean()

    def test_it_says_what_it_answers_in_a_sentence(self, rules: TaskRules, rows: list[str]) -> None:
        """The card begins with it."""
        says = rules.purpose("the label", rules.classes(rows, None))

        assert says.isprintable()
        assert says.endswith(".")
        assert "the label" in says
