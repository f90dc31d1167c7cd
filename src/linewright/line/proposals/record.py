"""Proposals in the record: they are made, found, and looked at."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from linewright.engine.lock import ProcessLock
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.proposals.preconditions import LINE_FILE, AnyChange, preconditions_of
from linewright.line.proposals.rules import Rule, voters
from linewright.people.facts import (
    Applied,
    ChangeKind,
    ChangeProposed,
    ForgetChange,
    LineChange,
    PromotionChange,
    RestoreChange,
    Voted,
)
from linewright.people.proposals import DAYS, Standing, State, standing_of
from linewright.release.facts import Deployed, Promoted
from linewright.store.clock import later
from linewright.store.values import digest_of
from linewright.text.durations import duration_micros

LIVE = frozenset({"open", "approved"})
"""States of proposals that may still be applied."""
_DIGITS = 12
"""Of a digest, those that are a proposal's id."""
_KINDS: dict[ChangeKind, type[AnyChange]] = {
    "promotion": PromotionChange,
    "line-change": LineChange,
    "autonomy-change": LineChange,
    "forget": ForgetChange,
    "restore": RestoreChange,
}


class Look(NamedTuple):
    """A proposal, its exact change, and how it stands."""

    proposed: ChangeProposed
    change: AnyChange
    standing: Standing

    @property
    def is_live(self) -> bool:
        """Whether it may still be applied."""
        return self.standing.state in LIVE


class PromotionStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest proposal to promote a model stands."""

    proposal: str
    """Its id."""
    state: State
    member: str | None = None
    """Who declined or withdrew it; `None`, as the next two, where nobody did."""
    at: str | None = None
    comment: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it may still be applied."""
        return self.state in LIVE

    @property
    def is_turned_down(self) -> bool:
        """Whether a person ended it."""
        return self.state in {"declined", "withdrawn"}


@contextmanager
def one_at_a_time(factory: Factory) -> Generator[None]:
    """Let nobody else make, decide or apply a proposal meanwhile: the last approval is counted once, whoever sends it twice."""
    lock = ProcessLock(factory.state / "proposals.lock")
    lock.wait(lambda _: None)
    try:
        yield
    finally:
        lock.release()


def propose(
    factory: Factory,
    kind: ChangeKind,
    change: AnyChange,
    rule: Rule,
    *,
    because: str,
    authors: Iterable[str],
) -> Look:
    """Make a proposal, or return an equal one that may still be applied."""
    with one_at_a_time(factory):
        digest = factory.metadata.keep(change)
        under = preconditions_of(factory, change)
        if isinstance(change, PromotionChange) and change.certificate is not None:
            under["certificate"] = change.certificate  # a run proposes before it tells of the certificate
        for one in reversed(all_of(factory, change.line)):
            if (one.change, one.under, one.approvers, one.needed) == (digest, under, *rule):
                found = look(factory, one)
                if found.is_live:
                    return found
        proposed = ChangeProposed(
            at=factory.now(),
            by=factory.actor,
            because=because,
            line=change.line,
            id="",
            change_kind=kind,
            change=digest,
            under=under,
            authors=tuple(sorted({*authors} - {""})),
            expires=later(factory.now(), DAYS * duration_micros("1d")),
            approvers=rule.approvers,
            needed=rule.needed,
        )
        proposed = replace(proposed, id=digest_of(proposed).removeprefix("sha256:")[:_DIGITS])
        factory.metadata.record(proposed)
        return look(factory, proposed)


def all_of(factory: Factory, line: str | None = None) -> list[ChangeProposed]:
    """Return the proposals of a line, or of all lines, oldest first."""
    return factory.metadata.events(ChangeProposed, line=line)


def find_proposal(factory: Factory, proposal: str, *, permission: str) -> ChangeProposed:
    """Return a proposal by its id."""
    found = next((one for one in all_of(factory) if one.id == proposal), None)
    if found is None or not factory.may(permission, found.line):
        raise NotFound(
            "no proposal has this id", found=proposal[:80], hint="`linewright proposals` lists them"
        )
    return found


def look(factory: Factory, proposed: ChangeProposed) -> Look:
    """Return a proposal, its change, and how it stands now."""
    change = factory.metadata.get(proposed.change, _KINDS[proposed.change_kind])
    under, line = preconditions_of(factory, change), proposed.line
    standing = standing_of(
        proposed,
        factory.metadata.events(Voted, line=line),
        now=factory.now(),
        since=voters(factory, proposed),
        under=under,
        is_done=_is_done(factory, proposed),
    )
    if (
        isinstance(change, LineChange)
        and standing.state == "void"
        and len(standing.approved) >= proposed.needed
        and under[LINE_FILE] == change.after
    ):
        # Who wrote the file was killed before that could be recorded.
        standing = replace(standing, state="done", moved=())
    return Look(proposed, change, standing)


def promotion_of(factory: Factory, line: str, package: str) -> Look | None:
    """Return the newest proposal to promote a model that may still be applied; `None` if there is none."""
    looks = (look(factory, one) for one in reversed(all_of(factory, line)) if one.change_kind == "promotion")
    return next(
        (
            one
            for one in looks
            if one.is_live and isinstance(one.change, PromotionChange) and one.change.package == package
        ),
        None,
    )


def promotions_of(factory: Factory, line: str) -> Mapping[str, PromotionStanding]:
    """Return how the newest proposal to promote each model of a line stands, by the digest of its package."""
    proposed: dict[str, ChangeProposed] = {}
    for one in all_of(factory, line):
        if one.change_kind == "promotion":
            proposed[factory.metadata.get(one.change, PromotionChange).package] = one
    return {package: _standing(look(factory, one)) for package, one in proposed.items()}


def _standing(found: Look) -> PromotionStanding:
    standing = found.standing
    ended = {"declined": standing.declined, "withdrawn": standing.withdrawn}.get(standing.state)
    return PromotionStanding(
        proposal=found.proposed.id,
        state=standing.state,
        member=ended.member if ended else None,
        at=ended.at if ended else None,
        comment=ended.because if ended else None,
    )


def live_of(factory: Factory, line: str) -> tuple[Look, ...]:
    """Return the proposals of a line that may still be applied, oldest first."""
    now = factory.now()
    looks = (look(factory, one) for one in all_of(factory, line) if one.expires > now)
    return tuple(one for one in looks if one.is_live)


def _is_done(factory: Factory, proposed: ChangeProposed) -> bool:
    kinds: tuple[type[Applied | Promoted | Deployed], ...] = (Applied,)
    if proposed.change_kind == "promotion":
        kinds = (Promoted, Deployed)
    return any(
        one.proposal == proposed.id
        for kind in kinds
        for one in factory.metadata.events(kind, line=proposed.line)
    )
