"""What the model room says."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from linewright.data.facts import RowSql
from linewright.features.facts import Encoder, ViewFacts
from linewright.model.gate_reasons import Advice, BeatsFound, Found, Incomparable
from linewright.model.reasons import ChosenReason, ThresholdReason
from linewright.store.values import Event, Result

Task = str
"""Name of a task, see `model.tasks`."""
CalibrationMethod = Literal["none", "sigmoid", "isotonic", "temperature", "clip", "hazard"]
ClusterKind = Literal["group", "block", "equal"]
"""Which rows a bootstrap draws together: those of a group, or a block of neighbours in time."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How raw scores become answers, as plain data.

    ``none``: as they are. ``sigmoid`` (binary): p' = 1 / (1 + exp(-(a * logit(p) + b))), parameters [a, b].
    ``isotonic`` (binary): linear interpolation through the points (x, y). ``temperature`` (multiclass):
    softmax(log(p) / t), parameters [t]. ``clip`` (regression): numbers below `least` are `least`, and above `most` `most`.
    ``hazard`` (survival): the log-odds of going in each interval plus the number of that interval, parameters [b1, …, bk].
    """

    method: CalibrationMethod = "none"
    parameters: tuple[float, ...] = ()
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    least: float | None = None
    most: float | None = None


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that was tried, judged on out-of-fold rows only."""

    name: str
    family: str
    settings: dict[str, Any]
    loss: float
    """Out-of-fold loss that selects (log-loss, or squared error): less is better."""
    low: float
    high: float
    """95 % interval of the loss."""
    rounds: int
    """Boosting rounds of the refit; 0 for linear models."""
    more: float | None = None
    """By how much its loss is above that of what was chosen, both on the same rows; below 0 where it is less. `None` where
    something else than the loss decided."""
    more_low: float | None = None
    more_high: float | None = None
    """95 % interval of that: where it holds 0, the trial does as well as far as the rows can tell."""


class MemberOf(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that became part of the model."""

    trial: str
    """Name of the trial."""
    weight: float
    """What it adds up counts so often; the weights of all members sum to 1."""
    rounds: int
    """Boosting rounds of its fit to all rows; 0 for linear models."""


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """What training did, beside the trials: with their settings, the seed and the rows it is done again alike."""

    folds: int
    """Folds that trials were judged on."""
    of: int
    """Folds that could judge."""
    members: tuple[MemberOf, ...]
    """Of what the model is made, the heaviest first; fitted once to all rows that it may learn from."""


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """That a model learned from the latest training rows alone."""

    left_out: int
    """Older training rows that it did not learn from."""
    rows: int
    """The latest, which it learned from."""
    judged: int
    """The latest of all, by which windows were compared."""
    loss: float
    """Out-of-fold loss on these, without the older rows."""
    loss_with_older: float
    """The lowest of what learned from all rows, on the same ones."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """That a model learned from some of very many training rows."""

    of: int
    """Training rows that these were drawn from."""
    rows: int
    """Training rows that were drawn, before any older ones were left out."""
    most_cells: int
    """Numbers in the largest matrix that is made."""
    by_group: bool
    """Whether whole groups were drawn."""
    kept_whole: int
    """Rows of rare classes, of which all were taken."""
    weight: float
    """How many rows one of the others stands for."""


AnswerForm = Literal["probabilities", "logits", "number"]


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """How the answers of an imported model are read."""

    output: str
    """Output of the file that holds probabilities, or the number."""
    classes: tuple[str, ...]
    """Classes in the order of its probabilities, as spelled in the data; empty for regression."""
    widths: tuple[int, ...]
    """How many columns each of its inputs takes, in order; of a network that reads pictures, how many numbers it gives."""
    form: AnswerForm = "probabilities"
    """Of a network that reads pictures: what it gives."""


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """That a model is an estimator that a user's code, or another engine, chose."""

    engine: str
    """``python`` for a user's code, else the name of the engine."""
    estimator: str
    """The estimator with its settings, as it prints itself."""
    function: str = ""
    """Name of the user's function that makes it."""
    code: str = ""
    """Digest of the artifact that holds the user's file as it was run."""


LEVEL = 0.9
"""Share of new rows whose truth a prediction interval should hold."""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """How wide the 90 % prediction interval of a number is, by the answer: see `model.tasks.prediction_interval`."""

    at: tuple[float, ...]
    """Answers, ascending, of which the half-width is known. Between them it is interpolated, beyond them it is that of the nearest."""
    half_widths: tuple[float, ...]
    """One each, in the unit of the label."""
    least: float | None
    """Where no interval reaches below, unless the answer itself is there: 0 if no label that it was made from is below 0, or the
    smallest of them where they pile up."""
    most: float | None = None
    """Where no interval reaches above, unless the answer itself is there: the largest of the labels that it was made from, where they
    pile up."""


VALUE = "value"
"""The metric of what decisions are worth."""
ROWS_OF_VALUE = 1_000
"""Rows that it is told for: of one alone amounts are too small to read."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """What the four decisions of a binary task were declared to be worth: each a number, or a column with its sign, see `ValueSpec`."""

    currency: str
    true_positive: float | str
    false_positive: float | str
    false_negative: float | str
    true_negative: float | str


class Maintenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a failure and coming before it were declared to be worth, see `MaintenanceSpec`."""

    currency: str
    failure: float
    inspection: float
    rate: float | None = None
    """What each unit of time costs, at best, of what is as good as new, at least 0; `None` in older packages.
    Acting makes something as good as new: it is time as soon as going on costs more."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model of a site learned from rows of other sites, and what decided it."""

    choice: Literal["alone", "together"]
    sites: int
    """Other sites with rows to learn from."""
    rows: int
    """Those rows."""
    compared: int = 0
    """Own rows on which both ways were compared; 0 if the line file decided."""
    loss_alone: float | None = None
    loss_together: float | None = None
    """Mean out-of-fold loss of each on these rows: log-loss, or squared error of numbers."""
    gain: float | None = None
    """By how much less is lost together."""
    standard_error: float | None = None
    """Of `gain`, row by row."""


class SentenceEncoderChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an encoder of sentences reads the texts of a model as well as their grams, and what decided it."""

    choice: Literal["grams", "sentences"]
    labels: int
    """Rows with a label that it learned from."""
    compared: int = 0
    """Rows on which both ways were compared; 0 if the line file or the number of labels decided."""
    loss_grams: float | None = None
    loss_sentences: float | None = None
    """Mean out-of-fold loss of each on these rows: log-loss, or squared error of numbers."""
    gain: float | None = None
    """By how much less is lost with sentences."""
    standard_error: float | None = None
    """Of `gain`, by rows or groups."""


class SizeTried(msgspec.Struct, frozen=True, kw_only=True):
    """A size of pictures that was tried."""

    side: int
    """In pixels."""
    loss: float
    """Mean out-of-fold loss of one quick model: log-loss, or squared error of numbers."""


class PicturesRead(msgspec.Struct, frozen=True, kw_only=True):
    """How the pictures of a line became numbers, if its line file says something of it."""

    side: int
    """Pictures are scaled to squares of so many pixels."""
    tried: tuple[SizeTried, ...] = ()
    """The sizes that were compared, the smallest first; none if there was one."""
    rows: int = 0
    """Training rows on which they were compared."""
    gain: float | None = None
    """By how much less the largest loses than the best of the others."""
    standard_error: float | None = None
    """Of `gain`, row by row."""
    backbone: str | None = None
    """Digest of the file of a network of one's own."""


class Trained(Result, frozen=True, kw_only=True, tag="trained"):
    """A model in its training library's own form, before packaging."""

    dataset: str
    split: str
    task: Task
    classes: tuple[str, ...]
    """Classes as spelled in the data, sorted; for two classes the positive one is last. Empty for regression."""
    encoder: Encoder
    trials: tuple[Trial, ...]
    """Best first."""
    chosen: str
    reason: ChosenReason
    native: str
    """Digest of the artifact that holds the fitted model as text (LightGBM text or linear coefficients as JSON)."""
    calibration: Calibration
    half_width: float | None
    """For regression: half-width of a 90 % prediction interval that is the same for all answers, from out-of-fold residuals
    (split conformal). Where there is a `band`, answers have its intervals, and this is how far off they are as a whole."""
    baseline: tuple[float, ...]
    """Prediction that uses no features: of a recommender, the share of users who took each item; else class shares of the training rows, or their mean (weighted); where the line's metric is
    ``mae``, their median."""
    rows: int
    """Training rows that it learned from."""
    seed: int
    libraries: dict[str, str]
    """Versions of what fitted it."""
    recent: Recent | None = None
    """Where a retraining left out older rows: why."""
    sample: Sample | None = None
    """Where it learned from a part of very many rows: from which. `None` where it learned from all."""
    executed: Executed | None = None
    """What training did; `None` where a model was imported."""
    estimated: Estimated | None = None
    """Where the built-in engine did not choose what is fitted: what did. `None` where it did."""
    band: Band | None = None
    """For regression: how wide the intervals of its answers are."""
    scored: str | None = None
    """Of a binary task: digest of the artifact that holds the training rows by which a threshold is chosen, with their probabilities
    (`model.train.scored_rows`)."""
    adopted: Adopted | None = None
    """For an imported model: `native` is its ONNX file, which rows it has learned from is not known, and
    the training part counts as seen by it."""
    shared: Shared | None = None
    """Of a site whose line file says `train.share`: what came of it."""
    sentence_encoder: SentenceEncoderChoice | None = None
    """Of a line file that says `train.sentences`: what came of it."""
    pictures: PicturesRead | None = None
    """Of a line file that says `train.pictures`: what came of it."""


class RequestColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a request row may have."""

    name: str
    type: str
    nullable: bool = True
    role: Literal["feature", "carried", "source"] = "feature"
    """Carried columns (key, time, label, weight, group, excluded) may be present and are never used by the model. Columns of the
    source are none of the table: `table.sql` makes columns of them."""
    format: str | None = None
    optional: bool = False
    """Of a feature: a row may leave it out, which is a missing value, for the contract names it nullable."""


class Package(Result, frozen=True, kw_only=True, tag="package"):
    """One model that can serve: raw row in, calibrated answer out. Its digest is the model digest.

    Its canonical JSON is also kept as an artifact under that same digest, so that an endpoint needs no metadata store.
    """

    model: Literal["onnx"] = "onnx"
    task: Task
    label: str
    classes: tuple[str, ...]
    key: str | None
    columns: tuple[RequestColumn, ...]
    missing: tuple[str, ...] = ("",)
    """Texts that mean "no value" in a request row, as in the source that it was trained on."""
    row_sql: RowSql | None = None
    """What of `table.sql` is carried out on request rows; `None` where there is no SQL."""
    views: tuple[ViewFacts, ...] = ()
    """Feature views some of whose columns it reads: a request need not send these."""
    encoder: Encoder
    graph: str
    """Digest of the ONNX artifact: input ``x`` float32 [n, width], or for an encoder of raw columns ``x0``, ``x1``, …
    [n, 1]; output ``y`` float32 [n, classes] probabilities, or [n, 1]."""
    graph_bytes: int
    calibration: Calibration
    threshold: float | None
    half_width: float | None
    band: Band | None = None
    """For regression: how wide intervals are."""
    golden: str
    """Digest of a JSON artifact {"rows": [row…], "predictions": [answer…]} to try after loading."""
    trained: str
    value: Value | None = None
    """What its decisions were declared to be worth when its threshold was chosen; the rows that it answered can be priced by it.
    `None` where the line did not say."""
    maintenance: Maintenance | None = None
    """Of times: amounts by which answers say by when to act; `None` if the line says none."""

    @property
    def loaded(self) -> tuple[str, ...]:
        """Digests of the bytes that an endpoint loads for it, but for its own."""
        networks = [one.backbone for one in self.encoder.pictures]
        for one in self.encoder.sentences:
            networks += [one.model, one.tokenizer]
        return (self.graph, self.golden, *dict.fromkeys(networks))


class Decision(Result, frozen=True, kw_only=True, tag="decision"):
    """Where the positive class of a model begins, and why: what follows from amounts, and trains nothing."""

    package: str
    """Digest of the package that decides so."""
    threshold: float | None
    """Probability at and above which the positive class is answered; `None` outside binary tasks."""
    reason: ThresholdReason | None = None
    """`None` where there is no threshold."""
    rows: int
    """Training rows that it was chosen by."""
    value: Value | None = None
    """What decisions were declared to be worth; `None` where the line does not say."""


class Parity(Result, frozen=True, kw_only=True, tag="parity"):
    """How far the package's answers are from those of the library that trained it."""

    package: str
    rows: int
    largest: float
    """Largest absolute difference in probability (or, for regression, relative to the label's spread)."""
    allowed: float
    flips: int
    """Rows further than `allowed` from the threshold whose decision differs."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on rows that the model has not seen, with its interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    """Ends of the 95 % bootstrap interval; `None` where the rows do not tell them (all are of one group, say)."""
    n: int


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose probabilities are near to each other."""

    answered: float
    """Their mean probability."""
    true: float
    """Share of them of which it came true."""
    rows: int


class CoverageAt(msgspec.Struct, frozen=True, kw_only=True):
    """How often intervals hold the truth of test rows whose answers are near to each other."""

    low: float
    high: float
    """The smallest and largest of these answers."""
    held: Metric


class LeftAt(msgspec.Struct, frozen=True, kw_only=True):
    """Of some test rows, the share that is said to be left at a time and the share that was."""

    time: float
    third: int
    """0: all rows; 1 to 3: a third of them, the shortest predicted times first."""
    rows: int
    said: float
    """Mean of the shares that are said to be left."""
    seen: float
    """Share that was left, by Kaplan and Meier."""
    low: float
    high: float
    """Its 95 % interval by Greenwood's formula for log(-log)."""
    brier: float | None = None
    """Brier score at the time, of all rows."""
    baseline: float | None = None
    """The same of the prediction without features."""


class Beyond(msgspec.Struct, frozen=True, kw_only=True):
    """On which side of their intervals the truths lie that they do not hold, as shares of all rows."""

    below: Metric
    """Share of the rows whose truth lies below the interval of the answer."""
    above: Metric
    tilt: Metric
    """`above` less `below`, in [-1, 1]: where its interval holds 0, the sides may be alike."""


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether probabilities can be taken at their word: see `model.evaluate.reliability`."""

    error: Metric
    """Expected calibration error."""
    by_chance: float
    """The error that true probabilities would show on the same rows, on average."""
    by_chance_most: float
    """What it would exceed in one case of 20."""
    before: float | None
    """The error before calibration; `None` where nothing is calibrated."""
    bins: tuple[ReliabilityBin, ...]
    """By probability, the smallest first."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of one class the probabilities of it promise, and how many there are."""

    code: int
    """Of the class."""
    said: float
    """Sum of its probabilities over the rows; weights are scaled so that their mean is 1."""
    true: float
    """Rows that are of it, weighted likewise."""
    low: float
    high: float
    """Ends of what true probabilities would show in 95 % of cases, all classes together."""


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of another model, and how much better the trained one is."""

    metric: str
    value: float
    """That of the other model."""
    better: float
    """By how much the trained model is better, on the metric's own scale; below 0 where it is worse."""
    low: float
    high: float
    """Ends of the 95 % bootstrap interval of that, both models on the same rows and draws."""


class Linear(msgspec.Struct, frozen=True, kw_only=True):
    """What a plain linear model says of the test rows; how it decides is found where the threshold is."""

    scores: str
    """Digest of the artifact with its answers to the test rows: float64, row by row."""
    rows: int
    """Training rows that it learned from."""
    scored: str | None = None
    """Of a binary task: digest of the artifact with these rows and their probabilities, as in `Trained.scored`."""


class Plain(Beside, frozen=True, kw_only=True):
    """A plain linear model of the same columns, on the test rows beside the model that was trained: first the line's metric."""

    others: tuple[Beside, ...] = ()
    """The other metrics of the card."""
    rows: int
    """Training rows that the linear model learned from."""
    n: int
    """Test rows."""


FEW_TESTED = 5
"""Test rows of a class, below which what they show of it is chance."""


class SumQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How good the sums of forecasts are at one level, on the test rows of one time each."""

    keys: tuple[str, ...]
    """Columns that name a sum; none for all series."""
    sums: int
    """Different ones."""
    times: int
    error: float | None
    """Mean absolute error over that of the naive forecasts with season, summed alike; `None` if these are right, or without sums."""
    coverage: float | None
    """Share of the sums that lie in their 90 % interval; `None` without sums."""
    shared: float
    """How far errors of series were held to go together, see `Level`."""


class Misread(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of the test part that was misread."""

    row: int
    """Number of the row in the dataset, from 0."""
    label: int
    answer: int
    """Codes of classes."""
    probability: float
    """Of the answer."""


class Evaluation(Result, frozen=True, kw_only=True, tag="evaluation"):
    """How good a package is on the test part."""

    package: str
    split: str
    metrics: tuple[Metric, ...]
    """The line's metric first."""
    baseline: tuple[Metric, ...]
    """The same metrics for the prediction that uses no features."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows: truth, columns: answer, in the order of `classes`; empty for regression."""
    n: int
    clusters: int
    """Groups, or blocks of time, that the bootstrap drew whole; 0 where rows were drawn."""
    cluster_kind: ClusterKind = "group"
    explanation: str = ""
    """Digest of the `Explanation` of the package on these rows."""
    coverage_at: tuple[CoverageAt, ...] = ()
    """`coverage` of fifths of the rows, the smallest answers first; empty of few rows."""
    coverage: Metric | None = None
    """Share of the rows whose truth lies in the interval of the answer, which is made to hold 90 % of them; `None` where
    answers have no interval."""
    beyond: Beyond | None = None
    """Shares of the rows whose truth lies below the interval of the answer, and above it; `None` where there is no `coverage`."""
    left_at: tuple[LeftAt, ...] = ()
    """Of times that may be censored: what is left at each, as said and as it was; empty of other tasks."""
    bias: Metric | None = None
    """Mean of truth less answer, in the unit of the label: above 0 where answers are too low. `None` where answers are
    classes."""
    reliability: Reliability | None = None
    """How far probabilities are from the shares that came true; `None` where answers are numbers."""
    expected: tuple[Expected, ...] = ()
    """For several classes: rows that the probabilities promise of each, and rows that there are; empty of two classes and of
    numbers."""
    plain: Plain | None = None
    """What a plain linear model reaches on these rows; `None` of a linear model, and of one that was imported."""
    sums: tuple[SumQuality, ...] = ()
    """Of forecasts with sums: how good these are at each level; empty of others."""
    misread: tuple[Misread, ...] = ()
    """Pictures of the test part that were misread, the most probable answers first, at most 12; empty of models that read none."""

    @property
    def only_answer(self) -> int | None:
        """Code of the class that every test row got; `None` where there are more, or numbers."""
        answered = {code for row in self.confusion for code, rows in enumerate(row) if rows}
        if self.metrics and self.metrics[0].name == "false_positive_rate":  # of good rows alone
            return None
        return answered.pop() if len(answered) == 1 else None

    @property
    def unfound(self) -> Mapping[int, int]:
        """By code, how many test rows there are of each class of which it finds none; empty of numbers."""
        return {code: sum(row) for code, row in enumerate(self.confusion) if any(row) and not row[code]}

    @property
    def few(self) -> tuple[tuple[int, int], ...]:
        """Codes of the classes with fewer than `FEW_TESTED` test rows, and how many they have; the rarest first."""
        rows = [(sum(row), code) for code, row in enumerate(self.confusion)]
        return tuple((code, many) for many, code in sorted(rows) if many < FEW_TESTED)


class Shuffled(msgspec.Struct, frozen=True, kw_only=True):
    """How much larger the loss gets when columns are shuffled among the rows, all of them alike."""

    columns: tuple[str, ...]
    """One, or several that say nearly the same, so that each could stand in for another."""
    rise: float
    """In the unit of `Explanation.loss`; about 0 where the model does not need them, and then perhaps below."""
    low: float
    high: float
    """Ends of the 95 % bootstrap interval."""


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """How far a column moves the scores of rows, by the explanations that the endpoint gives."""

    column: str
    size: float
    """Mean over the rows of the absolute contribution, in the unit of `Explanation.unit`; for several classes also over
    these."""
    direction: float | None = None
    """Rank correlation of value and contribution, in [-1, 1]; `None` for categories and for several classes."""
    up: str = ""
    """The category that raises the score most, on average; empty for numbers and for several classes."""
    down: str = ""
    """The category that lowers it most."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a dependence plot."""

    at: float | str
    """A number, microseconds since 1970 for a time, or a category."""
    answers: tuple[float, ...]
    """The average answer and the effect on top of it, one a curve. An effect is added up over steps that different rows take, so
    that the sum may lie beyond what an answer can be: a card tells its difference from the average."""
    rows: int
    """Rows that it is computed from."""


class Dependence(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer goes with one column, all else as it is in the rows: see `model.explain.partial_dependence`."""

    column: str
    kind: Literal["number", "time", "category"]
    curves: tuple[str, ...]
    """Classes whose probability is told; empty where the answer is one number."""
    average: tuple[float, ...]
    """The mean answer over the rows, one a curve."""
    points: tuple[Point, ...]
    """By value, or the most frequent category first."""
    spread: tuple[int, ...] = ()
    """Rows in cells of equal width between the first point and the last; empty for categories."""
    missing: Point | None = None
    """Rows without a value; `None` where there are few or none."""
    left_out: int = 0
    """Categories that are not told: their rows are too few, or fewer than those of others."""
    rarer: tuple[str, ...] = ()
    """Which these are, the most frequent first; of many the first alone."""


Scale = Literal["number", "time", "year"]
"""What a number of a column is: a measure, microseconds since 1970, or a year."""


class IsLevel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="level"):
    """A category is this one."""

    column: str
    level: str


class IsValue(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="value"):
    """A number is this one."""

    column: str
    value: float
    scale: Scale


class IsWithin(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="within"):
    """A number is larger than `above` and at most `to`; without both it is any."""

    column: str
    above: float | None
    to: float | None
    scale: Scale


class IsMissing(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="missing"):
    """A column has no value."""

    column: str


Condition = IsLevel | IsValue | IsWithin | IsMissing


class WeakSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Rows on which the loss is surely larger than on the others."""

    conditions: tuple[Condition, ...]
    """They all hold; `model.explanation_text` says them."""
    loss: float
    elsewhere: float
    """Loss on the other rows, in the unit of `Explanation.loss`."""
    low: float
    """The difference is at least this, with 95 % confidence for all told slices together."""
    rows: int
    answered: float | None = None
    """Mean probability of the positive class, or mean prediction; `None` for several classes."""
    true: float | None = None
    """What it should have been: share of positives, or mean label."""


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows of the positive class are answered negative more often than elsewhere."""

    slices: tuple[WeakSlice, ...]
    """The largest difference first; the loss is the share of positives that are missed, and only they are counted."""
    looked_at: int
    """Slices that were looked at, on one half of the positives; what is told of them is from the other half."""
    confirmed_on: int
    """Positives of that other half."""
    positives: int
    """Test rows of the positive class in both halves."""
    share: float
    """Of them, those that are missed."""


NotExplained = Literal["adds-no-scores", "imported", "lists-items", "says-steps"]
"""Why single answers cannot be explained: the estimator does not add up scores, or the model is imported and does not say how its
training rows are distributed."""


class Explanation(Result, frozen=True, kw_only=True, tag="explanation"):
    """What a package makes of its columns, and where it is weak, on test rows: for people to read."""

    package: str
    split: str
    loss: str
    """``"log_loss"``, ``"rmse"``, or the `objective` of another task."""
    value: float
    """Loss on the rows that were shuffled, before."""
    columns: int
    """Columns that the model reads."""
    shuffled: tuple[Shuffled, ...]
    """The largest rise first; of many columns those that a cheaper screen found to matter most."""
    together: tuple[Shuffled, ...]
    """Columns that say nearly the same, shuffled together."""
    rows: int
    """Test rows that were shuffled."""
    repeats: int
    """How often each was."""
    contributions: tuple[Contribution, ...] = ()
    """The largest first; empty where the answers of the model cannot be explained."""
    unit: str = ""
    """What contributions are in."""
    explained: int = 0
    """Test rows whose answers were explained."""
    not_explained: NotExplained | None = None
    """Why none were; `None` where some were."""
    dependence: tuple[Dependence, ...] = ()
    """Of the columns that matter most."""
    slices: tuple[WeakSlice, ...] = ()
    """The largest difference first."""
    looked_at: int = 0
    """Slices that were looked at, on one half of the test rows; what is told of them is from the other half."""
    confirmed_on: int = 0
    """Test rows of that other half."""
    missed: Missed | None = None
    """Where positives are missed; `None` where there are not two classes, where no test row is positive, and before a threshold is
    chosen."""
    linear: Linear | None = None
    """What a plain linear model says of the same rows; `None` where the model is one or was imported."""


class GroupRates(msgspec.Struct, frozen=True, kw_only=True):
    """How one group of a fairness gate was answered; a rate is `None` where the group is too small, or has no such rows."""

    group: str
    n: int
    positives: int
    """Rows whose truth is positive."""
    selection_rate: float | None
    """Share of all its rows that were answered positive."""
    true_positive_rate: float | None
    """Share of its positives."""
    false_positive_rate: float | None
    """Share of its negatives: where the positive answer is a harm, those who were harmed wrongly."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate found; `model.gates.text` says it in sentences."""

    found: Found
    """What was asked, and what beside the figures was found."""
    status: Literal["pass", "fail", "undecided"]
    value: float | None
    low: float | None
    high: float | None
    """Ends of the one-sided confidence bounds at the gate's confidence."""
    bar: float
    n: int
    more_rows: int | None
    """For undecided gates: about how many more test rows would decide; `None` where the data say nothing about it."""
    more_groups: int | None = None
    """How many more groups of rows these are, where groups are drawn whole."""
    excluded: int = 0
    """Test rows that this gate left out, because the champion had been fitted on them: only comparisons do."""
    groups: tuple[GroupRates, ...] = ()
    """Of a fairness gate: how each group was answered, the largest group first."""

    @property
    def is_same(self) -> bool:
        """Whether both models are one that scores every row alike, so that what the gate asks about cannot differ."""
        return isinstance(self.found, BeatsFound) and self.found.same is not None


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """Why the verdict of a certificate is what it is: the first rule of `gates.conclude` that applied."""

    kind: Literal[
        "no-gates",
        "failed",
        "only-amounts",
        "only-views",
        "blocked",
        "waiting",
        "hopeless",
        "same-model",
        "none-decided",
        "passed",
    ]
    first: int | None = None
    """Place of the outcome that is told of, from 0."""
    others: int = 0
    """Further outcomes that say so."""
    advice: Advice | None = None
    by_group: bool = False
    """Whether only more groups would narrow the bounds, since groups are drawn whole."""
    known: Outcome | None = None
    """What shows that a candidate which cannot be told from the baseline knows something."""


class Redecided(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate decides otherwise than the champion that it was compared with."""

    threshold: float | None = None
    """Probability at and above which the candidate answers the positive class; `None` where there are not two classes."""
    threshold_before: float | None = None
    """The champion's."""
    rows: int
    """Test rows that neither was fitted on."""
    otherwise: int
    """Those of them that get another class."""
    positive: int | None = None
    """Those of these that get the positive class now; `None` where there are not two classes."""


Verdict = Literal["promote", "hold", "reject", "need-more-data"]


class Certificate(Result, frozen=True, kw_only=True, tag="certificate"):
    """The recorded result of the gates for one candidate."""

    package: str
    rival: str
    """Digest of the champion it was compared with, or ``"baseline"``."""
    gates: str
    """Digest of the gates as declared."""
    split: str
    rows: str
    """Digest of the identities of the rows that the models were compared on."""
    n: int
    """How many those are; gates that compare nothing use all test rows, see `Outcome.n`."""
    excluded: int
    """Test rows left out because the rival had seen them."""
    outcomes: tuple[Outcome, ...]
    verdict: Verdict
    reason: Conclusion
    evaluation: str = ""
    """Digest of the candidate's `Evaluation`."""
    incomparable: Incomparable | None = None
    """Why the champion could not be compared with; `None` where it was, or where there was none."""
    decision: str = ""
    """Digest of the candidate's `Decision`."""
    redecided: Redecided | None = None
    """What would be decided otherwise than by the champion; `None` where answers are numbers, and where there was no champion to
    compare with."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What a column held and was allowed when a model was made; a request beyond it is answered with a warning."""

    column: str
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = None
    is_time: bool = False
    """Whether it says when a row happened: once its truth is known, it decides which part of the table the row is in."""
    is_complete: bool = False
    """Whether the model reads it and no training row lacked it: what a missing value means was never learned."""
    seen: tuple[str, ...] | None = None
    """Categories of the training rows in a column that the model does not read, since they all say the same."""


class Registered(Event, frozen=True, kw_only=True, tag="registered"):
    """A package became a numbered model of a line."""

    model: int
    package: str
    run: str
    ingested: str
    """Digest of what reading the sources gave."""
    parity: str
    """Digest of the proof that the package answers as the trained model does."""
    decision: str
    """Digest of its `Decision`."""
    limits: tuple[Limit, ...] = ()
    computed_in: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Digest of the `Environment` that each part of it was first computed in, by step."""


class ListValue(msgspec.Struct, frozen=True, kw_only=True):
    """How many items are taken of the lists of a model, from lists that were shown; see `model.evaluate.off_policy`."""

    lists: int
    """Lists that were shown and whose label is known."""
    drawn: int
    """How many of them were drawn."""
    matched: int
    """Positions at which chance showed what the model lists there and the other one does not."""
    supported: float
    """Share of the positions of the model's lists whose item could have been shown there, in [0, 1]; the others count as mean ones."""
    shown: float
    """Items taken of a list, as they were shown."""
    value: float | None = None
    """Items taken of a list of the model; `None`, as what follows, if there are too few lists, or too few of its items could have been shown."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval."""
    more: float | None = None
    """How many more than of the lists that were shown; it can be negative."""
    more_low: float | None = None
    more_high: float | None = None


class ListsValued(Event, frozen=True, kw_only=True, tag="lists_valued"):
    """The lists of a model were valued, from lists that were shown after what it was trained on."""

    model: int
    package: str
    since: str
    """Lists from then on, of which it has learned nothing."""
    found: ListValue
    run: str | None = None
    """The run that made the model; `None` at the end of a window."""
