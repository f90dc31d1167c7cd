"""The steps ``evaluate`` and ``gate``: how good a package is, and whether it may serve."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import polars as pl

from linewright.data.dataset.duplicates import contents_of, repeat_seldom
from linewright.data.dataset.split import identities
from linewright.data.facts import Dataset, Split
from linewright.features.encode_table import encode_table
from linewright.features.learn import to_columns
from linewright.line.check.amounts import amounts_of_rows
from linewright.line.run_context import Work, compared_by, headline
from linewright.line.split_rows import label_text, read_rows, weights
from linewright.line.steps.explained_inputs import inputs_of
from linewright.line.steps.ingest import answered
from linewright.line.steps.rival import BASELINE, rival_of
from linewright.line.steps.tasks.forecast import naive_scores, qualities_of_sums, series_of
from linewright.line.steps.tasks.recommend import by_rules, popular_lists, users_of
from linewright.model.evaluate.against_linear import beside_linear
from linewright.model.evaluate.decision_changes import redecided
from linewright.model.evaluate.measure import evaluate, measured_of
from linewright.model.explain.report import HeldOut, with_missed
from linewright.model.facts import Certificate, ClusterKind, Evaluation, Misread, Package, Plain, Trained
from linewright.model.gate_reasons import Same
from linewright.model.gates.certify import Rival, certify
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.metrics.predictions import say
from linewright.model.metrics.time_blocks import blocks_in_time
from linewright.model.package.model import Model, load
from linewright.model.spec import BeatsGate, FairnessGate
from linewright.model.tasks.item_lists import recoded
from linewright.model.tasks.threshold import choose_threshold
from linewright.model.tasks.value import Amounts
from linewright.model.train.scored_rows import from_bytes
from linewright.store.values import digest_of
from linewright.text.numbers import figure

MOST_MISREAD = 12
FEWEST_SERIES = 20
"""Series from which on they are what is drawn; of fewer, blocks of time are."""


def _clusters(
    work: Work, rows: np.ndarray, truth: np.ndarray, scores: Iterable[np.ndarray]
) -> np.ndarray | None:
    """Return which rows are drawn together: those of a group, blocks of a dataset that is in order of time, or equal rows.

    Equal rows were split together, so they are drawn together: drawn one by one, 4,278 rows of which 2,217 are different would count as 4,278.
    """
    table = work.spec.table
    if work.spec.recommend is not None:
        return users_of(work, rows)
    if work.spec.forecast is not None:
        series = series_of(work, rows)
        if series.max(initial=0) + 1 >= FEWEST_SERIES:
            return series
        losses = [work.rules.row_loss(truth, one) for one in scores]
        return blocks_in_time(losses[0], [np.zeros(len(rows)), *losses[1:]])
    match _kind(work):
        case "block":
            return blocks_in_time(truth, scores)
        case "group":
            groups = label_text(work.rows.frame[rows], str(table.group))
            return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
        case "equal":
            distinct, which = np.unique(identities(work.rows.frame[rows], work.spec), return_inverse=True)
            return None if len(distinct) == len(rows) else which


def _kind(work: Work) -> ClusterKind:
    if work.spec.forecast is not None:
        return "block" if series_of(work, work.rows.test).max(initial=0) + 1 < FEWEST_SERIES else "group"
    if work.spec.recommend is not None:
        return "group"
    if work.split.by == "time":
        return "block"
    return "group" if work.split.by == "group" and work.spec.table.group is not None else "equal"


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What a package says of the test rows of a line."""

    model: Model
    frame: pl.DataFrame
    x: np.ndarray
    """The same rows, encoded."""
    rows: EvaluationRows

    @cached_property
    def held_out(self) -> HeldOut:
        """The rows as an explanation takes them."""
        encoder, rows = self.model.package.encoder, self.rows
        return HeldOut(
            x=self.x,
            inputs=inputs_of(encoder, to_columns(self.frame, encoder.columns)),
            truth=rows.truth,
            scores=rows.scores,
            weight=rows.weight,
            clusters=rows.clusters,
        )


def ask_test_rows(
    work: Work,
    package: str,
    amounts: Amounts | None = None,
    *,
    others: Iterable[np.ndarray] = (),
    more_items: Sequence[str] = (),
) -> Asked:
    """Ask a package about the test rows."""
    test, trained, rules = work.rows.test, work.trained, work.rules
    frame = work.rows.frame[test]
    names = trained.classes or (*trained.encoder.listed, *more_items)
    truth = rules.target(label_text(frame, work.spec.label.column), names)
    model = load(package, work.factory.artifacts.get, work.factory.features_of)
    x = encode_table(model.package.encoder, frame, readers=model.readers)
    scores = model.scores(x)
    return Asked(
        model=model,
        frame=frame,
        x=x,
        rows=EvaluationRows(
            split=work.known["split"],
            task=rules.name,
            classes=trained.classes,
            truth=truth,
            scores=scores,
            baseline_scores=_baseline_scores(work, x),
            weight=weights(frame, work.spec),
            clusters=_clusters(work, test, truth, [scores, *others]),
            cluster_kind=_kind(work),
            threshold=model.package.threshold,
            amounts=amounts,
            seed=work.factory.context.seed(work.known["split"]),
        ),
    )


def _baseline_scores(work: Work, x: np.ndarray) -> np.ndarray:
    """Return what is said without features; of a recommender, the popular items that the history does not rule out."""
    if work.spec.recommend is not None:
        return popular_lists(work, work.spec.recommend, x)
    if work.spec.forecast is not None:
        return naive_scores(work.trained.encoder, x)
    return work.rules.baseline_scores(work.trained.baseline, len(x))


def evaluate_step(work: Work) -> Evaluation:
    """Measure the package on the test rows: how it scores, how it decides, and what that is worth."""
    asked = ask_test_rows(work, work.decision.package, amounts_of_rows(work, work.rows.test))
    package, rows = asked.model.package, asked.rows
    measured = evaluate(
        rows,
        package=work.decision.package,
        headline=headline(work),
        band=asked.model.band,
        raw_scores=None if package.calibration.method == "none" else asked.model.raw_scores(asked.x),
    )
    if work.trained.encoder.listed:  # no columns explain it
        return msgspec.structs.replace(
            measured,
            explanation=work.metadata.keep(work.explanation),
            sums=qualities_of_sums(work, rows.truth, rows.scores),
        )
    told = with_missed(work.explanation, asked.model, asked.held_out, seed=rows.seed)
    plain = _plain(work, rows)
    return msgspec.structs.replace(
        measured,
        explanation=work.metadata.keep(told),
        plain=plain,
        misread=_misread(work, asked),
    )


def _misread(work: Work, asked: Asked) -> tuple[Misread, ...]:
    """Return the pictures that were misread, the most probable answers first."""
    rows = asked.rows
    if not asked.model.package.encoder.pictures or not work.rules.is_class:
        return ()
    answers = rows.said.decided.astype(np.int64)
    wrong = np.flatnonzero(answers != rows.truth)
    sure = rows.scores[wrong, answers[wrong]]
    return tuple(
        Misread(
            row=int(work.rows.test[one]),
            label=int(rows.truth[one]),
            answer=int(answers[one]),
            probability=figure(float(rows.scores[one, answers[one]])),
        )
        for one in wrong[np.argsort(-sure, kind="stable")][:MOST_MISREAD].tolist()
    )


def _plain(work: Work, rows: EvaluationRows) -> Plain | None:
    """Compare with the plain linear model; `None` where there is none."""
    linear, rules, amounts = work.explanation.linear, work.rules, rows.amounts
    if not linear:
        return None
    artifacts = work.factory.artifacts
    threshold = None
    if linear.scored:
        fitted = from_bytes(artifacts.get(linear.scored))
        frame = work.rows.frame[fitted.rows]
        threshold = choose_threshold(
            fitted.probability,
            rules.target(label_text(frame, work.spec.label.column), work.trained.classes).astype(np.int64),
            fitted.weight,
            amounts_of_rows(work, fitted.rows),
            of="training",
        ).at
    scores = np.frombuffer(artifacts.get(linear.scores), dtype="<f8").reshape(rows.scores.shape)
    names = measured_of(rules.name, headline(work), has_value=amounts is not None)
    return beside_linear(
        [metric(name, rules.name) for name in names],
        rows,
        say(rules.name, scores, threshold, amounts),
        learned_from=linear.rows,
    )


def _same(package: Package, champion: Package | None) -> Same | None:
    """Return in what a candidate is its rival by making: a threshold, amounts and feature views can be declared anew without training."""
    if champion is None or package.trained != champion.trained:
        return None
    if msgspec.structs.replace(package, views=champion.views) == champion:
        return "views"
    if package.maintenance != champion.maintenance:
        # Of times nothing is decided on a threshold: only what goes with the curve differs.
        package, champion = (
            msgspec.structs.replace(one, maintenance=None, golden="") for one in (package, champion)
        )
    bare, theirs = (msgspec.structs.replace(one, value=None, views=()) for one in (package, champion))
    return "decisions" if bare == theirs else "scores"


def gate_step(work: Work) -> Certificate:
    """Ask the gates about the candidate, on its test rows; comparisons leave out what its rival was fitted on."""
    rules, trained, package = work.rules, work.trained, work.decision.package
    rival = rival_of(work, package)
    compares = any(isinstance(gate, BeatsGate) and gate.beats == "champion" for gate in work.spec.gates)
    fair = fair_rows(work, rival.digest if compares else BASELINE)
    champion = work.metadata.get(rival.digest, Package) if rival.digest != BASELINE else None
    rival_scores = None if champion is None else scores_of(work, rival.digest, work.rows.test)
    more_items: tuple[str, ...] = ()
    if rival_scores is not None and champion is not None and champion.encoder.items:
        # Each model codes items by itself.
        more_items = tuple(sorted({*champion.encoder.items} - {*trained.encoder.items}))
        names = (*trained.encoder.listed, *more_items)
        rival_scores = recoded(rival_scores, champion.encoder.items, names)
        if work.spec.recommend is not None:
            rival_scores = by_rules(work, work.spec.recommend, rival_scores, names)
    asked = ask_test_rows(
        work,
        package,
        amounts_of_rows(work, work.rows.test),
        others=[] if rival_scores is None else [rival_scores],
        more_items=more_items,
    )
    rows = asked.rows
    certificate = certify(
        rows,
        Rival(
            digest=rival.digest,
            scores=rival_scores,
            threshold=None if champion is None else champion.threshold,
            seen=fair.seen,
            rows_digest=fair.digest,
            incomparable=rival.incomparable,
            same=_same(work.package, champion),
        ),
        package=package,
        gates=work.spec.gates,
        headline=compared_by(work),
        currency=work.spec.value.currency if work.spec.value else "",
        groups={
            gate.fairness: np.asarray(label_text(asked.frame, gate.fairness), dtype=object)
            for gate in work.spec.gates
            if isinstance(gate, FairnessGate)
        },
    )
    certificate = msgspec.structs.replace(
        certificate, evaluation=work.known["evaluate"], decision=work.known["decide"]
    )
    if rival_scores is None or champion is None or not rules.is_class:
        return certificate
    is_new = ~fair.seen
    return msgspec.structs.replace(
        certificate,
        redecided=redecided(
            rows.said.decided[is_new],
            rules.decide(rival_scores, champion.threshold)[is_new],
            classes=trained.classes,
            threshold=rows.threshold,
            threshold_before=champion.threshold,
        ),
    )


@dataclass(frozen=True)
class Fair:
    """Which test rows neither model, nor its calibration, threshold or selection, has seen."""

    seen: np.ndarray
    """One bool a test row of the candidate: whether the rival was fitted on it."""
    digest: str
    """Digest of the identities of the others."""


def fair_rows(work: Work, rival: str) -> Fair:
    """Tell the candidate's test rows apart by whether the rival was fitted on them.

    A row is known in both datasets by its key, where both have it, else by what both tables say of it. Where rows seldom
    repeat, a row under another key that says what the rival was fitted on, features and label, was seen too.
    """
    test = work.rows.test
    ours, is_seen = identities(work.rows.frame, work.spec)[test], np.zeros(len(test), dtype=bool)
    if rival != BASELINE:
        ours, is_seen = _in_common(work, rival)
    kept = ours[~is_seen]
    return Fair(seen=is_seen, digest=digest_of([format(one, "016x") for one in kept.tolist()]))


def _in_common(work: Work, rival: str) -> tuple[np.ndarray, np.ndarray]:
    """Return who the candidate's test rows are and which the rival was fitted on, in terms that both datasets have."""
    trained = work.metadata.get(work.metadata.get(rival, Package).trained, Trained)
    dataset = work.metadata.get(trained.dataset, Dataset)
    rows = read_rows(work.factory, dataset, work.metadata.get(trained.split, Split))
    types = {column.name: column.type for column in dataset.columns}
    common = [column.name for column in work.dataset.columns if types.get(column.name) == column.type]
    table = work.spec.table
    spec = work.spec
    if table.key not in common:
        spec = spec.model_copy(update={"table": table.model_copy(update={"key": None})})
    test, fitted = work.rows.frame[work.rows.test].select(common), rows.frame[rows.train].select(common)
    ours, theirs = identities(test, spec), identities(fitted, spec)
    says, said = contents_of(test, spec), contents_of(fitted, spec)
    is_seen = np.isin(ours, theirs)
    if repeat_seldom(said[~np.isin(theirs, identities(answered(work).select(common), spec))]):
        is_seen |= np.isin(says, said)
    return ours, is_seen


def scores_of(work: Work, package: str, rows: np.ndarray) -> np.ndarray:
    """Return what a package answers to rows of the candidate's dataset, in the form of the candidate's scores."""
    model = load(package, work.factory.artifacts.get, work.factory.features_of)
    scores = model.scores(encode_table(model.package.encoder, work.rows.frame, rows, readers=model.readers))
    return work.rules.scores_on(scores, model.package.classes, work.trained.classes)
