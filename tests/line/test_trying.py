"""What a run has done so far, a row that is tried, other amounts, and edits of a line file: what pages of work ask for."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import small

from linewright.capabilities.lines.operations import check_text
from linewright.capabilities.overview.operations.history import runs
from linewright.capabilities.predictions.operations import request_form, try_
from linewright.capabilities.runs.operations import run_steps
from linewright.capabilities.value.operations import what_if
from linewright.data.facts import Edit
from linewright.errors import NotFound, RequestError, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.file.edit import difference, edited
from linewright.line.file.mistakes import Mistakes
from linewright.line.file.yaml_nodes import Entries, Scalar, read_nodes
from linewright.line.runs.execute import execute_inline

VALUE = "value: {currency: EUR, true_positive: 0, false_positive: -1, false_negative: -9}\n"


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory):
    root = small.make_factory(tmp_path_factory, tmp_path_factory.mktemp("trying") / "factory")
    line = root / "lines" / "claims.yaml"
    line.write_text(line.read_text() + VALUE)
    with Factory.open(root) as opened:
        execute_inline(opened, small.LINE)
        yield opened


def newest(factory: Factory, place: int = 0) -> str:
    return runs(factory, small.LINE).runs[place].run


# Runs


def test_a_run_of_the_engine_tells_how_long_each_step_took(factory):
    """Who waits wants to know what is slow."""
    found = run_steps(factory, newest(factory, 1))

    assert "done" == found.state
    assert ["ingest", "split", "train"] == [one.step for one in found.steps[:3]]
    assert all(one.seconds is not None and one.seconds >= 0 for one in found.steps)
    assert {"computed", "done"} == {one.state for one in found.steps}
    assert found.trials
    assert 1 == round(sum(one.weight for one in found.members))
    assert ["pass"] == [one.status for one in found.gates]
    assert 240 == found.rows
    assert "gate     pass" in str(result_text(found))


def test_of_a_run_in_this_process_the_results_are_known_and_the_times_are_not(factory):
    found = run_steps(factory, newest(factory))

    assert "done" == found.state
    assert {None} == {one.seconds for one in found.steps}
    assert found.verdict
    assert found.threshold_because


def test_a_run_that_nobody_accepted_is_unknown(factory):
    with pytest.raises(NotFound, match="no such run"):
        run_steps(factory, "00000000-0000-0000-0000-000000000000")
    with pytest.raises(RequestError, match="not the id of a run"):
        run_steps(factory, "x")


# Rows


def test_a_form_has_the_columns_that_are_read_with_an_example_that_is_answered(factory):
    form = request_form(factory, small.LINE)
    row = {one.name: one.example for one in form.fields}
    found = try_(factory, small.LINE, row=_json(row))

    assert {"amount", "age"} == row.keys()
    assert found.answer["prediction"] in form.classes


@pytest.mark.parametrize("row", [{"amount": 1.5, "age": 40}, {"amount": "1.5", "age": " 40 "}])
def test_numbers_of_a_form_are_texts(factory, row: dict[str, Any]):
    found = try_(factory, small.LINE, row=_json(row))

    assert {"amount": 1.5, "age": 40} == found.row
    assert "yes" == found.answer["prediction"]


def test_the_nearest_change_that_flips_the_answer_comes_first_and_does_so(factory):
    """It is told with the answer that it gives: tried again, it gives that."""
    found = try_(factory, small.LINE, row=_json({"amount": 1.5, "age": 40}))
    first = found.changes[0]

    assert first.flips
    assert "amount" == first.column
    again = try_(factory, small.LINE, row=_json({**found.row, first.column: first.to}))
    assert first.prediction == again.answer["prediction"] != found.answer["prediction"]
    assert found.looked_at <= 5_000
    assert "nothing was logged" in str(result_text(found))


def test_trying_changes_nothing_that_is_logged(factory):
    def log() -> dict[Path, int]:
        return {file: file.stat().st_size for file in (factory.state / "log").rglob("*") if file.is_file()}

    before = log()
    try_(factory, small.LINE, row=_json({"amount": 0, "age": 1}))

    assert before == log()


@pytest.mark.parametrize(
    "row", ["[]", "x", '{"amount": "many", "age": 1}', '{"other": 1, "amount": 1, "age": 1}']
)
def test_what_is_no_row_is_refused_by_name(factory, row: str):
    with pytest.raises(RequestError):
        try_(factory, small.LINE, row=row)


# Amounts


def test_dearer_false_alarms_raise_the_threshold(factory):
    """The threshold is that of training rows, the money that of test rows."""
    cheap = what_if(factory, small.LINE, false_positive="-1")
    dear = what_if(factory, small.LINE, false_positive="-30")

    assert cheap.then.threshold < dear.then.threshold
    assert dear.then.false_positive <= cheap.then.false_positive
    for found in (cheap, dear):
        counts = (
            found.then.true_positive,
            found.then.false_positive,
            found.then.false_negative,
            found.then.true_negative,
        )
        assert found.n == sum(counts)
        assert found.then.total == pytest.approx(sum(found.then.worth))
        assert found.gain_low <= found.gain <= found.gain_high
        assert found.gain == pytest.approx(found.then.total - found.now.total)


def test_the_amounts_of_the_line_ask_for_the_threshold_that_is_there(factory):
    """What a run chose and what this chooses are one rule."""
    found = what_if(factory, small.LINE)

    assert found.now == found.then
    assert (0, 0.0, "") == (found.otherwise, found.gain, found.diff)


def test_the_file_with_the_amounts_is_right_and_differs_in_nothing_else(factory):
    found = what_if(factory, small.LINE, false_positive="-30")
    checked = check_text(factory, small.LINE, found.text)

    assert () == checked.errors
    changed = [one for one in found.diff.splitlines() if one[:1] in "+-" and one[:3] not in ("+++", "---")]
    assert 2 == len(changed)
    assert "false_positive: -30" in changed[1]


@pytest.mark.parametrize("amount", ["nan", "nobody", "fraud", "1e999"])
def test_what_is_no_amount_is_refused(factory, amount: str):
    with pytest.raises(RequestError, match="amount"):
        what_if(factory, small.LINE, true_positive=amount)


def test_amounts_by_which_no_alarm_could_pay_are_refused(factory):
    with pytest.raises(SpecError, match="no alarm could ever pay"):
        what_if(factory, small.LINE, true_positive="-100")


# Edits of a line file

TEXT = """\
# why
line: claims  # the name
table:
  exclude: [a]   # these
gates:
- {metric: roc_auc, at_least: 0.5} # a bar
label: {column: "y"}
"""


def test_an_edit_leaves_all_else_as_it_is_written():
    """Comments are the reasons of a line file; who takes a remedy does not lose them."""
    after = edited(TEXT, [Edit(path=("table", "exclude"), value="b", is_item=True)])

    assert TEXT.replace("[a]", "[a, b]").split() == after.split()
    assert TEXT == edited(TEXT, [])
    assert TEXT == edited(TEXT, [Edit(path=("table", "exclude"), value="a", is_item=True)])


@pytest.mark.parametrize("value", ["yes", "1", "a: b", "<x>", "", "- x", "#", "null"])
def test_a_text_stays_a_text(value: str):
    """Whatever a column is called, it is no number, no truth value and no comment."""
    after = edited("line: a\n", [Edit(path=("label", "column"), value=value)])
    root = read_nodes(after, Mistakes("lines/a.yaml"))
    assert root is not None
    label = root.entries["label"][1]
    assert isinstance(label, Entries)
    found = label.entries["column"][1]
    assert isinstance(found, Scalar)
    assert value == found.value


def test_an_edit_without_a_place_is_refused():
    with pytest.raises(RequestError, match="nothing can be changed here"):
        edited(TEXT, [Edit(path=("line", "x"), value="y")])
    with pytest.raises(RequestError, match="nothing can be added here"):
        edited(TEXT, [Edit(path=("line",), value="y", is_item=True)])
    with pytest.raises(SpecError, match="not readable as YAML"):
        edited("a: [", [])


def test_a_difference_is_one_of_the_file_in_its_folder():
    assert "" == difference("a\n", "a\n", "claims")
    assert "--- a/lines/claims.yaml" in difference("a\n", "b", "claims")


def _json(row: dict[str, Any]) -> str:
    return msgspec.json.encode(row).decode()
