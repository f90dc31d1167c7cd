"""Which model a candidate is compared with, and on which rows neither has been fitted."""

from dataclasses import dataclass

import numpy as np

from linewright.data.facts import Dataset, Split
from linewright.data.split import identities
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.work import Rows, Work, read_rows
from linewright.model.facts import Certificate, Package, Trained
from linewright.model.package import load
from linewright.release.facts import Promoted
from linewright.store.values import digest_of

BASELINE = "baseline"
"""The rival of a line's first candidate: the prediction that uses no features."""


@dataclass(frozen=True)
class Rival:
    """What a candidate is compared with."""

    digest: str
    """Digest of a package, or ``"baseline"``."""
    incomparable: str | None = None
    """Why the champion cannot be compared with; the baseline stands in, and a person has to promote."""


def rival_of(work: Work, package: str) -> Rival:
    """Return the rival of a candidate: the champion, or the rival of its own promotion where it is the champion."""
    line = work.spec.line
    digests = {one.version: one.digest for one in work.metadata.versions(line)}
    champion = work.metadata.pointer(line).champion
    if champion is None:
        return Rival(BASELINE)
    if digests[champion] != package:
        return _comparable(work, digests[champion])
    promotions = work.metadata.events(Promoted, line=line, newest_first=True)
    promotion = next(one for one in promotions if one.package == package)
    if promotion.certificate:
        return Rival(work.metadata.get(promotion.certificate, Certificate).rival)
    return Rival(digests[promotion.before]) if promotion.before else Rival(BASELINE)


def _comparable(work: Work, digest: str) -> Rival:
    theirs, ours = work.metadata.get(digest, Package), work.trained
    if (theirs.task, theirs.label, theirs.classes) != (ours.task, work.spec.label.column, ours.classes):
        return Rival(BASELINE, "the champion answers another question (its task, label or classes differ)")
    gone = sorted(set(theirs.encoder.columns) - {column.name for column in work.dataset.columns})
    if gone:
        return Rival(BASELINE, f"the champion needs columns that the table no longer has: {', '.join(gone)}")
    return Rival(digest)


@dataclass(frozen=True)
class Fair:
    """Test rows that neither model, nor its calibration, threshold or selection, has seen."""

    rows: np.ndarray
    """Row numbers in the candidate's dataset."""
    excluded: int
    digest: str
    """Digest of the rows' identities."""


def fair_rows(work: Work, rival: str) -> Fair:
    """Return the candidate's test rows without those that the rival was fitted on."""
    test = work.rows.test
    ours = identities(work.rows.frame, work.spec)[test]
    seen = np.zeros(len(test), dtype=bool)
    if rival != BASELINE:
        seen = np.isin(ours, _fitted_on(work, rival))
    kept = ours[~seen]
    return Fair(
        rows=test[~seen],
        excluded=int(seen.sum()),
        digest=digest_of([format(one, "016x") for one in kept.tolist()]),
    )


def _fitted_on(work: Work, rival: str) -> np.ndarray:
    trained = work.metadata.get(work.metadata.get(rival, Package).trained, Trained)
    dataset = work.metadata.get(trained.dataset, Dataset)
    rows: Rows = read_rows(work.factory, dataset, work.metadata.get(trained.split, Split))
    return identities(rows.frame, work.spec)[rows.train]


def scores_of(work: Work, package: str, rows: np.ndarray) -> np.ndarray:
    """Return what a package answers to rows of the candidate's dataset."""
    model = load(package, work.factory.artifacts.get)
    encoder = model.package.encoder
    return model.scores(encode(encoder, to_columns(work.rows.frame[rows], encoder.columns)))
