"""A line as an endpoint serves it at a moment: frozen values, one in place of another."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from linewright.release.facts import Arm, Serving
from linewright.serve.models.memory import cost_of
from linewright.serve.rows.lookup.known_series import KnownSeries
from linewright.serve.rows.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A candidate that answers a share of the rows."""

    arm: Arm
    scorer: Scorer
    salt: str
    unit: str | None
    """Column that decides whose rows are its; `None` is the key."""


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """A model that gets copies of rows which another one has answered. It is not loaded in this process."""

    arm: Arm
    unit: str | None
    """Column that says which rows are alike; `None` is the key."""
    known: tuple[str, ...] = ()
    """Further columns that a row may have."""
    trial: str = ""
    """The salt of the trial, by which it is told from others of the same models."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """One line as it is served at a moment. A request takes it once and stays with it."""

    line: str
    halt: bool = False
    """Whether a person halted it: the pointer says so, or the file is gone that lets it answer."""
    arm: Arm | None = None
    """The model that answers; `None` where none could be loaded yet."""
    generation: int = 0
    """Generation of the pointer that brought it."""
    scorer: Scorer | None = None
    """`None` where the line rests, or has no model."""
    canary: Canary | None = None
    shadow: Shadow | None = None
    resting: tuple[tuple[str, Arm], ...] = ()
    """By role what answers, where its models were let go: the champion, and whatever is beside it. They go and come together."""
    wanted: Serving | None = None
    """The newest pointer; `None` where the file could not be read yet."""
    series: KnownSeries | None = None
    """The newest values of its series; `None` until its pointer was read."""
    refused: str | None = None
    """Why the wanted model, or the pointer, was not taken over."""

    @property
    def answers_unlogged(self) -> bool:
        """Whether it answers also while its log cannot be written."""
        return self.wanted is not None and self.wanted.when_log_fails == "serve-unlogged"

    @property
    def explore(self) -> float:
        """Share of its lists that is drawn."""
        return 0.0 if self.wanted is None else self.wanted.explore

    @property
    def model(self) -> str | None:
        """The model that answers, as LINE@VERSION."""
        return f"{self.line}@{self.arm.model}" if self.arm else None

    @property
    def arms(self) -> tuple[tuple[str, Arm], ...]:
        """By role what answers, whether its models are in memory or not; the champion comes first."""
        if self.resting or self.arm is None:
            return self.resting
        beside = (("canary", self.canary.arm),) if self.canary is not None else ()
        return (("champion", self.arm), *beside)

    @property
    def front(self) -> Arm | None:
        """The model that a request meets: the champion, but for a candidate that answers all rows."""
        canary = self._canary_arm
        return self.arm if canary is None or canary.share < 1 else canary

    @property
    def bytes_loaded(self) -> int:
        """What its models take, estimated."""
        loaded = (self.scorer, self.canary.scorer if self.canary is not None else None)
        values = self.series.bytes_read if self.series is not None and self.scorer is not None else 0
        return sum(cost_of(scorer.form.package) for scorer in loaded if scorer is not None) + values

    @property
    def is_settled(self) -> bool:
        """Whether all that the pointer wants is there."""
        wanted = self.wanted
        if wanted is None or self.arm != wanted.champion:
            return wanted is None
        return wanted.canary is None or self._canary_arm is not None

    def rested(self) -> "Live":
        """Return the line without its models, which answer again once they are loaded."""
        series = None if self.series is None else self.series.unread()
        return replace(self, scorer=None, canary=None, resting=self.arms, series=series)

    @property
    def tried(self) -> Arm | None:
        """The candidate that is tried beside the champion, loaded or not."""
        return self._canary_arm or (self.shadow.arm if self.shadow is not None else None)

    @property
    def alone(self) -> Scorer | None:
        """The model of the champion, where it is in memory and no candidate is tried."""
        return self.scorer if self.canary is None and self.shadow is None else None

    @property
    def _canary_arm(self) -> Arm | None:
        """The arm of the canary, loaded or not."""
        if self.canary is not None:
            return self.canary.arm
        return dict(self.resting).get("canary") if self.resting else None

    @property
    def is_trying(self) -> bool:
        """Whether the pointer wants a candidate to be tried."""
        return self.wanted is not None and (self.wanted.canary or self.wanted.shadow) is not None


def kept(canary: Canary | None, wanted: Serving) -> Canary | None:
    """Return the canary as a pointer wants it, where it is loaded already."""
    arm = _kept_arm(canary.arm, wanted) if canary is not None else None
    if canary is None or arm is None or wanted.canary is None or arm is not wanted.canary:
        return canary if arm is not None else None
    scorer = canary.scorer.knowing(wanted.known)
    return replace(canary, arm=arm, scorer=scorer, salt=wanted.salt, unit=wanted.unit)


def _kept_arm(arm: Arm, wanted: Serving) -> Arm | None:
    """Return the arm of a canary as a pointer wants it; `None` where it wants it no more."""
    if wanted.canary is not None and wanted.canary.package == arm.package:
        return wanted.canary
    # On its way to be the champion it answers its share until it is.
    is_promoted = wanted.champion is not None and wanted.champion.package == arm.package
    return arm if is_promoted else None


def still_wanted(resting: tuple[tuple[str, Arm], ...], wanted: Serving) -> Iterator[tuple[str, Arm]]:
    """Give of the arms of a line that rests those that a pointer wants still."""
    for role, arm in resting:
        left = arm if role == "champion" else _kept_arm(arm, wanted)
        if left is not None:
            yield role, left
