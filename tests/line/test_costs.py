"""What runs and labels cost: the half of the balance that a factory spends."""

import pytest
import small
from faces import by_command, by_command_json, over_http

from linewright.capabilities.lines.operations import check
from linewright.capabilities.overview.operations.history import runs
from linewright.data.finding_text import finding_in_words
from linewright.engine.usage import Usage
from linewright.errors import SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.interfaces.cli.words import money
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, AttemptEnded, Finished
from linewright.line.predict.label_file import hand_in
from linewright.line.record.costs import Costs, costs_of
from linewright.line.runs.record import usage_of_attempts
from linewright.line.runs.usage import RunMeter

PRICES = "costs: {cpu_hour: 3600, label: 0.5, currency: EUR}\n"
"""An hour of 3,600 has a second cost 1."""


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    """Give a factory that lived: one run, 20 answers, 10 labels."""
    root = tmp_path_factory.mktemp("costs") / "factory"
    with Factory.open(small.make_factory(tmp_path_factory, root)) as made:
        yield made


@pytest.fixture(autouse=True)
def priced(request):
    """Have the factory of the module name prices, anew for each test."""
    if "factory" in request.fixturenames:
        declare(request.getfixturevalue("factory"), PRICES)


def declare(factory: Factory, text: str) -> None:
    (factory.root / "factory.yaml").write_text(f"format: 1\n{text}")


def test_a_run_says_what_it_took_and_cost(factory):
    """Who pays for machines wants to know which run took what, without a stopwatch."""
    (told,) = runs(factory).runs
    (ended,) = factory.metadata.events(Finished, line="claims")

    assert ended.usage is not None
    assert (ended.usage.cpu_s, ended.usage.wall_s) == (told.cpu_s, told.wall_s)
    assert told.cpu_s > 0
    assert told.peak_bytes > 2**20
    assert told.started == told.at < told.ended
    assert (pytest.approx(told.cpu_s), "EUR") == (told.cost, told.currency)
    said = result_text(runs(factory))
    assert f"{told.run}  claims" in said
    assert f"{told.cpu_s:,.1f} CPU s" in said
    assert money(told.cost, "EUR") in said


def test_without_prices_durations_are_told_and_no_cost(factory):
    """Most factories name no prices; then there is none, and not one of 0."""
    declare(factory, "")
    (told,) = runs(factory).runs

    assert told.cpu_s > 0
    assert (None, None) == (told.cost, told.currency)
    assert costs_of(factory, "claims") is None


def test_command_and_control_plane_tell_the_same(factory):
    """Bills are made by scripts, some over HTTP."""
    told = over_http(factory, "/api/v1/runs")
    run = told["runs"][0]["run"]
    shown = over_http(factory, f"/api/v1/show?id={run}")
    durations = shown["body"]["durations"]

    assert told == by_command_json(factory, "runs")
    assert shown == by_command_json(factory, "show", run)
    assert durations == {name: told["runs"][0][name] for name in durations}
    assert f'"cpu_s": {durations["cpu_s"]}' in by_command(factory, "show", run)


def test_a_line_costs_its_runs_and_its_labels(factory):
    """The ratio of value to cost is asked for by line, and labels cost more than machines."""
    found = costs_of(factory, "claims")
    (told,) = runs(factory).runs

    assert Costs(cpu_s=told.cpu_s, runs=1, labels=10, amount=told.cost + 5.0, currency="EUR") == found
    assert f"1 run with {told.cpu_s:.1f} CPU s, 10 labels" in result_text(found)


def test_costs_of_a_period_are_what_happened_in_it(factory):
    """A month is billed once: what ends one belongs to no other."""
    (ended,) = factory.metadata.events(Finished, line="claims")
    before, after = costs_of(factory, "claims", until=ended.at), costs_of(factory, "claims", since=ended.at)
    whole = costs_of(factory, "claims")

    assert (0, 0, 0.0) == (before.runs, before.labels, before.amount)
    assert whole == after


def test_a_label_costs_once_when_it_came(factory):
    """A correction is free, and does not carry the cost of the label into another month."""
    then = factory.now()
    (factory.root / "corrected.csv").write_text("key,label,corrects\nC000," + _other(factory) + "\n")
    hand_in(factory, "claims", factory.root / "corrected.csv")

    assert 10 == costs_of(factory, "claims").labels
    assert 0 == costs_of(factory, "claims", since=then).labels
    assert 10 == costs_of(factory, "claims", until=then).labels


def _other(factory: Factory) -> str:
    """Return the label that C000 does not have, and the one that it has, which the first replaces."""
    was = (factory.root / "truth.csv").read_text().splitlines()[1].split(",")[1]
    return f"{'no' if was == 'yes' else 'yes'},{was}"


def test_of_many_lines_the_record_is_read_once(factory):
    """A page with a thousand lines has a second."""
    names = [f"line-{number}" for number in range(50)]
    reading, asked = factory.at_once(names), []
    events = factory.metadata.events
    factory.metadata.events = lambda *given, **named: asked.append(given) or events(*given, **named)
    try:
        found = [costs_of(reading, name) for name in names]
    finally:
        del factory.metadata.events

    assert 1 == len(asked)
    assert {0.0} == {one.amount for one in found}


def test_what_killed_attempts_took_is_counted_where_no_process_lives_to_say_so(tmp_path):
    """A run that was cancelled after its executor ended is closed by the next command, which has measured nothing."""
    with Factory.create(tmp_path) as factory:
        about = {
            "at": factory.now(),
            "by": "test",
            "because": "",
            "line": "a",
            "step": "train",
            "how": "signal",
        }
        for run, usage in (
            ("r", Usage(cpu_s=2.0, wall_s=3.0, peak_bytes=5)),
            ("r", Usage(cpu_s=1.0, wall_s=1.0, peak_bytes=9)),
            ("r", None),
            ("other", Usage(cpu_s=7.0)),
        ):
            factory.metadata.record(AttemptEnded(**about, run=run, attempt=1, usage=usage))

        assert Usage(cpu_s=3.0, wall_s=4.0, peak_bytes=9) == usage_of_attempts(factory, "a", "r")


def test_a_run_whose_executor_was_killed_keeps_what_its_steps_say():
    """A power cut ends the processes and whoever would record it; the hours of training were spent all the same."""
    kept = {
        "accept": True,
        "train": {"digest": "d", "usage": {"cpu_s": 60.0, "wall_s": 30.0, "peak_bytes": 7}},
        "package": {"digest": "d", "usage": {"cpu_s": 10.0, "wall_s": 5.0, "peak_bytes": 1}},
        "explain": {"digest": "d"},
    }
    meter = RunMeter(Usage(cpu_s=1.0), lambda: Usage(cpu_s=0.25, peak_bytes=3))
    for name in ("accept", "train"):
        meter.follow(lambda name, _: kept[name], name, lambda: None)
    resumed = meter.total
    for name in ("package", "explain"):
        meter.follow(lambda name, _: kept[name], name, lambda: None)
    # What this attempt answers is in what it has taken already.
    answer = meter.follow(lambda _, do: do(), "gate", lambda: {"usage": {"cpu_s": 99.0}})

    assert {"usage": {"cpu_s": 99.0}} == answer
    assert Usage(cpu_s=60.25, wall_s=30.0, peak_bytes=7) == resumed == meter.total
    meter.begin(lambda: Usage(cpu_s=2.0))
    assert 62.25 == meter.total.cpu_s
    assert {"digest": "d", "usage": {"cpu_s": 62.25, "wall_s": 30.0, "peak_bytes": 7}} == meter.noted(
        {"digest": "d"}
    )


def test_a_run_that_was_recorded_before_is_counted_as_not_measured(tmp_path):
    """An upgrade must neither invent what older runs took nor fail at them."""
    with Factory.create(tmp_path) as factory:
        declare(factory, PRICES)
        who = {"at": factory.now(), "by": "test", "because": "", "line": "a", "run": "r"}
        factory.metadata.record(Accepted(**who, plan="p", declared="d"))
        factory.metadata.record(Finished(**who, outcome="done"))

        found = costs_of(factory, "a")
        (told,) = runs(factory).runs

    assert (1, 1, 0.0) == (found.runs, found.unmeasured, found.amount)
    assert "1 of them not measured" in result_text(found)
    assert (None, None) == (told.cpu_s, told.cost)


@pytest.mark.parametrize(
    ("costs", "place", "says"),
    [
        ("{cpu_hour: -1}", ":2:19", "of at least 0"),
        ("{cpu_hour: .inf}", ":2:19", "a number"),
        ("{cpu_hour: .nan}", ":2:19", "a number"),
        ("{label: 1e13}", ":2:16", "of at most"),
        ("{label: true}", ":2:16", "a number"),
        ('{label: "0.5"}', ":2:16", "without quotes"),
        ("{currency: Euro}", ":2:19", "such as EUR"),
        ("{cpu_hours: 1}", ":2:9", "did you mean 'cpu_hour'"),
    ],
)
def test_strange_prices_are_refused_with_their_place(factory, costs, place, says):
    """A price that is none would be a bill that is none."""
    declare(factory, f"costs: {costs}\n")

    with pytest.raises(SpecError) as refused:
        Factory.open(factory.root)
    assert str(factory.root / "factory.yaml") + place in str(refused.value)
    assert says in str(refused.value)


def test_a_line_that_serves_a_goal_that_is_none_is_warned_of(factory):
    """It is left out of the goal, and the sum does not show it."""
    path = factory.root / "lines" / "claims.yaml"
    text = path.read_text()
    declare(factory, "goals: [{name: less fraud, kpi: cost, target: 1, lines: [claims]}]\n")
    path.write_text(f"{text}goal: less fruad\n")
    try:
        doubts = {*map(finding_in_words, check(factory, "claims").lines[0].findings)}
        path.write_text(f"{text}goal: less fraud\n")
        none = {*map(finding_in_words, check(factory, "claims").lines[0].findings)}
    finally:
        path.write_text(text)

    (doubt,) = doubts - none
    assert "factory.yaml has no goal 'less fruad'" in doubt
    assert doubt.endswith("but less fraud")


def test_a_line_that_is_valued_in_another_currency_is_warned_of(factory):
    """A ratio of dollars to euros would be off by a tenth and look right."""
    path = factory.root / "lines" / "claims.yaml"
    text = path.read_text()
    matrix = "true_positive: 9, false_negative: -9, false_positive: -1"
    path.write_text(f"{text}value: {{currency: USD, {matrix}}}\n")
    try:
        doubts = {*map(finding_in_words, check(factory, "claims").lines[0].findings)}
        path.write_text(f"{text}value: {{currency: EUR, {matrix}}}\n")
        none = {*map(finding_in_words, check(factory, "claims").lines[0].findings)}
    finally:
        path.write_text(text)

    (doubt,) = doubts - none
    assert "value.currency is USD, and costs.currency of factory.yaml EUR" in doubt
