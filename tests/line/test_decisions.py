"""Decisions are gated as decisions: amounts set the threshold, are compared by what they are worth, and train nothing."""

import resource
import subprocess
import sys

import polars as pl
import pytest
from claims import BY_AMOUNT, DEARER, FILE, MATRIX, change, make

from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.lines.operations import plan
from linewright.data.finding_text import finding_in_words
from linewright.errors import ContractBreach, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.facts import AmountsInForce
from linewright.line.record.evidence import evidence_of
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import change_in_words
from linewright.line.runs.result_text import decides
from linewright.model.facts import Certificate, Package
from linewright.model.gates.text import gate_in_words


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """Give a factory whose first model serves, and what the run with dearer false alarms said."""
    with make(tmp_path_factory.mktemp("decided") / "factory") as factory:
        first = execute_inline(factory, "claims")
        change(factory, MATRIX, DEARER)
        planned = make_plan(factory, factory.line("claims")).changes
        yield factory, first, planned, execute_inline(factory, "claims")


def test_another_matrix_trains_nothing_and_is_promoted_by_what_it_is_worth(decided):
    """The analyst's journey: an amount changes in a meeting, and production follows the same hour, with its interval."""
    factory, first, planned, ran = decided
    (gate,) = factory.metadata.get(ran.certificate, Certificate).outcomes

    assert first.promoted
    assert ["decide", "evaluate", "gate", "release"] == [one.step for one in planned]
    assert "the value changed" == change_in_words(planned[0])
    assert ("decide", "evaluate", "gate") == ran.did
    assert ran.promoted
    assert ("beats the champion on value", "pass") == (gate_in_words(gate), gate.status)
    assert 0 < gate.low < gate.value < gate.high
    assert "value (EUR per 1,000 rows) is" in ran.because
    assert "better than the champion's" in ran.because
    assert "are decided otherwise" in decides(ran)


def test_the_value_that_is_told_is_the_sum_over_the_test_rows(decided):
    """A figure in money is read to colleagues who will add it up themselves."""
    factory, _, _, ran = decided
    package = factory.metadata.get(ran.digest, Package)
    found = evidence_of(factory, find_model(factory, "claims")).evaluation
    (told,) = [one for one in ran.metrics if one.name == "value"]
    (tn, fp), (fn, tp) = found.confusion

    assert told.value == pytest.approx((90 * tp - 300 * fp - 90 * fn) / (tn + fp + fn + tp) * 1_000)
    assert told.low < told.value < told.high
    assert "EUR per 1,000 rows" in result_text(ran)
    assert 300 / 480 == pytest.approx(package.threshold)


def test_the_package_says_by_which_matrix_it_decides(decided):
    """Answers are priced months later, by what held when they were given: the log names the package."""
    factory, first, _, ran = decided
    before, after = (factory.metadata.get(one.digest, Package) for one in (first, ran))

    assert (-60.0, -300.0) == (before.value.false_positive, after.value.false_positive)
    assert "EUR" == after.value.currency
    assert before.trained == after.trained
    assert before.graph == after.graph


def test_what_decides_otherwise_is_rebuilt_to_the_byte(decided, tmp_path):
    """A threshold that nobody can compute again is a number that somebody wrote."""
    factory, _, _, ran = decided
    found = rebuild(
        factory, find_model(factory, "claims@2"), workers=1, scratch=tmp_path, report=lambda _: None
    )

    assert ("R0", ran.digest) == (found.level, found.rebuilt)
    assert [] == [one.name for one in found.parts if not one.is_same]


def test_amounts_alone_change_no_decision_and_are_followed(decided):
    """Twice as much of everything decides alike: yet what is earned from now on has to be priced by it."""
    factory, _, _, _ = decided
    change(factory, DEARER, DEARER.replace("90", "180").replace("-300", "-600"))
    doubled = execute_inline(factory, "claims")
    change(factory, "180", "90")
    change(factory, "-600", "-300")

    assert ("decide", "evaluate", "gate") == doubled.did
    assert doubled.promoted
    assert "Nothing is decided otherwise, so nothing can get worse" in doubled.because
    assert 180.0 == factory.metadata.get(doubled.digest, Package).value.true_positive


def test_a_gate_that_asks_about_scores_says_that_they_are_the_same(decided):
    """Scores and decisions are two things: one model cannot beat itself, however many rows there are."""
    factory, _, _, _ = decided
    scores = "gates: [{beats: champion, metric: average_precision}]\n"
    cheap = DEARER.replace("-300", "-30")
    change(factory, DEARER, f"{scores}{cheap}")
    held = execute_inline(factory, "claims")
    change(
        factory,
        "[{beats: champion, metric: average",
        "[{beats: champion, metric: value}, {beats: champion, metric: average",
    )
    both = execute_inline(factory, "claims")
    change(factory, both_gates(scores), "")
    change(factory, cheap, DEARER)

    assert "hold" == held.verdict
    assert "it scores every row as the champion does" in held.because
    assert "{beats: champion, metric: value}" in held.because
    assert both.promoted
    assert "1 of 2 gates were passed" in both.because


def both_gates(scores: str) -> str:
    return scores.replace("[{", "[{beats: champion, metric: value}, {", 1)


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    """Give a factory whose amounts stand in a column, and what its run said."""
    with make(tmp_path_factory.mktemp("priced") / "factory", FILE.replace(MATRIX, BY_AMOUNT)) as factory:
        yield factory, execute_inline(factory, "claims")


def test_amounts_may_be_a_column(priced):
    """A missed claim of 400 is not one of 10."""
    factory, ran = priced
    package = factory.metadata.get(ran.digest, Package)
    (told,) = [one for one in ran.metrics if one.name == "value"]
    claims = pl.read_csv(factory.root / "claims.csv")
    at_most = 1_000 * claims.filter(pl.col("fraud") == "yes")["amount"].sum() / claims.height

    assert ran.promoted
    assert ("amount", "-amount") == (package.value.true_positive, package.value.false_negative)
    assert 0.2 < package.threshold < 0.6
    assert told.low < told.value < told.high
    assert told.value < 1.5 * at_most


@pytest.mark.parametrize(
    ("matrix", "column", "error", "says"),
    [
        (BY_AMOUNT.replace("amount", "amont"), None, SpecError, "keeps no such column.*amont.*amount"),
        (BY_AMOUNT.replace("amount", "fraud"), None, SpecError, "holds no numbers.*fraud: category"),
        (
            BY_AMOUNT,
            "-5",
            ContractBreach,
            "1 of 400 labelled rows with an amount below 0, first row 1.*the sign stands",
        ),
        (BY_AMOUNT, "", ContractBreach, "1 of 400 labelled rows without an amount, first row 1.*coalesce"),
        (BY_AMOUNT.replace("-amount", "amount"), None, SpecError, "no alarm could ever pay"),
        ("value: {true_positive: 0, false_negative: 5}", None, SpecError, "no alarm could ever pay"),
    ],
    ids=["missing column", "no number", "negative", "no amount", "no gain", "wrong way round"],
)
def test_amounts_that_say_nothing_are_refused_before_anything_is_trained(
    tmp_path, matrix, column, error, says
):
    """Money computed from a typing mistake is worse than none; and nobody waits for a training to hear of it."""
    with make(tmp_path / "factory", FILE.replace(MATRIX, matrix), rows=400) as factory:
        if column is not None:
            path = factory.root / "claims.csv"
            first = path.read_text().splitlines()[1]
            cells = first.split(",")
            path.write_text(path.read_text().replace(first, ",".join([*cells[:3], column, cells[4]]), 1))

        with pytest.raises(error, match=rf"(?s){says}"):
            check_line(factory, "claims")
        with pytest.raises(error, match=rf"(?s){says}"):
            execute_inline(factory, "claims")
        assert not factory.metadata.versions("claims")


def test_value_without_amounts_is_refused(tmp_path):
    """A gate on money that was never declared would be undecided for ever."""
    text = FILE.replace(MATRIX, "gates: [{metric: value, at_least: 100}]")
    with (
        make(tmp_path / "factory", text, rows=400) as factory,
        pytest.raises(SpecError, match="does not say what decisions are worth"),
    ):
        factory.line("claims")


def test_a_metric_that_is_read_first_may_be_value_and_still_trains_nothing(tmp_path):
    """Amounts choose no model, or each of them would begin a training."""
    text = FILE.replace("task: binary,", "task: binary, metric: value,")
    with make(tmp_path / "factory", text, rows=400) as factory:
        first = execute_inline(factory, "claims")
        change(factory, MATRIX, DEARER)

        assert "value" == first.metrics[0].name
        assert ["decide", "evaluate", "gate", "release"] == [
            one.step for one in make_plan(factory, factory.line("claims")).changes
        ]


@pytest.mark.slow
def test_the_command_that_follows_a_new_matrix_takes_a_few_seconds_of_cpu(tmp_path):
    """What a person types, with all its processes: no library that trains is loaded for it."""
    root = tmp_path / "factory"
    with make(root, rows=800) as factory:
        execute_inline(factory, "claims")
        change(factory, MATRIX, DEARER)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import sys; from linewright.interfaces.cli import main; sys.argv = ['linewright', 'run', 'claims', '--factory', sys.argv[1]]; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, timeout=120, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    print(f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.2f} s of CPU")
    assert "did      decide, evaluate, gate" in done.stdout, done.stderr


def test_a_false_alarm_that_costs_nothing_is_doubted(tmp_path):
    """A forgotten minus answers an alarm to every row, and the gates find that worth most."""
    free = FILE.replace("false_positive: -60", "false_positive: 60")
    with make(tmp_path / "factory", free) as factory:
        told = [*map(finding_in_words, check_line(factory, "claims").findings)]

    assert ["false_positive 60" in one for one in told] == [True]


def test_a_plan_refers_to_nothing_that_is_not_kept(tmp_path):
    """Whoever plans and then verifies would be told to restore a backup."""
    with make(tmp_path / "factory") as factory:
        execute_inline(factory, "claims")
        change(factory, MATRIX, DEARER)
        plan(factory, "claims")

        assert () == verify_factory(factory).problems


def test_amounts_that_are_not_in_force_are_told(tmp_path):
    """The file says one thing and the champion decides by another: nobody would look for that."""
    without = FILE.replace(MATRIX, "gates: [{metric: roc_auc, at_least: 0.6}]")
    with make(tmp_path / "factory", without) as factory:
        execute_inline(factory, "claims")
        change(factory, "at_least: 0.6}]", "at_least: 0.99}]\n" + MATRIX)
        refused = execute_inline(factory, "claims")

    assert AmountsInForce(model="claims@1", amounts=None) == refused.amounts_in_force
    assert "claims@1 goes on deciding without amounts, so that its answers are not priced" in result_text(
        refused
    )
