"""The demo: the whole life of a line in a world with known truth, through the same steps that users run."""

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from linewright.capabilities.annotation.operations import annotate_queue, annotate_status
from linewright.capabilities.inbox.operations import comment
from linewright.capabilities.members.operations.members import MemberLine, member_add, member_list
from linewright.capabilities.members.operations.tokens import token_create, token_revoke
from linewright.capabilities.value.account import value_account
from linewright.engine.context import Progress
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.proposals.record import live_of
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.spec import LineSpec
from linewright.operations.declare import operation
from linewright.people.facts import Account, Commented, PromotionChange, QuestionsQueued
from linewright.people.spec import Role
from linewright.release.facts import Refused
from linewright.release.promotion import canary_of
from linewright.serve.access.accounts import read_accounts
from linewright.store.files.rights import as_asked
from linewright.worlds import load
from linewright.worlds.life import Day, Life, Moment, ShopDay, ShopLife
from linewright.worlds.machines.season import Season
from linewright.worlds.picture import to_svg
from linewright.worlds.story import first, worth

PICTURE = "life.svg"
_FOLDER = "demo-factory"
_MOST_FOLDERS = 1_000


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Something to see in the factory that is left."""

    line: str
    kind: Literal[
        "answers",
        "account",
        "alerts",
        "refused",
        "rollout",
        "proposal",
        "unlabelled",
        "questions",
        "comments",
    ]
    """Answers that are more than a value in a table; a value account; open alerts; a candidate that its gates refused; one in a rollout; a promotion that waits for an approval; answers
    without a label; questions that wait for annotators (then `unlabelled` is left out); comments."""
    about: str = ""
    """Of `answers` what is drawn; of `alerts` the first column; of `refused`, `rollout` and `proposal` the candidate, as LINE@VERSION."""
    count: int = 1
    """Answers, answers of the account, alerts, answers without a label, questions, comments."""
    share: float | None = None
    """Of `rollout`, the share of the rows that the candidate answers."""


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
    sights: tuple[Sight, ...] = ()
    """What is to be seen in the factory that is left, line by line."""
    members: tuple[MemberLine, ...] = ()
    """Who may sign in to it once they are invited."""


class ShopDemo(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in the demo of the world `shop`. Values are items that are taken of a list, by the world's true probabilities."""

    factory: str
    """Folder of the factory that it leaves."""
    picture: str
    """The life as an SVG."""
    value: float
    """Mean over the days, of the lists that the line showed."""
    popular: float
    """The same of the items that were bought most."""
    best: float
    """The same of the best lists."""
    life: ShopLife
    seconds: float


class MachinesDemo(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in the demo of the world `machines`. Money is in whole cents; costs are negative."""

    factory: str
    """Folder of the factory that it leaves."""
    picture: str
    """The season as an SVG."""
    currency: str
    spent: int
    """What failures and planned maintenance cost."""
    fixed: int
    """The same at the fixed interval that was best in hindsight."""
    never: int
    """The same, had only failures been repaired."""
    best: int
    """The same by the true wear, which only the world knows."""
    halted_day: int | None
    """Live day on which the bad release was halted; `None` if it was not."""
    seen_by: int
    """Sites that saw it."""
    faults: int
    """Faults of sensors that could be seen for long enough."""
    named: int
    """Those that were named."""
    false: int
    """Faults that were named and are none."""
    season: Season
    seconds: float


@operation(permission="manage", effect="act", local=True, anywhere=True)
def demo(
    factory: Factory,
    world: str = "fraud",
    /,
    *,
    attack: bool = True,
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 1,
) -> Demo | MachinesDemo | ShopDemo:
    """Show the whole life of a line on this machine: training, serving, an attack, the alarm, the retraining.

    The world simulates data and time; everything else is what your own lines do. It leaves a factory that `up` serves. It
    also has lines on data that scikit-learn ships, with an alert, a rollout, a promotion that waits for an approval, questions for
    annotators, and members; and lines on pictures, lists, forecasts and sites.

    Parameters
    ----------
    world
        Name of the world: `fraud`; `shop`, where lists are shown and some of them are drawn; or `machines`, twelve plants that plan
        maintenance by remaining life.
    attack
        Whether something happens; without it nothing should be found.
    seed
        Of the world: another seed, another life.
    """
    began = time.monotonic()
    kind = load(world)
    if world in _OTHERS:
        return _OTHERS[world](factory, kind, seed, attack=attack, began=began)
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
    seconds = time.monotonic() - began
    team = add_lines(root, factory.now(), report=factory.report)
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
        seconds=seconds,
        account=account,
        due=sum(day.value for day in life.days[: -lived.label_delay.days]),
        sights=_sights(root),
        members=team,
    )


def _shop(factory: Factory, kind: type[Any], seed: int, *, attack: bool, began: float) -> ShopDemo:
    if not attack:
        raise RequestError("the world shop has no attack", where="--no-attack", hint="leave it out")
    root = _new_folder(factory.root)
    lived = kind(seed)

    def watcher(day: ShopDay) -> None:
        says = f"{day.lists} lists, {day.drawn} of them drawn, {day.taken} items taken, by {day.model}"
        factory.report(
            Progress(step=f"day {day.day}", says=says, done=day.day + 1, of=lived.days - lived.go_live)
        )

    shopping = import_module("linewright.worlds.shop.living")
    life: ShopLife = shopping.live(lived, root, report=factory.report, watcher=watcher)
    picture = root / PICTURE
    picture.write_text(shopping.to_svg(life), encoding="utf-8")
    as_asked(picture)
    value, popular, best = (
        sum(getattr(day, name) for day in life.days) / len(life.days) for name in ("value", "popular", "best")
    )
    return ShopDemo(
        factory=str(root),
        picture=str(picture),
        value=value,
        popular=popular,
        best=best,
        life=life,
        seconds=time.monotonic() - began,
    )


def _machines(factory: Factory, kind: type[Any], seed: int, *, attack: bool, began: float) -> MachinesDemo:
    """Live a season of twelve plants; without an attack no sensor fails, and no release is bad."""
    root = _new_folder(factory.root)
    plants, drawing = (
        import_module(f"linewright.worlds.machines.{name}") for name in ("living", "season_picture")
    )
    more = {} if attack else {"release": None}
    season: Season = plants.live(kind(seed, faults=attack), root, report=factory.report, **more)
    picture = root / PICTURE
    picture.write_text(drawing.to_svg(season), encoding="utf-8")
    as_asked(picture)
    faults, named, false = (
        sum(getattr(site, name) for site in season.sites) for name in ("faults", "named", "false")
    )
    return MachinesDemo(
        factory=str(root),
        picture=str(picture),
        currency=season.currency,
        spent=sum(season.days),
        fixed=sum(season.fixed),
        never=season.never,
        best=season.best,
        halted_day=next((one.day for one in season.moments if one.kind == "halted"), None),
        seen_by=len({one.site for one in season.moments if one.kind == "tried"}),
        faults=faults,
        named=named,
        false=false,
        season=season,
        seconds=time.monotonic() - began,
    )


_OTHERS: Mapping[str, Callable[..., MachinesDemo | ShopDemo]] = {"machines": _machines, "shop": _shop}
"""Worlds whose lives have another form than that of `fraud`."""


def _day_of(life: Life, kind: str) -> int | None:
    moment = first(life, kind)
    return moment.day if moment else None


def _left(root: Path, line: str) -> tuple[str, Account | None]:
    """Return the champion of the factory that is left, and the account of its line."""
    with Factory.open(root) as factory:
        return f"{line}@{factory.metadata.pointer(line).champion}", value_account(factory, line)


# The other lines


_GOALS = """
about: A factory to look around in
costs: {cpu_hour: 0.05, label: 0.1}
goals:
  - {name: Fewer losses by fraud, kpi: gain, target: 100000}
  - {name: Earlier diagnosis, kpi: net, target: 75000, lines: [tumours]}
  - {name: Trusted labels, kpi: cost, target: 25}
"""
_ROLES: Mapping[str, Role] = {"ada": "engineer", "grace": "approver"}
_OF_LEE = ("cultivars", "digits", "payments", "sales", "shop")
_QUESTIONS = 60
"""At most so many answers of `tumours` are queued for annotators."""
_PICTURES = 20
"""The same of `digits`."""
_READ_DIGIT = "Which digit is it? Skip a picture that you cannot read."
_CONSENT = "Your labels, your name and the time that each label took are kept in this factory, and the model learns from them."
_INSTRUCTIONS = (
    "Is the sample malignant? The nuclei of malignant ones are larger and less regular: most have a mean_radius above 15 and a mean_concavity "
    "above 0.1. Skip a sample that you cannot tell."
)
_SHOWN = (
    "sample",
    "mean_radius",
    "mean_texture",
    "mean_concavity",
    "worst_radius",
    "worst_texture",
    "worst_concavity",
)
_PAYMENTS = """about: "Block payments that are fraud, so that customers keep their money and genuine payments pass"
goal: Fewer losses by fraud
owner: lee
tags: [bank, cards]"""


def add_lines(root: Path, now: str, *, report: Callable[[Progress], None]) -> tuple[MemberLine, ...]:
    """Add to a factory members, goals, and lines for each use of the product.

    Parameters
    ----------
    root
        Folder of the factory.
    now
        The present, UTC; the lines live the week up to it.
    report
        Called with each step of long work.

    Returns
    -------
    tuple of MemberLine
        Who may sign in, by name; nobody has a password yet.
    """
    shipped, demo_tasks, living = (
        import_module(f"linewright.worlds.{name}") for name in ("shipped", "demo_tasks", "living")
    )
    present = datetime.fromisoformat(now)
    clock = living.Clock(shipped.begin_of(present))
    with Factory.open(root, report=report, actor="linewright", now=clock) as factory:
        _set_goals(factory)
        for name, role in _ROLES.items():
            member_add(factory, name, role=role)
        with _signed_in(factory, "ada") as ada, _signed_in(factory, "grace") as grace:
            others = demo_tasks.demo_lines(factory, clock, present, report=report)
            shipped.live(factory, ada, clock, now=present, others=others)
            member_add(factory, "lee", role="analyst", lines=_existing(factory, *_OF_LEE))
            member_add(factory, "noor", role="annotator", lines=_existing(factory, "tumours", "digits"))
            _ask_annotators(ada)
            _talk(factory, ada, grace)
        return member_list(factory).members


def _set_goals(factory: Factory) -> None:
    """Say what the factory is for, and to which goal its first line belongs: neither trains anything."""
    with (factory.root / FACTORY_FILE).open("a", encoding="utf-8") as file:
        file.write(_GOALS.lstrip())
    for name in factory.names():
        path = factory.path_of(name)
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"(?m)^about: .*$", lambda _: _PAYMENTS, text, count=1), encoding="utf-8")


def _existing(factory: Factory, *lines: str) -> tuple[str, ...]:
    return tuple(name for name in lines if name in factory.names())


def _ask_annotators(ada: Factory) -> None:
    annotate_queue(
        ada, "tumours", size=_QUESTIONS, instructions=_INSTRUCTIONS, consent=_CONSENT, columns=_SHOWN
    )
    if _existing(ada, "digits"):
        annotate_queue(ada, "digits", size=_PICTURES, instructions=_READ_DIGIT, consent=_CONSENT)


@contextmanager
def _signed_in(factory: Factory, member: str) -> Generator[Factory]:
    """Give the factory as a member has it who was admitted by a token of theirs; in the end it is revoked."""
    made = token_create(factory, f"demo-{member}", kind=_ROLES[member], member=member, expires="30d")
    identity = read_accounts(factory.state).identity(made.token, factory.now())
    assert identity is not None  # noqa: S101 -- the token is new
    try:
        with Factory.open(factory.root, report=factory.report, identity=identity, now=factory.now) as opened:
            yield opened
    finally:
        token_revoke(factory, made.name)


def _talk(factory: Factory, ada: Factory, grace: Factory) -> None:
    """Let members say something about lines that need somebody."""
    (waiting,) = live_of(factory, "progression")
    comment(
        ada,
        "tumours",
        "The laboratory has had another microscope since that day. @noor, please label its samples: the training waits for them.",
    )
    comment(
        ada,
        "progression",
        "It may read the body mass index and the blood values now. @grace, please have a look.",
        about=waiting.proposed.id,
    )
    comment(grace, "progression", "I will compare the slices on the card of version 2 first.")


def _sights(root: Path) -> tuple[Sight, ...]:
    """Return what is to be seen in a factory, by its record."""
    with Factory.open(root) as factory:
        return tuple(sight for line in factory.names() for sight in sights_of(factory, line))


def sights_of(factory: Factory, line: str) -> Iterator[Sight]:
    """Iterate over what is to be seen of a line, by its record."""
    metadata, spec = factory.metadata, factory.line(line)
    predictions, labels = factory.labels_of(line).counts()
    if drawn := _drawn(spec):
        yield Sight(line=line, kind="answers", about=drawn, count=predictions)
    if spec.value is not None:
        yield Sight(line=line, kind="account", count=predictions)
    if alerts := open_alerts(factory, line):
        yield Sight(line=line, kind="alerts", about=alerts[0].column or "", count=len(alerts))
    yield from _candidates_of(factory, line)
    if metadata.events(QuestionsQueued, line=line, limit=1):
        yield Sight(line=line, kind="questions", count=annotate_status(factory, line).open)
    elif predictions > labels:
        yield Sight(line=line, kind="unlabelled", count=predictions - labels)
    if said := metadata.events(Commented, line=line):
        yield Sight(line=line, kind="comments", count=len(said))


def _drawn(spec: LineSpec) -> str:
    """Return what the console draws for the answers of a line; empty for rows of a table with one answer each."""
    task = spec.train.task or ""
    if any(rule.type == "file" for rule in spec.contract.columns.values()):
        return "heat maps" if task == "anomaly" else "pictures"
    drawn = {"recommend": "lists", "forecast": "forecasts", "survival": "curves", "rul": "curves"}
    return drawn.get(task, "")


def _candidates_of(factory: Factory, line: str) -> Iterator[Sight]:
    for one in factory.metadata.events(Refused, line=line):
        if one.verdict == "reject":
            yield Sight(line=line, kind="refused", about=f"{line}@{one.model}")
    if tried := canary_of(factory.metadata, line):
        yield Sight(line=line, kind="rollout", about=f"{line}@{tried.model}", share=tried.share)
    for look in live_of(factory, line):
        if isinstance(look.change, PromotionChange):
            yield Sight(line=line, kind="proposal", about=f"{line}@{look.change.model}")


# The folder


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
