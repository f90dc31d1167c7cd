"""The demo: the whole life of a line in a world with known truth, through the same steps that users run."""

import time
from importlib import import_module
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.engine.context import Progress
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.value.account import value_account
from linewright.operations.declaration.declare import operation
from linewright.people.facts import Account
from linewright.store.rights import as_asked
from linewright.worlds import load
from linewright.worlds.life import Day, Life, Moment
from linewright.worlds.picture import to_svg
from linewright.worlds.story import first, worth

PICTURE = "life.svg"
_FOLDER = "demo-factory"
_MOST_FOLDERS = 1_000


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


@operation(permission="manage", effect="act", local=True, anywhere=True)
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
            factory.report(Progress(step=f"day {day.day}", says=f"{moment.kind}: {moment.says}", stays=True))
        says = f"{day.payments:,} payments, {day.frauds} frauds, answered by {day.model}"
        factory.report(
            Progress(step=f"day {day.day}", says=says, done=day.day + 1, of=lived.days - lived.go_live)
        )

    # What lives through a world takes long to import, and the control plane looks at all operations when it starts.
    living = import_module("linewright.worlds.living")
    life: Life = living.live(lived, root, report=factory.report, watcher=watcher)
    picture = root / PICTURE
    picture.write_text(to_svg(life), encoding="utf-8")
    as_asked(picture)
    totals = worth(life)
    champion, account = _left(root, living.LINE)
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


def _left(root: Path, line: str) -> tuple[str, Account | None]:
    """Return the champion of the factory that is left, and the account of its line."""
    with Factory.open(root) as factory:
        return f"{line}@{factory.metadata.pointer(line).champion}", value_account(factory, line)


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
