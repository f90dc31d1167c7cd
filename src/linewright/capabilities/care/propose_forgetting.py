"""Proposals that what a line has stored about a person goes."""

from linewright.capabilities.care.forget import forget, subject_hash
from linewright.line.erasure import ErasureReport
from linewright.line.factory import Factory
from linewright.line.proposals.pending_subject import keep_subject, take_subject
from linewright.line.proposals.record import Look, propose
from linewright.line.proposals.rules import Rule
from linewright.people.facts import ChangeProposed, ForgetChange


def propose_forgetting(factory: Factory, line: str, subject: str, rule: Rule) -> Look:
    """Propose that a person is forgotten. The record has a keyed hash of who it is; the value is kept beside it until it is decided."""
    found = forget(factory, line, subject, dry_run=True)
    change = ForgetChange(
        line=line,
        column=factory.line(line).table.subject or "",
        subject=subject_hash(factory, line, subject),
        predictions=found.predictions,
        rows=found.rows,
        quarantined=found.quarantined,
    )
    proposed = propose(
        factory, "forget", change, rule, because="asked for", authors=[factory.identity.member]
    )
    keep_subject(factory, proposed.proposed.id, subject)
    return proposed


def apply_forgetting(factory: Factory, proposed: ChangeProposed, change: ForgetChange) -> ErasureReport:
    """Forget the person of an approved proposal."""
    subject = take_subject(factory, proposed.id)  # else it would be found in the state afterwards
    try:
        return forget(factory, change.line, subject, dry_run=False)
    except BaseException:
        keep_subject(factory, proposed.id, subject)
        raise
