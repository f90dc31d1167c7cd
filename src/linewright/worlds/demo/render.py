"""The story of the demo."""

import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping

from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.people.account import of_all_answers
from linewright.text.numbers import count
from linewright.text.sparkline import sparkline
from linewright.worlds.demo.operations import Demo, MachinesDemo, ShopDemo, Sight
from linewright.worlds.life import Life, Moment, ShopLife
from linewright.worlds.machines.season import Moment as SeasonMoment
from linewright.worlds.story import THIN, caption, gains, in_whole

_CONSOLE = "http://127.0.0.1:8080"
"""Where `up` serves the console unless it gets another port."""
_WIDTH = 100
"""Letters in a line of the story."""


@renderer.register
def demo_text(demo: Demo) -> str:
    """Tell the story: what happened, its picture, its worth, and how to do it with one's own data."""
    return "\n".join(
        [
            *textwrap.wrap(caption(demo.life).replace(THIN, " "), _WIDTH),
            *_drawn(demo.life),
            "",
            *(line for moment in demo.life.moments for line in _moment_text(moment)),
            *(
                []
                if demo.life.moments
                else ["Nothing happened, and nothing was done: no alarm, no promotion."]
            ),
            "",
            "What the line's decisions were worth, by what turned out to be true:",
            *_worth(demo),
            *_accounted(demo),
            "",
            f"{demo.seconds:.0f} s for {len(demo.life.days)} days. It is yours to look around in:",
            f"  {demo.picture}",
            f"  linewright card {demo.champion} --factory {shlex.quote(demo.factory)}",
            f"  linewright alerts --over --factory {shlex.quote(demo.factory)}",
            "With your own data, in an empty folder:",
            "  linewright new NAME --data FILE --label COLUMN",
            "  linewright run NAME",
            "  linewright up",
            *_left(demo),
        ]
    )


@renderer.register
def shop_text(demo: ShopDemo) -> str:
    """Tell what lists were worth, and what the line itself found of that."""
    folder, life = shlex.quote(demo.factory), demo.life
    sums = {"the line": demo.value, "popular items": demo.popular, "best possible (true chances)": demo.best}
    lists, drawn = (sum(getattr(day, name) for day in life.days) for name in ("lists", "drawn"))
    return "\n".join(
        [
            f"{lists:,} lists were shown in {count(len(life.days), 'day')}, {drawn:,} of them drawn.",
            "Items taken of a list, by the true probabilities:",
            *(f"  {name:<30} {value:5.2f}" for name, value in sums.items()),
            *_estimated(life),
            "",
            f"{demo.seconds:.0f} s for {count(len(life.days), 'day')}. It is yours to look around in:",
            f"  {demo.picture}",
            f"  linewright card {life.champion} --factory {folder}",
            f"  linewright up --factory {folder}",
            "With your own events, in an empty folder:",
            "  linewright new NAME --data FILE --label ITEM --task recommend",
        ]
    )


def _estimated(life: ShopLife) -> Iterator[str]:
    found = life.estimate
    if found is None or found.value is None or found.low is None or found.high is None:
        return
    yield ""
    yield f"What the line itself found of the lists of {life.champion}, from {found.lists:,} lists and what was taken of them:"
    yield f"  {'estimate':<30} {found.value:5.2f}  ({found.low:.2f} to {found.high:.2f})"
    yield f"  {'by the world':<30} {life.true_value:5.2f}"


@renderer.register
def machines_text(demo: MachinesDemo) -> str:
    """Tell what planning saved, which site halted the bad release, and which sensors were named."""
    folder, season = shlex.quote(demo.factory), demo.season
    sums = {
        "planned by remaining life": demo.spent,
        f"fixed interval ({season.interval} days, the best in hindsight)": demo.fixed,
        "only failures repaired": demo.never,
        "best possible (true wear)": demo.best,
    }
    amounts = [in_whole(one) for one in sums.values()]
    shown = [one for one in season.moments if one.kind != "served"]
    return "\n".join(
        [
            *(line for one in shown for line in _season_text(one)),
            "",
            f"Maintenance and failures of {len(season.sites)} plants in {count(len(season.days), 'day')}:",
            *(
                f"  {name:<48} {demo.currency} {amount:>{max(map(len, amounts))}}"
                for name, amount in zip(sums, amounts, strict=True)
            ),
            _released(demo),
            f"Sensors: {count(demo.faults, 'fault')}, {demo.named:,} of them named; {count(demo.false, 'false alarm')}.",
            "",
            f"{demo.seconds:.0f} s for {count(len(season.days), 'day')}. It is yours to look around in:",
            f"  {demo.picture}",
            f"  linewright status --sites --factory {folder}",
            f"  linewright up --factory {folder}",
            "With your own machines, in an empty folder:",
            "  linewright new NAME --data FILE --label DAYS --event FAILED",
        ]
    )


def _released(demo: MachinesDemo) -> str:
    if not any(one.kind == "released" for one in demo.season.moments):
        return "No release was bad."
    halted = "was not halted" if demo.halted_day is None else f"was halted on day {demo.halted_day}"
    return f"The bad release {halted}; {demo.seen_by} of {count(len(demo.season.sites), 'site')} tried it."


def _season_text(one: SeasonMoment) -> list[str]:
    head = f"day {one.day:>3}  {one.kind:<9} "
    says = f"{one.site}: {one.says}" if one.site else one.says
    return textwrap.wrap(
        f"{head}{says}",
        _WIDTH,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _left(demo: Demo) -> Iterator[str]:
    """Say what there is to see in the factory, and how to open it."""
    folder = shlex.quote(demo.factory)
    lines = list(dict.fromkeys(one.line for one in demo.sights))
    width = max(map(len, [*lines, "members"]), default=0)
    yield ""
    if lines:
        yield "There is to see in it:"
    for line in lines:
        seen = [_SIGHTS[one.kind](one) for one in demo.sights if one.line == line]
        yield from _wrapped(f"  {line:<{width}}  ", "; ".join(seen))
    if demo.members:
        who = ", ".join(f"{one.member} ({one.roles[0]})" for one in demo.members)
        yield from _wrapped(
            f"  {'members':<{width}}  ", f"{who}: `linewright member invite NAME` lets one sign in"
        )
    yield f"Open it: its console is at {_CONSOLE}, and `up` prints the link that signs you in."
    yield f"  linewright up --factory {folder}"


_DRAWN: Mapping[str, Callable[[int], str]] = {
    "pictures": lambda number: f"{count(number, 'picture')}, each with its class",
    "heat maps": lambda number: f"{count(number, 'picture')}, each with a heat map",
    "lists": lambda number: f"{count(number, 'list')} with reasons",
    "forecasts": lambda number: f"{count(number, 'forecast')}, drawn as fans",
    "curves": lambda number: count(number, "survival curve"),
}
_SIGHTS: Mapping[str, Callable[[Sight], str]] = {
    "answers": lambda one: _DRAWN[one.about](one.count),
    "account": lambda one: f"a value account of {count(one.count, 'answer')}",
    "alerts": lambda one: (
        f"{count(one.count, 'open alert')}" + (f" (first '{one.about}')" if one.about else "")
    ),
    "refused": lambda one: f"{one.about}, refused by its gate",
    "rollout": lambda one: f"{one.about} in a rollout, on {one.share or 0:.0%} of the rows",
    "proposal": lambda one: f"{one.about} waits for an approval",
    "unlabelled": lambda one: f"{count(one.count, 'answer')} without a label",
    "questions": lambda one: f"{count(one.count, 'question')} for annotators",
    "comments": lambda one: count(one.count, "comment"),
}


def _wrapped(head: str, says: str) -> list[str]:
    return textwrap.wrap(
        head + says, _WIDTH, subsequent_indent=" " * len(head), break_long_words=False, break_on_hyphens=False
    )


def _worth(demo: Demo) -> Iterator[str]:
    sums = {
        "as it was": in_whole(demo.value),
        "never retrained": in_whole(demo.never),
        "best possible (true chances)": in_whole(demo.best),
    }
    width = max(map(len, sums.values()))
    for name, amount in sums.items():
        yield f"  {name:<30} {demo.currency} {amount:>{width}}"


def _accounted(demo: Demo) -> Iterator[str]:
    """Set the line's own account beside the world's truth of the same decisions."""
    account = demo.account
    found = None if account is None else of_all_answers(account)
    if account is None or found is None or found.low is None or found.high is None:
        return
    own, low, high = (in_whole(round(100 * amount)) for amount in (found.value, found.low, found.high))
    yield ""
    yield "What the line itself can tell of that, from its log and the labels that came:"
    sums = {
        f"of {account.matured:,} decisions whose label is due": in_whole(round(100 * account.value)),
        "the same decisions, by the world": in_whole(demo.due),
        f"so of all {account.answers:,} decisions about": own,
        "all of them, by the world": in_whole(demo.value),
    }
    width, wide = max(map(len, sums.values())), max(map(len, sums))
    for name, amount in sums.items():
        interval = f"  ({low} to {high})" if amount is own else ""
        yield f"  {name:<{wide}} {demo.currency} {amount:>{width}}{interval}"


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
