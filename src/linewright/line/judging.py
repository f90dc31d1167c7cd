"""The stations ``evaluate`` and ``gate``: how good a package is, and whether it may serve."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from linewright.data.copies import contents_of, repeat_seldom
from linewright.data.facts import Dataset, Split
from linewright.data.split import identities
from linewright.features.learn import to_columns
from linewright.features.table import encode_table
from linewright.line.explaining import explain_to_people
from linewright.line.gathering import answered
from linewright.line.rival import BASELINE, rival_of
from linewright.line.work import Work, headline, label_text, read_rows, weights
from linewright.model.blocks import blocks_in_time
from linewright.model.evaluate import evaluate
from linewright.model.facts import Certificate, ClusterKind, Evaluation, Package, Plain, Trained
from linewright.model.gates import certify
from linewright.model.metrics import metric
from linewright.model.package import load
from linewright.model.plain import beside_linear, is_plain, rows_to_learn
from linewright.model.redecided import redecided
from linewright.model.spec import BeatsGate, FairnessGate
from linewright.store.values import digest_of


def _clusters(
    work: Work, rows: np.ndarray, truth: np.ndarray, scores: Iterable[np.ndarray]
) -> np.ndarray | None:
    """Return which rows are drawn together: those of a group, blocks of a dataset that is in order of time, or equal rows.

    Equal rows were parted as one, so that they are one witness: drawn singly, 4,278 rows of which 2,217 are different would count as 4,278.
    """
    table = work.spec.table
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
    if work.split.by == "time":
        return "block"
    return "group" if work.split.by == "group" and work.spec.table.group is not None else "equal"


def _seed(work: Work) -> int:
    """Return the seed of what the rows alone decide, so that models with equal scores get equal intervals."""
    return work.factory.context.seed(work.known["split"])


def evaluate_station(work: Work) -> Evaluation:
    """Measure the package on the test rows, and explain it to people."""
    rows, trained, rules = work.rows.test, work.trained, work.rules
    frame = work.rows.frame[rows]
    truth = rules.target(label_text(frame, work.spec.label.column), trained.classes)
    model = load(work.parity.package, work.factory.artifacts.get)
    columns = to_columns(frame, model.package.encoder.columns)
    x = encode_table(model.package.encoder, frame)
    scores = model.scores(x)
    weight, clusters = weights(frame, work.spec), _clusters(work, rows, truth, [scores])
    measured = evaluate(
        package=work.parity.package,
        split=work.known["split"],
        task=rules.name,
        classes=trained.classes,
        headline=headline(work),
        truth=truth,
        scores=scores,
        baseline_scores=rules.baseline_scores(trained.baseline, len(rows)),
        weight=weight,
        clusters=clusters,
        cluster_kind=_kind(work),
        threshold=trained.threshold,
        band=model.band,
        raw_scores=None if model.package.calibration.method == "none" else model.raw_scores(x),
        seed=_seed(work),
    )
    told = explain_to_people(
        work,
        model,
        x=x,
        columns=columns,
        truth=truth,
        scores=scores,
        weight=weight,
        clusters=clusters,
        seed=_seed(work),
    )
    plain = _plain(work, x=x, truth=truth, scores=scores, weight=weight, clusters=clusters)
    return msgspec.structs.replace(
        measured,
        explanation=work.metadata.keep(told),
        plain=msgspec.UNSET if plain is None else plain,
    )


def _plain(
    work: Work,
    *,
    x: np.ndarray,
    truth: np.ndarray,
    scores: np.ndarray,
    weight: np.ndarray,
    clusters: np.ndarray | None,
) -> Plain | None:
    """Compare with a plain linear model; `None` where the model is one, or was made elsewhere and reads columns in its own way."""
    trained, rules, spec = work.trained, work.rules, work.spec
    if trained.adopted or is_plain(trained):
        return None
    rows = work.rows.train[rows_to_learn(len(work.rows.train), x.shape[1], seed=_seed(work))]
    frame = work.rows.frame[rows]
    return beside_linear(
        x=encode_table(trained.encoder, frame),
        target=rules.target(label_text(frame, spec.label.column), trained.classes),
        weight=weights(frame, spec),
        categorical=trained.encoder.categorical,
        rules=[metric(name, rules.name) for name in dict.fromkeys((headline(work), *rules.metrics))],
        task=rules.name,
        classes=len(trained.classes),
        value=spec.value,
        test_x=x,
        truth=truth,
        test_weight=weight,
        clusters=clusters,
        scores=scores,
        threshold=trained.threshold,
        seed=_seed(work),
    )


def gate_station(work: Work) -> Certificate:
    """Ask the gates about the candidate, on its test rows; comparisons leave out what its rival was fitted on."""
    rules, trained, package = work.rules, work.trained, work.parity.package
    rival = rival_of(work, package)
    compares = any(isinstance(gate, BeatsGate) and gate.beats == "champion" for gate in work.spec.gates)
    fair = fair_rows(work, rival.digest if compares else BASELINE)
    test = work.rows.test
    frame = work.rows.frame[test]
    truth = rules.target(label_text(frame, work.spec.label.column), trained.classes)
    scores = scores_of(work, package, test)
    rival_scores = scores_of(work, rival.digest, test) if rival.digest != BASELINE else None
    certificate = certify(
        package=package,
        rival=rival.digest,
        gates=work.spec.gates,
        headline=headline(work),
        task=rules.name,
        classes=trained.classes,
        truth=truth,
        scores=scores,
        rival_scores=rival_scores,
        rival_threshold=None if rival_scores is None else work.metadata.get(rival.digest, Package).threshold,
        baseline_scores=rules.baseline_scores(trained.baseline, len(test)),
        weight=weights(frame, work.spec),
        clusters=_clusters(work, test, truth, [scores] if rival_scores is None else [scores, rival_scores]),
        cluster_kind=_kind(work),
        threshold=trained.threshold,
        groups={
            gate.fairness: np.asarray(label_text(frame, gate.fairness), dtype=object)
            for gate in work.spec.gates
            if isinstance(gate, FairnessGate)
        },
        split=work.known["split"],
        rows_digest=fair.digest,
        seen=fair.seen,
        seed=_seed(work),
        incomparable=rival.incomparable or "",
    )
    certificate = msgspec.structs.replace(certificate, evaluation=work.known["evaluate"])
    if rival_scores is None or not trained.classes:
        return certificate
    champion = work.metadata.get(rival.digest, Package)
    is_new = ~fair.seen
    return msgspec.structs.replace(
        certificate,
        redecided=redecided(
            rules.decide(scores, trained.threshold)[is_new],
            rules.decide(rival_scores, champion.threshold)[is_new],
            classes=trained.classes,
            threshold=trained.threshold,
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
    """Return what a package answers to rows of the candidate's dataset."""
    model = load(package, work.factory.artifacts.get)
    return model.scores(encode_table(model.package.encoder, work.rows.frame, rows))
