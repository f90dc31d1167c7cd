"""The last step of a run: the candidate gets its number, and the certificate decides about promotion."""

from typing import Any

import polars as pl

from linewright.data.column_roles import feature_columns
from linewright.data.spec import ColumnRule
from linewright.errors import Conflict, Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Finished, ReleaseDue
from linewright.line.record.registry import declared_before, find_model
from linewright.line.release.endpoint import follow_file
from linewright.line.release.rollout import begin_trial, is_tried_first
from linewright.line.run_context import Work
from linewright.line.steps.environment import computed_in
from linewright.line.steps.rival import rival_of
from linewright.line.steps.table import STATIONS
from linewright.model.facts import Certificate, Limit, Package, Registered
from linewright.model.gates.text import certificate_in_words, incomparable_in_words
from linewright.release.facts import TRIED, Deployed, Promoted, Refused, RolledBack, Withdrawn
from linewright.release.promotion import Candidate, canary_of, project, promote, refuse, require_bytes
from linewright.store.clock import said

MOST_SEEN = 50
"""Categories of a column that the model does not read, beyond which none is remembered."""
WAITS = "the line file wants approval by {roles}: `linewright promote {model}` serves it"


def version_of(work: Work, package: str) -> int | None:
    """Return the number of a package in its line; `None` where it has none yet."""
    found = [one.version for one in work.metadata.versions(work.spec.line) if one.digest == package]
    return found[0] if found else None


def withheld(work: Work, certificate: Certificate) -> str | None:
    """Say why a candidate with a passing certificate is not promoted by itself; `None` where it is."""
    if taken_back := _served_before(work, certificate.package):
        return taken_back
    if work.spec.release.approve:
        version = version_of(work, certificate.package)
        roles = ", ".join(work.spec.release.approve)
        return WAITS.format(roles=roles, model=f"{work.spec.line}@{version}")
    incomparable = rival_of(work, certificate.package).incomparable
    if incomparable:
        model = f"{work.spec.line}@{version_of(work, certificate.package)}"
        return (
            f"{incomparable_in_words(incomparable)}; `linewright promote {model}` lets it serve all the same"
        )
    return _taken_back(work)


def waits_for_approval(work: Work, certificate: Certificate) -> bool:
    """Whether a person's approval is all that a candidate with a passing certificate lacks."""
    return bool(work.spec.release.approve) and not _served_before(work, certificate.package)


def _served_before(work: Work, package: str) -> str | None:
    """Say that a model has served on its certificate and does no more: nobody's approval is missing; `None` where that is not so."""
    if not _used(work) or _is_champion(work, package):
        return None
    line, version = work.spec.line, version_of(work, package)
    moves = work.metadata.events(RolledBack, line=line, newest_first=True)
    back = next((one for one in moves if one.before == version), None)
    how = (
        "another model has taken its place since"
        if back is None
        else f"was taken back on {said(back.at)}: {back.because.rstrip('.')}"
    )
    again = f"; `linewright promote {line}@{version}` lets it serve again"
    return f"this certificate has promoted it once, and {'' if back is None else 'it '}{how}{again}"


def _taken_back(work: Work) -> str | None:
    withdrawn = work.metadata.events(Withdrawn, line=work.spec.line, newest_first=True)
    last = next((one for one in withdrawn if one.certificate == work.known["gate"]), None)
    return last and f"it was taken back {TRIED[last.rollout]}: {last.because}"


def trial_with(work: Work, package: str) -> Deployed | None:
    """Return the newest step of the trial of a package; `None` where it is not tried now."""
    canary = canary_of(work.metadata, work.spec.line)
    return canary if canary is not None and canary.package == package else None


def release_due(work: Work) -> list[ReleaseDue]:
    """Return what the release step would do now; empty if nothing."""
    certificate = work.certificate
    due: list[ReleaseDue] = []
    if version_of(work, certificate.package) is None:
        due.append("no-number")
    if (
        certificate.verdict == "promote"
        and not _is_champion(work, certificate.package)
        and trial_with(work, certificate.package) is None
        and withheld(work, certificate) is None
    ):
        due.append("passed")
    told = _told(work)
    if told is None:
        due.append("untold")
    elif told != work.known["gate"]:
        due.append("told-otherwise")
    return due


def _told(work: Work) -> str | None:
    """Return the certificate that the latest run told of."""
    finished = work.metadata.events(Finished, line=work.spec.line, newest_first=True)
    return next((one.certificate for one in finished if one.certificate), None)


def require_champion(factory: Factory, line: str) -> None:
    """Require that all bytes of the model that serves are what they were.

    Raises
    ------
    Corrupt, NotFound
        If bytes have changed or are missing.
    """
    if factory.metadata.pointer(line).champion is None:
        return
    champion = find_model(factory, line)
    try:
        require_bytes(factory.context, champion.digest)
    except (Corrupt, NotFound) as error:
        named: dict[str, Any] = {
            "what": f"{line}@{champion.version}, which serves, cannot be loaded anew: {error.what}",
            "hint": f"restore the file from a backup, or let another model serve: linewright rollback {line}",
        }
        raise type(error)(**(error.to_parts() | named)) from error


def release(work: Work, run: str) -> bool:
    """Give the candidate its number, then promote it, begin to try it or record why not; twice is once.

    Returns
    -------
    bool
        Whether the candidate is the champion now.
    """
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
    if _is_champion(work, certificate.package):
        project(
            work.metadata, work.factory.serving, line
        )  # a kill may have come between the move and the file
        return True
    passes = certificate.verdict == "promote"
    hold = withheld(work, certificate) if passes else None
    if passes and hold is None:
        try:
            if is_tried_first(work.factory, work.spec):
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
    if not any(one.run == run for one in work.metadata.events(Refused, line=line)):
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
            ),
        )
    project(work.metadata, work.factory.serving, line)
    return False


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
    """Return the digest of the environment that each station's result was first computed in, as far as it was noted."""
    noted = {
        one.name: computed_in(work.metadata, work.known[one.name])
        for one in STATIONS
        if one.notes_environment
    }
    return {name: digest for name, digest in noted.items() if digest is not None}


def _limits(work: Work) -> tuple[Limit, ...]:
    """Return what the contract allows in numbers and categories, what training rows held, and which column is the time."""
    trained, limits = work.trained, list[Limit]()
    learned = () if trained.adopted else [column.name for column in feature_columns(work.spec, work.dataset)]
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


def _used(work: Work) -> bool:
    certificate = work.known["gate"]
    return any(one.certificate == certificate for one in work.metadata.events(Promoted, line=work.spec.line))


def _is_champion(work: Work, package: str) -> bool:
    champion = work.metadata.pointer(work.spec.line).champion
    return champion is not None and champion == version_of(work, package)
