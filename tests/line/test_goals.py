"""Goals: what lines are to reach together. Whoever answers for money reads this page, so no sum on it may hide what is missing."""

import math

import pytest
from faces import by_command, by_command_json, over_http

from linewright.capabilities.lines.operations import check
from linewright.capabilities.value.goals import goals_of, strange_goals
from linewright.capabilities.value.operations import goals
from linewright.engine.usage import Usage
from linewright.errors import SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.people.facts import Account, Accounted, DaySums, MonthSums, Sums, ValueAccount

NOW = "2026-11-28T12:00:00.000000Z"
FILE = """\
line: {name}
sources: {{rows: {{file: rows.csv}}}}
label: {{column: y}}
{more}
"""
VALUE = "value: {{currency: {currency}, true_positive: 9, false_negative: -9, false_positive: -1}}"
PRICES = "costs: {cpu_hour: 3600, currency: EUR}\n"
"""An hour of 3,600 has a second cost 1."""


@pytest.fixture
def factory(tmp_path):
    """Give a factory whose clock stands still."""
    with Factory.create(tmp_path / "factory", now=lambda: NOW) as made:
        yield made


def declare(factory: Factory, text: str) -> None:
    (factory.root / "factory.yaml").write_text(f"format: 1\n{text}")


def add_line(factory: Factory, name: str, *, currency: str | None = "EUR", more: str = "") -> None:
    value = "" if currency is None else VALUE.format(currency=currency)
    text = FILE.format(name=name, more="\n".join(filter(None, [value, more])))
    (factory.root / "lines" / f"{name}.yaml").write_text(text)


def account(factory: Factory, line: str, days: dict[str, float], *, currency: str = "EUR") -> None:
    """Keep an account of a line whose matured answers gained so much on each day, half of it on each of two rows."""
    sums = tuple(
        DaySums(
            day=day,
            spans={},
            sums=(
                Sums(
                    currency=currency,
                    matured=2,
                    value=3 * gain,
                    against=2 * gain,
                    value_squared=4.5 * gain**2,
                    gain_squared=gain**2 / 2,
                ),
            ),
        )
        for day, gain in days.items()
    )
    metadata = factory.metadata
    kept = ValueAccount(
        line=line,
        as_of=NOW,
        against="never",
        delay=None,
        position={},
        months=(metadata.keep(MonthSums(line=line, days=sums)),),
    )
    total = sum(days.values())
    whole = Account(
        line=line,
        currency=currency,
        rule="never",
        since=min(days),
        until=max(days),
        days=len(days),
        answers=2 * len(days),
        matured=2 * len(days),
        young=0,
        unlabelled=0,
        unpriced=0,
        without_before=0,
        value=3 * total,
        against=2 * total,
        gain=total,
        low=total - 30.0,
        high=total + 40.0,
        value_low=3 * total - 90.0,
        value_high=3 * total + 90.0,
        unit="days",
        units=len(days),
    )
    who = {"at": NOW, "by": "test", "because": "a day has passed", "line": line}
    metadata.record(Accounted(**who, account=metadata.keep(kept), totals=(whole,)))


def spend(factory: Factory, line: str, seconds: float, *, at: str = NOW) -> None:
    about = {"at": at, "by": "test", "because": "", "line": line, "run": f"{line} {at}"}
    factory.metadata.record(Finished(**about, outcome="done", usage=Usage(cpu_s=seconds)))


def test_what_lines_gain_and_cost_is_added_up(factory):
    """A goal of three lines is asked for as one number, and then who brought it."""
    declare(
        factory,
        PRICES
        + """goals:
  - {name: less fraud, kpi: gain, target: 200, lines: [claims, "tag:eu"]}
  - {name: worth it, kpi: net, target: 200, lines: [claims, cards]}
  - {name: frugal, kpi: cost, target: 50, lines: [claims, cards]}
  - {name: all, kpi: value, target: 300}
""",
    )
    add_line(factory, "claims", more="goal: all")
    add_line(factory, "cards", more="tags: [eu]")
    add_line(factory, "other", more="tags: [europe]\nabout: nothing of eu")
    account(factory, "claims", {"2026-11-01": 100.0})
    account(factory, "cards", {"2026-11-01": 60.0})
    spend(factory, "claims", 10.0)
    spend(factory, "cards", 30.0)
    gain, net, cost, value = goals_of(factory)

    assert (160.0, 0.8, False, "EUR") == (gain.reached, gain.share, gain.is_reached, gain.currency)
    assert {"claims": (100.0, 0.5), "cards": (60.0, 0.3)} == {
        one.line: (one.amount, one.share) for one in gain.lines
    }
    assert pytest.approx((160 - 30 * math.sqrt(2), 160 + 40 * math.sqrt(2))) == (gain.low, gain.high)
    assert (120.0, False) == (net.reached, net.is_reached)
    assert pytest.approx((120 - 30 * math.sqrt(2), 120 + 40 * math.sqrt(2))) == (net.low, net.high)
    assert (40.0, 0.8, True, None) == (cost.reached, cost.share, cost.is_reached, cost.low)
    assert (300.0, True, ["claims"]) == (value.reached, value.is_reached, [one.line for one in value.lines])
    assert [] == strange_goals(factory)


def test_a_goal_of_a_period_counts_its_days(factory):
    """A quarter's goal is not reached by last year."""
    declare(
        factory,
        PRICES
        + """goals:
  - {name: month, kpi: gain, target: 100, lines: [claims], over: 30d}
  - {name: bill, kpi: cost, target: 100, lines: [claims], over: 30d}
  - {name: day, kpi: gain, target: 100, lines: [claims], over: 1d}
  - {name: hour, kpi: gain, target: 100, lines: [claims], over: 1h}
  - {name: age, kpi: cost, target: 100, lines: [claims], over: 999999w}
""",
    )
    add_line(factory, "claims")
    account(factory, "claims", {"2026-10-28": 1000.0, "2026-10-29": 20.0, "2026-11-27": 5.0})
    spend(factory, "claims", 500.0, at="2026-10-28T23:59:59.999999Z")
    spend(factory, "claims", 7.0, at="2026-10-29T00:00:00.000000Z")
    month, bill, day, hour, age = goals_of(factory)

    assert ("2026-10-29", 25.0) == (month.since, month.reached)
    assert ("2026-10-29", 7.0) == (bill.since, bill.reached)
    assert ("2026-11-27", 5.0) == (day.since, day.reached)
    assert (0.0, 0.0, 0.0) == (hour.reached, hour.low, hour.high)
    assert (None, 507.0) == (age.since, age.reached)


def test_what_a_line_does_not_add_is_said_beside_the_sum(factory):
    """A goal that is missed since a line is not counted must not look like one that was missed."""
    declare(
        factory,
        "goals: [{name: g, kpi: gain, target: 10, lines: [claims, young, plain, gone, broken]}]\n",
    )
    for name in ("claims", "young", "broken"):
        add_line(factory, name)
    add_line(factory, "plain", currency=None)
    (factory.root / "lines" / "broken.yaml").write_text("line: broken\n")
    account(factory, "claims", {"2026-11-01": 12.0})
    (goal,) = goals_of(factory)

    assert (12.0, True, None) == (goal.reached, goal.is_reached, goal.problem)
    assert {
        "claims": None,
        "young": "not-counted",
        "plain": "no-value",
        "gone": "unknown-line",
        "broken": "wrong-file",
    } == {one.line: one.missing for one in goal.lines}
    text = result_text(goals(factory))
    for words in ("there is no such line", "add value:", "its file is wrong", "not counted yet"):
        assert words in text


@pytest.mark.parametrize(
    ("goal", "currencies", "problem"),
    [
        ("kpi: gain, lines: [a, b]", ("EUR", "USD"), "two-currencies"),
        ("kpi: net, lines: [a, b]", ("USD", "USD"), "two-currencies"),
        ("kpi: gain", ("EUR", "EUR"), "no-lines"),
        ('kpi: gain, lines: ["tag:none"]', ("EUR", "EUR"), "no-lines"),
        ("kpi: gain, lines: [nowhere]", ("EUR", "EUR"), "nothing-counted"),
    ],
)
def test_what_cannot_be_added_is_not_added(factory, goal, currencies, problem):
    """Euros and dollars in one sum are a number that nobody can use, and that everybody would."""
    declare(factory, f"{PRICES}goals: [{{name: g, target: 10, {goal}}}]\n")
    for name, currency in zip("ab", currencies, strict=True):
        add_line(factory, name, currency=currency)
        account(factory, name, {"2026-11-01": 12.0}, currency=currency)
    (found,) = goals_of(factory)

    assert (problem, None, None) == (found.problem, found.reached, found.is_reached)
    assert "target 10" in result_text(goals(factory))
    assert check(factory).factory, "check names it"


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("goals: [{name: g, kpi: cost, target: 1, lines: [a]}]", "goals[0].kpi", "add costs to factory.yaml"),
        (PRICES + "goals: [{name: g, kpi: cost, target: -1, lines: [a]}]", "goals[0].target", "less than 0"),
        ("goals: [{name: g, kpi: gain, target: 1, lines: [aa]}]", "goals[0].lines", "did you mean 'a'"),
        ('goals: [{name: g, kpi: gain, target: 1, lines: ["tag:x"]}]', "goals[0].lines", "write tags: [x]"),
        ("goals: [{name: g, kpi: gain, target: 1}]", "goals[0].lines", "write goal: g"),
        ("goals: [{name: g, kpi: gain, target: 1, lines: [plain]}]", "goals[0].lines", "lines/plain.yaml"),
        ("goals: [{name: g, kpi: gain, target: 1, lines: [a, b]}]", "goals[0]", "EUR (a), USD (b)"),
        (PRICES + "goals: [{name: g, kpi: net, target: 1, lines: [b]}]", "goals[0]", "USD (b), EUR (costs)"),
        (
            "goals: [{name: g, kpi: gain, target: 1, lines: [a]}, {name: g, kpi: gain, target: 2, lines: [a]}]",
            "goals[1].name",
            "two goals have one name",
        ),
    ],
)
def test_check_says_which_goals_have_nothing_behind_them(factory, text, place, says):
    """A goal with a misspelt line is missed each quarter, and everybody asks the line."""
    declare(factory, f"{text}\n")
    add_line(factory, "a")
    add_line(factory, "b", currency="USD")
    add_line(factory, "plain", currency=None)
    (error,) = strange_goals(factory)

    assert str(error.where).endswith(f"factory.yaml: {place}")
    assert says in str(error)
    assert 2 == check(factory).exit_code


@pytest.mark.parametrize(
    ("goal", "place", "says"),
    [
        ("{kpi: gain, target: 1}", ":2:9", "'name' is missing"),
        ("{name: g, kpi: profit, target: 1}", ":2:24", "value, gain, cost or net"),
        ("{name: g, kpi: gain, target: much}", ":2:38", "a number"),
        ("{name: g, kpi: gain, target: .inf}", ":2:38", "a number"),
        ("{name: g, kpi: gain, target: 1, lines: [A B]}", ":2:49", "tag:WORD"),
        ("{name: g, kpi: gain, target: 1, over: soon}", ":2:47", "such as 45d"),
    ],
)
def test_a_goal_that_is_none_is_refused_with_its_place(factory, goal, place, says):
    """What stands in the file is corrected where it stands."""
    declare(factory, f"goals: [{goal}]\n")

    with pytest.raises(SpecError) as refused:
        Factory.open(factory.root)
    assert f"factory.yaml{place}" in str(refused.value)
    assert says in str(refused.value)


def test_command_and_control_plane_tell_the_same(factory):
    """A board reads a page, a script reads JSON."""
    declare(factory, "goals: [{name: less fraud, kpi: gain, target: 200, lines: [claims]}]\n")
    add_line(factory, "claims")
    account(factory, "claims", {"2026-11-01": 100.0})
    told = over_http(factory, "/api/v1/goals")

    assert told == by_command_json(factory, "goals")
    assert (100.0, 0.5, False) == tuple(told["goals"][0][name] for name in ("reached", "share", "is_reached"))
    assert (
        "less fraud: not reached, gain EUR 100.00 of EUR 200.00, 50% (95 % interval EUR 70.00 to EUR 140.00)"
        in by_command(factory, "goals")
    )


def test_a_factory_without_goals_says_how_to_have_one(factory):
    """Nobody guesses the grammar of a file."""
    assert "names no goals. For example: goals:" in by_command(factory, "goals")


def test_of_many_lines_the_record_is_read_once(factory):
    """A factory has a thousand lines, and one goal may be about all of them."""
    names = [f"line-{number}" for number in range(20)]
    declare(factory, PRICES + f"goals: [{{name: g, kpi: net, target: 1, lines: [{', '.join(names)}]}}]\n")
    for name in names:
        add_line(factory, name)
        account(factory, name, {"2026-11-01": 1.0})
        spend(factory, name, 1.0)
    asked, metadata = [], factory.metadata
    for name in ("events", "newest"):
        real = getattr(metadata, name)
        setattr(
            metadata, name, lambda *given, real=real, **named: asked.append(given) or real(*given, **named)
        )
    (goal,) = goals_of(factory)

    assert 0.0 == goal.reached
    assert len(asked) <= 3
