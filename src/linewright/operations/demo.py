"""The demo: the whole life of a line in a world with known truth, through the same stations that users run."""

import shlex
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.engine.context import Progress
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.value.account import value_account
from linewright.operations.declaration.declare import operation
from linewright.operations.words import short
from linewright.people.account import of_all_answers
from linewright.people.facts import Account
from linewright.store.rights import as_asked
from linewright.text.sparkline import sparkline
from linewright.worlds import load
from linewright.worlds.life import Day, Life, Moment
from linewright.worlds.living import LINE, live
from linewright.worlds.picture import to_svg
from linewright.worlds.story import THIN, caption, first, gains, in_whole, worth

PICTURE = "life.svg"
_FOLDER = "demo-factory"
_MOST_FOLDERS = 1_000
_WIDTH = 100
"""Letters in a line of the story."""


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in the demo. Money is in whole cents."""

    factory: str
    """Folder of the factory that it leaves."""
    picture: str
    """The life as an SVG."""
    world: str
    seed: int
    attack_day: int | None
    """Live day on which the attack began, counted from 0; `None` where there was none."""
    alert_day: int | None
    """Live day of the first alert."""
    promoted_day: int | None
    """Live day on whose evening the first retrained model was promoted."""
    champion: str
    """What serves at the end, as LINE@VERSION."""
    currency: str
    value: int
    """Worth of all decisions that the line made, by what turned out to be true."""
    never: int
    """The same, had the first model served on."""
    best: int
    """The same for the best decisions, by the world's true probabilities."""
    life: Life
    seconds: float
    account: Account | None = None
    """The line's own account, from its log and the labels that came, as of the last evening. In whole currency."""
    due: int = 0
    """By the world, in cents: the worth of the decisions whose label was due by then; what the account should say."""

    def to_text(self) -> str:
        """Tell the story: what happened, its picture, its worth, and how to do it with one's own data."""
        return "\n".join(
            [
                *textwrap.wrap(caption(self.life).replace(THIN, " "), _WIDTH),
                *_drawn(self.life),
                "",
                *(line for moment in self.life.moments for line in _moment_text(moment)),
                *(
                    []
                    if self.life.moments
                    else ["Nothing happened, and nothing was done: no alarm, no promotion."]
                ),
                "",
                "What the line's decisions were worth, by what turned out to be true:",
                *self._worth(),
                *self._accounted(),
                "",
                f"{self.seconds:.0f} s for {len(self.life.days)} days. It is yours to look around in:",
                f"  {self.picture}",
                f"  linewright up --factory {shlex.quote(self.factory)}",
                f"  linewright card {self.champion} --factory {shlex.quote(self.factory)}",
                f"  linewright alerts --over --factory {shlex.quote(self.factory)}",
                "With your own data, in an empty folder:",
                "  linewright new NAME --data FILE --label COLUMN",
                "  linewright run NAME",
                "  linewright up",
            ]
        )

    def _worth(self) -> Iterator[str]:
        sums = {
            "as it was": in_whole(self.value),
            "never retrained": in_whole(self.never),
            "best possible (true chances)": in_whole(self.best),
        }
        width = max(map(len, sums.values()))
        for name, amount in sums.items():
            yield f"  {name:<30} {self.currency} {amount:>{width}}"

    def _accounted(self) -> Iterator[str]:
        """Set the line's own account beside the world's truth of the same decisions."""
        account = self.account
        found = None if account is None else of_all_answers(account)
        if account is None or found is None or found.low is None or found.high is None:
            return
        own, low, high = (in_whole(round(100 * amount)) for amount in (found.value, found.low, found.high))
        yield ""
        yield "What the line itself can tell of that, from its log and the labels that came:"
        sums = {
            f"of {account.matured:,} decisions whose label is due": in_whole(round(100 * account.value)),
            "the same decisions, by the world": in_whole(self.due),
            f"so of all {account.answers:,} decisions about": own,
            "all of them, by the world": in_whole(self.value),
        }
        width, wide = max(map(len, sums.values())), max(map(len, sums))
        for name, amount in sums.items():
            interval = f"  ({low} to {high})" if amount is own else ""
            yield f"  {name:<{wide}} {self.currency} {amount:>{width}}{interval}"


def _moment_text(moment: Moment) -> list[str]:
    """Return one line, or more where it is long; those that follow stand under what is said."""
    evidence = f" (evidence {short(moment.evidence)})" if moment.evidence else ""
    head = f"day {moment.day:>3}  {moment.kind:<9} "
    return textwrap.wrap(
        f"{head}{moment.says}{evidence}",
        _WIDTH,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _drawn(life: Life) -> list[str]:
    """Return how far ahead of never retraining the line was day by day; nothing where the terminal has no such letters."""
    bars = sparkline(gains(life).line)
    try:
        bars.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return []
    return [f"day by day {bars}"]


@operation(writes=True, local=True, anywhere=True)
def demo(
    factory: Factory,
    world: str = "fraud",
    /,
    *,
    attack: bool = True,
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 1,
) -> Demo:
    """Show the whole life of a line on this machine: training, serving, an attack, the alarm, the retraining.

    The world simulates data and time; everything else is what your own lines do. It leaves a factory that `up` serves.

    Parameters
    ----------
    world
        Name of the world.
    attack
        Whether something happens; without it nothing should be found.
    seed
        Of the world: another seed, another life.
    """
    began = time.monotonic()
    kind = load(world)
    root = _new_folder(factory.root)
    lived = kind(seed, attack=attack)

    def watcher(day: Day, moments: list[Moment]) -> None:
        for moment in moments:
            factory.report(
                Progress(station=f"day {day.day}", says=f"{moment.kind}: {moment.says}", stays=True)
            )
        says = f"{day.payments:,} payments, {day.frauds} frauds, answered by {day.model}"
        factory.report(
            Progress(station=f"day {day.day}", says=says, done=day.day + 1, of=lived.days - lived.go_live)
        )

    life = live(lived, root, report=factory.report, watcher=watcher)
    picture = root / PICTURE
    picture.write_text(to_svg(life), encoding="utf-8")
    as_asked(picture)
    totals = worth(life)
    champion, account = _left(root)
    return Demo(
        factory=str(root),
        picture=str(picture),
        world=world,
        seed=seed,
        attack_day=_day_of(life, "attack"),
        alert_day=_day_of(life, "alert"),
        promoted_day=_day_of(life, "promoted"),
        champion=champion,
        currency=life.currency,
        value=totals.value,
        never=totals.never,
        best=totals.best,
        life=life,
        seconds=time.monotonic() - began,
        account=account,
        due=sum(day.value for day in life.days[: -lived.label_delay.days]),
    )


def _day_of(life: Life, kind: str) -> int | None:
    moment = first(life, kind)
    return moment.day if moment else None


def _left(root: Path) -> tuple[str, Account | None]:
    """Return the champion of the factory that is left, and the account of its line."""
    with Factory.open(root) as factory:
        return f"{LINE}@{factory.metadata.pointer(LINE).champion}", value_account(factory, LINE)


def _new_folder(asked: Path) -> Path:
    """Return a folder for the factory that nobody uses: a life begins with nothing."""
    if asked != Path.cwd():
        if asked.exists() and any(asked.iterdir()):
            raise RequestError(
                "the demo needs a new or empty folder",
                where=str(asked),
                hint="name another one with --factory",
            )
        return asked
    for number in range(1, _MOST_FOLDERS):
        root = asked / (_FOLDER if number == 1 else f"{_FOLDER}-{number}")
        if not root.exists():
            return root
    raise RequestError("too many demo folders are here", where=str(asked), hint=f"remove some {_FOLDER}-N")
