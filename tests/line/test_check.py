"""What `check` finds wrong between a line file and its data, each with its place in the file."""

import polars as pl
import pytest

from linewright.capabilities.lines.operations import check
from linewright.data.finding_text import finding_in_words
from linewright.errors import SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline

ROWS = 60


def said(found):
    return [finding_in_words(one) for one in found.findings]


def factory_of(folder, text: str) -> Factory:
    """Make a factory whose line ``a`` has a label of two classes ``y`` and one of many numbers ``z``."""
    (folder / "lines").mkdir(parents=True)
    numbers = range(ROWS)
    pl.DataFrame(
        {
            "id": [f"R{number}" for number in numbers],
            "size": [number * 37 % 61 for number in numbers],
            "sex": ["fm"[number % 2] for number in numbers],
            "flat": ["same" for _ in numbers],
            "y": ["yes" if number % 3 else "no" for number in numbers],
            "z": [number * 1.5 for number in numbers],
        }
    ).write_csv(folder / "t.csv")
    (folder / "lines" / "a.yaml").write_text(f"line: a\nsources: {{t: {{file: t.csv}}}}\n{text}")
    return Factory.create(folder)


@pytest.mark.parametrize(
    ("text", "place", "what", "says"),
    [
        (
            "table: {key: idd}\nlabel: {column: y}\n",
            "3:9",
            "the table has no column 'idd'",
            "did you mean 'id'?",
        ),
        ("table: {time: when}\nlabel: {column: y}\n", "3:9", "the table has no column 'when'", "id, size"),
        ("table: {group: ssex}\nlabel: {column: y}\n", "3:9", "the table has no column 'ssex'", "'sex'"),
        (
            "table:\n  exclude:\n    - id\n    - sise\nlabel: {column: y}\n",
            "6:7",
            "no column 'sise'",
            "'size'",
        ),
        ("label: {column: Y1}\n", "3:9", "the table has no column 'Y1'", "'y'"),
        ("label: {column: y, positive: 'Yes'}\n", "3:20", "no row has the positive label", "'yes'"),
        (
            "label: {column: y}\ntrain:\n  metric: rmse\n",
            "5:3",
            "no such metric for a binary task",
            "'rmse' is for regression tasks",
        ),
        (
            "label: {column: z}\ngates:\n  - {metric: roc_auc, at_least: 0.7}\n",
            "5:6",
            "no such metric for a regression task",
            "'roc_auc' is for binary",
        ),
        (
            "label: {column: z}\ngates:\n  - {fairness: sex, at_most: 0.2}\n",
            "5:6",
            "a fairness gate compares yes-or-no decisions, and the task is regression",
            "",
        ),
        (
            "label: {column: y}\ngates:\n  - {fairness: ssex, at_most: 0.2}\n",
            "5:6",
            "the table keeps no such column",
            "did you mean 'sex'?",
        ),
        (
            "label: {column: y}\ngates:\n  - {fairness: y, at_most: 0.2}\n",
            "5:6",
            "a fairness gate compares groups, and this column is the label",
            "name another column",
        ),
        (
            "table: {key: id, weight: size}\nlabel: {column: y}\ngates:\n  - {at_most: 0.2, fairness: id}\n",
            "6:20",
            "this column is the key",
            "",
        ),
        (
            "table: {key: id, weight: size}\nlabel: {column: y}\ngates:\n  - {fairness: size, at_most: 0.2}\n",
            "6:6",
            "this column is the weight",
            "",
        ),
        (
            "table: {exclude: [id, size, sex, flat, z]}\nlabel: {column: y}\n",
            "3:1",
            "no feature is left to learn from",
            "",
        ),
        (
            "table: {exclude: [id, size, sex, z]}\nlabel: {column: y}\n",
            "3:1",
            "no feature is left to learn from",
            "flat",
        ),
        (
            "label: {column: y}\ncontract:\n  columns:\n    sise: {type: integer}\n",
            "6:5",
            "the table lacks 1 of the columns",
            "'size'",
        ),
        ("label: {column: flat}\n", "3:9", "the label is the same in every row", ""),
    ],
    ids=lambda value: value.replace("\n", " ")[:40] if ":" in value else "",
)
def test_what_the_data_do_not_have_is_said_with_its_place(tmp_path, text, place, what, says):
    """A person wants to know it before an hour of training, and where to mend it."""
    with factory_of(tmp_path, text) as factory:
        found = check(factory).lines[0]

        error = found.errors[0]
        assert f"{factory.path_of('a')}:{place}" == error["where"]
        assert what in error["message"]
        assert says in error["message"]
        assert found.exit_code in {2, 3}


def test_all_names_that_the_table_lacks_are_told_at_once(tmp_path):
    """Mending one to be told of the next is a waste of a morning."""
    with factory_of(tmp_path, "table: {key: idd, group: ssex}\nlabel: {column: yy}\n") as factory:
        errors = check(factory).lines[0].errors

    assert ["idd", "ssex", "yy"] == [error["found"] for error in errors]


def test_a_run_finds_it_before_it_trains(tmp_path):
    """What `check` says, a run says too, with the same place."""
    with factory_of(tmp_path, "label: {column: y}\ntrain: {metric: rmse}\n") as factory:
        with pytest.raises(SpecError, match="no such metric for a binary task") as caught:
            execute_inline(factory, "a")

        assert f"{factory.path_of('a')}:4:9" == caught.value.where


GATE = "label: {column: y}\ngates: [{fairness: COLUMN, at_most: 0.2, min_group: LEAST}]\n"


@pytest.mark.parametrize(
    ("column", "least", "says"),
    [
        (
            "sex",
            7,
            "gates[0] cannot decide about sex: its largest groups have about 6 of 'f', 6 of 'm' test rows",
        ),
        (
            "flat",
            1,
            "have about 12 of 'same' test rows, and two groups with 1 are needed (min_group)",
        ),
        ("sex", 6, ""),
    ],
)
def test_a_fairness_gate_that_can_never_decide_is_a_doubt_with_a_way_out(tmp_path, column, least, says):
    """It would be believed to guard, and answers "undecided" for ever."""
    text = GATE.replace("COLUMN", column).replace("LEAST", str(least))
    with factory_of(tmp_path, text) as factory:
        found = check(factory).lines[0]

    doubts = [doubt for doubt in said(found) if "gates[" in doubt]
    assert () == found.errors
    assert bool(says) == bool(doubts)
    assert says in "".join(doubts)
    assert not says or "lower min_group, write when_small: block" in doubts[0]


@pytest.mark.parametrize(
    ("beside", "doubts"),
    [("", 1), (", {metric: roc_auc, at_least: 0.6}", 0), (", {beats: baseline}", 0)],
)
def test_a_margin_below_zero_without_a_bar_that_does_not_move_is_a_doubt(tmp_path, beside, doubts):
    """Left in the file, it lets each champion be a little worse than the last."""
    text = f"label: {{column: y}}\ngates: [{{beats: champion, margin: -0.01}}{beside}]\n"
    with factory_of(tmp_path, text) as factory:
        found = [one for one in said(check(factory).lines[0]) if "with margin -0.01 each champion" in one]

    assert doubts == len(found)


def test_a_spelling_of_missing_that_matches_nothing_is_a_doubt(tmp_path):
    """It would be believed to be gone, and stays a number."""
    with factory_of(tmp_path, "label: {column: y}\n") as factory:
        path = factory.path_of("a")
        path.write_text(path.read_text().replace("t.csv}", "t.csv, missing: ['', '36', '66', 'NA', m]}"))
        found = check(factory).lines[0].findings

    assert [("66", "66.0"), ("NA", None)] == [
        (one.evidence["word"], one.evidence["near"]) for one in found if one.check == "unused-missing"
    ]


def test_a_new_column_is_told_as_one_that_is_no_feature(tmp_path):
    """It breaks no rule in 60 of 60 rows; it is left out."""
    names = ("id", "size", "sex", "flat", "z", "y")
    rules = "".join(
        f"    {name}: {{type: {'number' if name == 'z' else 'category'}}}\n"
        for name in names
        if name != "flat"
    )
    with factory_of(tmp_path, f"label: {{column: y}}\ncontract:\n  columns:\n{rules}") as factory:
        said = result_text(check(factory))

    assert "column 'flat' is not named in the contract, so it is never a feature; first value 'same'" in said


def test_a_sound_line_has_no_errors(tmp_path):
    """A warning that cries wolf is not read."""
    with factory_of(tmp_path, "table: {key: id}\nlabel: {column: y, positive: 'yes'}\n") as factory:
        assert () == check(factory).lines[0].errors


def test_a_check_points_at_no_rows_that_it_has_not_kept(tmp_path):
    """The command that it named showed nothing, or the rows of another day."""
    text = "label: {column: y}\ncontract:\n  columns:\n    size: {type: integer, min: 30}\n"
    with factory_of(tmp_path, text) as factory:
        message = check(factory).lines[0].errors[0]["message"]

    assert "mend the data, or the rule in contract.columns" in message
    assert "--quarantine" not in message


def test_what_may_mean_no_value_is_a_doubt_until_it_is_said(tmp_path):
    """A marker that is read as a value makes its column a category, or moves its mean."""
    factory = factory_of(tmp_path, "label: {column: y}\n")
    rows = [
        f"{'NA' if n % 9 == 0 else n % 50},{-200 if n % 8 == 0 else n % 40},{'ab'[n * 71 % 199 % 2]}"
        for n in range(400)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["x,t,y", *rows]) + "\n")

    def doubts() -> list[str]:
        return [doubt for doubt in said(check_line(factory, "a")) if "group" not in doubt]

    found = doubts()
    assert 'x: likely-missing: NA may mean "no value"; sources.t.missing: ["", NA]' == found[0]
    assert found[1].startswith("t: sentinel: -200 stands in 50 rows (12.5 %)")
    source = "sources: {t: {file: t.csv, missing: ['', 'NA', '-200']}}"
    (tmp_path / "lines" / "a.yaml").write_text(f"line: a\n{source}\nlabel: {{column: y}}\n")
    assert [] == doubts()


@pytest.mark.parametrize(
    ("rule", "is_doubted"),
    [
        ("", True),
        ("{type: category}", True),
        ("{type: category, pattern: '.*'}", False),
        ("{type: number}", False),
    ],
)
def test_a_category_that_is_numbers_but_for_a_cell_is_a_doubt_until_it_is_meant(tmp_path, rule, is_doubted):
    """`check` said that all is right while a number was read as names."""
    contract = f"contract: {{columns: {{x: {rule}}}}}\n" if rule else ""
    factory = factory_of(tmp_path, f"label: {{column: y}}\n{contract}")
    rows = [f"{'oops' if n == 7 else n * 31 % 97 / 8},{n % 40},{'ab'[n * 71 % 199 % 2]}" for n in range(400)]
    (tmp_path / "t.csv").write_text("\n".join(["x,t,y", *rows]) + "\n")

    found = check(factory).lines[0]

    says = "x: bad-cells: 1 of 400 values is no number, but 'oops' (line 9): as a category, each value is only a name; "
    line = "the type number sets such rows aside; contract.columns.x: {type: number}"
    assert ([says + line] if is_doubted else []) == [doubt for doubt in said(found) if "bad-cells" in doubt]
    assert (1 if rule == "{type: number}" else 0) == found.quarantined
