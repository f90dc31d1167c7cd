"""The next ring of a release: a candidate that waited for the rings before its own begins, once they have served their time."""

from msgspec import structs

from linewright.errors import Conflict
from linewright.line.factory import Factory
from linewright.line.proposals.promotion import propose_promotion
from linewright.line.proposals.rules import Rule, has_members, promotion_rule
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.record.registry import challenger_of, declared_before
from linewright.line.release.candidate_status import WAITS
from linewright.line.release.rings import RingWait, makes_the_same, ring_wait, spec_of_run
from linewright.line.release.rollout import begin_trial, is_tried_first
from linewright.line.spec import LineSpec
from linewright.model.facts import Certificate
from linewright.people.facts import PromotionChange
from linewright.release.facts import Deployed, Promoted, Refused
from linewright.release.promotion import Candidate, canary_of, promote, refuse


def waiting_in_ring(factory: Factory, line: str) -> Refused | None:
    """Return how the challenger of a line came to wait for the rings before its own; `None` if it does not."""
    held = newest_of(factory, line, Refused)
    if held is None or held.ring is None or challenger_of(factory, line) != held.model:
        return None
    return None if canary_of(factory.metadata, line) else held


def tend_ring(factory: Factory, spec: LineSpec) -> Deployed | Promoted | Refused | RingWait | None:
    """Let a candidate that waits for its ring begin if it is time, and return what was done, or what it waits for; `None` if none does.

    It may be called at any time, again and again. If the line file wants approval, the promotion is proposed.
    """
    held = waiting_in_ring(factory, spec.line)
    if held is None:
        return None
    asked = spec_of_run(factory, spec.line, held.run)
    if not makes_the_same(asked, spec):
        return None  # the next run makes what the file asks for by now
    if (wait := ring_wait(factory, asked, held.package)) is not None:
        return wait
    rule = promotion_rule(factory, spec.line)
    try:
        if rule is None:
            return _begin(factory, spec, held)
        return _ask(factory, spec, held, rule)
    except Conflict:
        pass  # someone moved the line meanwhile; the next look sees that
    return None


def _ask(factory: Factory, spec: LineSpec, held: Refused, rule: Rule) -> Refused:
    """Have the promotion approved: from now on that is what the candidate waits for."""
    command = f"promote {spec.line}@{held.model}"
    if has_members(factory):
        change = PromotionChange(
            line=spec.line, model=held.model, package=held.package, certificate=held.certificate
        )
        command = f"approve {propose_promotion(factory, change, rule, because=_BECAUSE).proposed.id}"
    because = WAITS.format(roles=", ".join(rule.approvers), command=command)
    now = structs.replace(held, at=factory.now(), by=factory.actor, because=because, ring=None)
    refuse(factory.context, factory.serving, now)
    return now


_BECAUSE = "it passed its gates, and the rings before have served their time"


def _begin(factory: Factory, spec: LineSpec, held: Refused) -> Deployed | Promoted:
    context = factory.context
    if is_tried_first(factory, spec):
        certificate = context.metadata.get(held.certificate, Certificate)
        return begin_trial(factory, spec, certificate, held.certificate, held.run, because=_BECAUSE)
    return promote(
        context,
        factory.serving,
        Candidate(line=spec.line, model=held.model, package=held.package, certificate=held.certificate),
        because=_BECAUSE,
        run=held.run,
        declared=declared_before(context.metadata, spec.line, held.package),
    )
