"""The last step of a run: the candidate gets its number, and the certificate decides about promotion."""

import polars as pl

from linewright.data.spec import ColumnRule
from linewright.errors import Conflict
from linewright.line.proposals.promotion import propose_promotion
from linewright.line.proposals.rules import has_members, promotion_rule
from linewright.line.record.registry import declared_before
from linewright.line.release.candidate_status import (
    is_champion,
    trial_with,
    waits_for_approval,
    waits_for_ring,
    withheld,
)
from linewright.line.release.endpoint import follow_file, follow_series, follow_views
from linewright.line.release.rollout import begin_trial, is_tried_first
from linewright.line.run_context import Work
from linewright.line.steps.environment import computed_in
from linewright.line.steps.table import STEPS
from linewright.model.facts import Limit, Package, Registered
from linewright.model.gates.text import certificate_in_words
from linewright.people.facts import PromotionChange
from linewright.release.facts import Refused
from linewright.release.promotion import Candidate, project, promote, refuse

MOST_SEEN = 50
"""Categories of a column that the model does not read, beyond which none is remembered."""


def release(work: Work, run: str) -> bool:
    """Give the candidate its number, then promote it, begin to try it or record why not; twice is once."""
    context, line, certificate = work.factory.context, work.spec.line, work.certificate
    now = context.now()
    model = work.metadata.register(
        line,
        certificate.package,
        at=now,
        event=lambda number: Registered(
            at=now,
            by=context.actor,
            because=_because(work, certificate.package),
            line=line,
            model=number,
            package=certificate.package,
            run=run,
            ingested=work.known["ingest"],
            parity=work.known["package"],
            decision=work.known["decide"],
            limits=_limits(work),
            computed_in=_computed_in(work),
        ),
    )
    follow_file(work.factory, work.spec)
    follow_series(work.factory, work.spec, work.ingested)
    follow_views(work.factory, work.metadata.get(certificate.package, Package).views)
    if is_champion(work, certificate.package):
        project(
            work.metadata, work.factory.serving, line
        )  # a kill may have come between the move and the file
        return True
    passes = certificate.verdict == "promote"
    proposal = _propose(work, model) if passes and not _is_told(work, run) else None
    hold = withheld(work, certificate, proposal=proposal) if passes else None
    ring = waits_for_ring(work, certificate) if hold else None
    if passes and hold is None:
        try:
            # A trial would compare a model with itself.
            if is_tried_first(work.factory, work.spec) and certificate.reason.kind != "only-views":
                if trial_with(work, certificate.package) is None:
                    begin_trial(work.factory, work.spec, certificate, work.known["gate"], run)
                return False
            promote(
                context,
                work.factory.serving,
                Candidate(
                    line=line, model=model, package=certificate.package, certificate=work.known["gate"]
                ),
                because=certificate_in_words(certificate),
                run=run,
                declared=declared_before(work.metadata, line, certificate.package),
            )
        except Conflict:
            # Someone moved the pointer between the gate and here: the certificate compared with a champion that
            # no longer serves. The next run compares with the one that does.
            return False
        return True
    if not _is_told(work, run):
        refuse(
            context,
            work.factory.serving,
            Refused(
                at=context.now(),
                by=context.actor,
                because=hold or certificate_in_words(certificate),
                line=line,
                model=model,
                package=certificate.package,
                verdict="hold" if hold else certificate.verdict,
                certificate=work.known["gate"],
                run=run,
                ring=ring.ring if ring is not None else None,
            ),
        )
    project(work.metadata, work.factory.serving, line)
    return False


def _is_told(work: Work, run: str) -> bool:
    return any(one.run == run for one in work.metadata.events(Refused, line=work.spec.line))


def _propose(work: Work, model: int) -> str | None:
    """Propose the promotion of a candidate that waits for approval, where there are members who could give it; return the proposal's id."""
    factory, certificate = work.factory, work.certificate
    rule = promotion_rule(factory, work.spec.line)
    if rule is None or not waits_for_approval(work, certificate) or not has_members(factory):
        return None
    change = PromotionChange(
        line=work.spec.line, model=model, package=certificate.package, certificate=work.known["gate"]
    )
    made = propose_promotion(factory, change, rule, because=certificate_in_words(certificate))
    return made.proposed.id


def _because(work: Work, package: str) -> str:
    """Say what a run did that brought a new model: it trained one, adopted one, or decided anew with one that there was."""
    mine = work.metadata.get(package, Package)
    others = (
        work.metadata.get(one.digest, Package)
        for one in work.metadata.versions(work.spec.line)
        if one.digest != package
    )
    if any(one.trained == mine.trained for one in others):
        return "a run chose another threshold for a model that there was"
    return "a run adopted it" if work.trained.adopted else "a run trained it"


def _computed_in(work: Work) -> dict[str, str]:
    """Return the digest of the environment that each step's result was first computed in, as far as it was noted."""
    noted = {
        one.name: computed_in(work.metadata, work.known[one.name]) for one in STEPS if one.notes_environment
    }
    return {name: digest for name, digest in noted.items() if digest is not None}


def _limits(work: Work) -> tuple[Limit, ...]:
    """Return what the contract allows in numbers and categories, what training rows held, and which column is the time."""
    trained, limits = work.trained, list[Limit]()
    learned = () if trained.adopted else [column.name for column in work.features]
    frame = work.rows.frame[work.rows.train].select(learned)
    for column in work.dataset.columns:
        name, rule = column.name, work.spec.contract.columns.get(column.name) or ColumnRule(type="text")
        is_number = rule.type in {"integer", "number"}
        low, high = (
            float(end) if is_number and isinstance(end, (int, float)) else None
            for end in (rule.min, rule.max)
        )
        limit = Limit(
            column=name,
            min=low,
            max=high,
            allowed=rule.allowed,
            is_time=name == work.spec.table.time,
            is_complete=name in trained.encoder.columns and name in learned and not frame[name].null_count(),
            seen=_seen(frame[name]) if name in learned and name not in trained.encoder.columns else None,
        )
        if limit != Limit(column=name):
            limits.append(limit)
    return tuple(limits)


def _seen(values: pl.Series) -> tuple[str, ...] | None:
    """Return the categories of a column; `None` where it has none, or more than can be named."""
    found = values.drop_nulls().unique().sort()
    return tuple(found.to_list()) if found.dtype == pl.String and 0 < len(found) <= MOST_SEEN else None
