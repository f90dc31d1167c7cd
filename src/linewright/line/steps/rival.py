"""Which model a candidate is compared with."""

from dataclasses import dataclass

from linewright.line.record.registry import recorded
from linewright.line.run_context import Work
from linewright.model.facts import Certificate, Package
from linewright.model.gate_reasons import AnotherQuestion, Incomparable, LostColumns
from linewright.release.facts import Promoted

BASELINE = "baseline"
"""The rival of a line's first candidate: the prediction that uses no features."""


@dataclass(frozen=True)
class Rival:
    """What a candidate is compared with."""

    digest: str
    """Digest of a package, or ``"baseline"``."""
    incomparable: Incomparable | None = None
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
    promotion = recorded(
        (one for one in promotions if one.package == package), f"promotion of {package}", line
    )
    if promotion.certificate:
        certificate = work.metadata.get(promotion.certificate, Certificate)
        return Rival(certificate.rival, certificate.incomparable)
    return _comparable(work, digests[promotion.before]) if promotion.before else Rival(BASELINE)


def _comparable(work: Work, digest: str) -> Rival:
    theirs, ours = work.metadata.get(digest, Package), work.trained
    is_alike = (theirs.task, theirs.label) == (ours.task, work.spec.label.column)
    if not is_alike or not work.rules.are_comparable(ours.classes, theirs.classes):
        return Rival(BASELINE, AnotherQuestion())
    said, says = theirs.encoder.window, ours.encoder.window
    if said is not None and says is not None and said.steps != says.steps:
        return Rival(BASELINE, AnotherQuestion())
    gone = sorted(set(theirs.encoder.columns) - {column.name for column in work.dataset.columns})
    if gone:
        return Rival(BASELINE, LostColumns(columns=tuple(gone)))
    return Rival(digest)
