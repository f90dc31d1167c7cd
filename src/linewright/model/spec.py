"""What a line file may say about training, gates and value."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from linewright.data.spec import FUNCTION, SplitSpec
from linewright.model.task_names import task_names
from linewright.spec import OneWord, Spec

Confidence = Annotated[float, Field(gt=0.5, lt=1)]


class TrialsBudget(Spec):
    """A budget counted in trials."""

    trials: Annotated[int, Field(ge=1, le=1000)]
    """How many settings are tried."""


Scale = Literal["bytes", "unit", "signed", "imagenet"]
"""How pixels become the numbers that a network reads: 0 to 255 as they are, 0 to 1, -1 to 1, or less the means of ImageNet and divided by
its standard deviations."""


Side = Annotated[int, Field(ge=8, le=1024)]


class ModelSpec(Spec):
    """An imported model: it takes the place of training."""

    file: str
    """File of ONNX, LightGBM (its text) or XGBoost (its JSON or UBJSON): path, relative to the factory folder or absolute."""
    columns: tuple[str, ...] = ()
    """Columns of the table in the order of the model's inputs (default: each input has the name of its column)."""
    output: str | None = None
    """Output that holds the probabilities, or the number, where the model has several."""
    classes: tuple[str, ...] = ()
    """Classes in the order of its probabilities, as spelled in the data (default: as the model spells them)."""
    missing: str = ""
    """What the model's text inputs get where there is no value."""
    scale: Scale | None = None
    """Of a network that reads pictures as numbers, how pixels become these; needed unless it reads bytes."""
    size: Side | None = None
    """Of a network that reads pictures of any size: the side of the squares that it gets (default: 224)."""


class PicturesSpec(Spec):
    """How pictures become numbers."""

    backbone: str | None = None
    """ONNX file with your network: path, relative to the factory folder or absolute (default: EfficientNet-Lite0). It reads one
    picture, NCHW or NHWC."""
    sizes: Annotated[tuple[Side, ...], Field(max_length=4)] = ()
    """Sides in pixels of the squares that pictures are scaled to; of several, folds decide. EfficientNet-Lite0 takes multiples of 32
    (default: 128, or what your own network reads)."""
    scale: Scale | None = None
    """For your own network that reads numbers: how pixels become these."""
    outputs: tuple[str, ...] = ()
    """For your own network: the outputs that are read; of maps, mean, largest and standard deviation (default: the one that there is)."""

    @model_validator(mode="after")
    def _fits(self) -> "PicturesSpec":
        if self.backbone is None:
            wrong = [size for size in self.sizes if size % 32]
            if wrong:
                raise ValueError(f"sizes: EfficientNet-Lite0 takes multiples of 32, not {wrong[0]}")
            if self.scale is not None or self.outputs:
                raise ValueError("scale and outputs describe your own network, which backbone names")
        return self


FOLDS = 5
"""Folds where a line does not say."""


FEW_LABELS = 500
"""Up to which an encoder of sentences is tried: with a thousand, grams alone were as good."""
AUTO = "auto"
"""The word of a choice that the data make."""


def task_words() -> tuple[str, ...]:
    """Return what `train.task` may be."""
    return (AUTO, *task_names())


class TrainSpec(Spec):
    """How a model is made. Everything has a default that the data decides."""

    task: Annotated[str, OneWord(task_words)] = AUTO
    """What kind of answer; `auto` looks at the label. Packages can add tasks."""
    metric: str = "auto"
    """Metric that people read first, by its scikit-learn name; `auto`: average_precision, log_loss or rmse by task. Models are fitted and
    chosen by log-loss, or squared error of numbers; another metric of them, ``mae`` say, decides among them only where it is surely of another opinion. `value` is read first, and chooses no model."""
    budget: Literal["quick", "normal", "thorough"] | TrialsBudget = "normal"
    """How much is tried; the same rows, split alike, and the same budget give the same model. Only `thorough` tries pairs of numbers."""
    prefer: Literal["accuracy", "small"] = "accuracy"
    """`small` takes one model where up to three, summed, would be better, and says what that costs."""
    also: tuple[Literal["catboost"], ...] = ()
    """Families of models, each an extra, that the built-in engine tries beside its own; `catboost` needs ``linewright[catboost]``."""
    max_seconds: Annotated[float, Field(gt=0)] | None = None
    """Cap on training time; reaching it is an error, since a clock does not decide which model comes out."""
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    """Folds of the cross-fitting, blocks of time or else alike in classes. All that are asked for judge; where none are, there are five, and of
    tables with very many rows, columns or classes, and with `normal` where models take much work, three or one of them judge."""
    split: SplitSpec = SplitSpec()
    """How rows are split into training and test."""
    model: ModelSpec | None = None
    """A model to adopt instead of training one."""
    python: Annotated[str, Field(pattern=FUNCTION)] | None = None
    """A function of your own, ``FILE.py:FUNCTION``, that returns the unfitted estimator; the file relative to the factory folder."""
    pictures: PicturesSpec | None = None
    """How the pictures of the line become numbers (default: EfficientNet-Lite0 at 128 pixels)."""
    share: Literal["alone", "together", "auto"] = "alone"
    """Of a template: from which rows the model of a site learns: its own; those of all sites; or, `auto`, what a comparison on its own rows
    says is better. Own rows alone set calibration and threshold, and test."""
    sentences: Literal["never", "always", "auto"] = "never"
    """Whether an encoder of sentences reads texts, with the extra `texts`; `auto`: with at most 500 labels, if folds say that
    it is better."""
    engine: Literal["built-in", "flaml", "autogluon"] = "built-in"
    """What chooses and fits the model: the built-in engine, or one of the extras `flaml` and `autogluon`."""

    @property
    def fold_count(self) -> int:
        """Folds that there are."""
        return FOLDS if self.folds is None else self.folds

    @model_validator(mode="after")
    def _one_way(self) -> "TrainSpec":
        ways = {
            "model": self.model is not None,
            "python": self.python is not None,
            f"engine: {self.engine}": self.engine != "built-in",
        }
        said = [name for name, is_said in ways.items() if is_said]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other: a line makes its model in one way")
        if said and self.also:
            raise ValueError(f"also adds to what the built-in engine tries, and {said[0]} takes its place")
        return self


class MetricGate(Spec):
    """A metric must reach a bar, with confidence."""

    metric: str
    """Metric by its scikit-learn name; or `value`, what decisions are worth for 1,000 rows, in the currency of the section `value`."""
    at_least: float | None = None
    """Smallest passing value, on the metric's own scale."""
    at_most: float | None = None
    """Largest passing value, for metrics where less is better."""
    confidence: Confidence = 0.95
    """How sure we must be that the true value passes."""
    when_small: Literal["warn", "block"] = "warn"
    """What too few rows to decide do."""

    @model_validator(mode="after")
    def _one_bar(self) -> "MetricGate":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a metric gate has either at_least or at_most")
        return self


class BeatsGate(Spec):
    """The candidate must be better than what serves now, on rows that neither has seen."""

    beats: Literal["champion", "baseline"]
    """Rival; while there is no champion, the baseline stands in."""
    metric: str | None = None
    """Metric to compare (default: `value` where the line says what decisions are worth, else the line's metric)."""
    margin: float = 0.0
    """How much better it must be, on the metric's own scale; below 0: by how much it may be worse than the champion."""
    confidence: Confidence = 0.95
    """How sure we must be."""
    when_small: Literal["warn", "block"] = "warn"
    """What too few rows to decide do."""

    @model_validator(mode="after")
    def _better_than_guessing(self) -> "BeatsGate":
        if self.margin < 0 and self.beats == "baseline":
            raise ValueError(
                "a model that may be worse than the baseline needs no gate: a margin below 0 is for the champion"
            )
        return self


class FairnessGate(Spec):
    """Groups of people must be treated alike."""

    fairness: str
    """Column that holds the groups."""
    measure: Literal["equalized_odds_difference", "demographic_parity_difference"] = (
        "equalized_odds_difference"
    )
    """What is compared between groups."""
    at_most: Annotated[float, Field(ge=0, le=1)]
    """Largest passing difference."""
    min_group: Annotated[int, Field(ge=1)] = 100
    """Groups with fewer test rows are left out, and said to be."""
    confidence: Confidence = 0.95
    """How sure we must be."""
    when_small: Literal["warn", "block"] = "warn"
    """What too few rows to decide do."""


GateSpec = MetricGate | BeatsGate | FairnessGate


Amount = float | Annotated[str, Field(min_length=1)]
"""What one decision is worth: a number; or a column of the table that holds it, with a minus before its name where it is a cost."""


class MaintenanceSpec(Spec):
    """What a failure and an inspection cost, of a line whose labels are times: answers then say by when to act. It trains nothing."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    """ISO 4217 code."""
    failure: Annotated[float, Field(lt=0)]
    """Worth of a failure that nobody came before, e.g. -50000."""
    inspection: Annotated[float, Field(lt=0)]
    """Worth of coming before it, e.g. -800: an inspection, a repair, a spare part."""

    @model_validator(mode="after")
    def _worth_coming(self) -> "MaintenanceSpec":
        if self.inspection <= self.failure:
            raise ValueError("an inspection costs less than a failure, or nobody would come before one")
        return self


class ValueSpec(Spec):
    """What decisions are worth, in money: the threshold follows from it, and gates compare by it. A new amount trains nothing.

    Each amount is a number, or a numeric column of the table with amounts of at least 0: ``true_positive: amount``, ``false_negative: -amount``.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    """ISO 4217 code."""
    true_positive: Amount = 0.0
    """Worth of one positive that was found."""
    false_positive: Amount = 0.0
    """Worth (usually negative) of one false alarm."""
    false_negative: Amount = 0.0
    """Worth (usually negative) of one positive that was missed; less than `true_positive`."""
    true_negative: Amount = 0.0
    """Worth of one negative left alone."""
    against: Literal["never", "always", "champion-before"] = "never"
    """What the decisions that were answered are held against in the value account: no alarm, an alarm for each row, or what the champion
    before would have decided. It decides nothing."""
