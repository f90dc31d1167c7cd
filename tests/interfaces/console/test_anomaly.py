"""A version of a line that looks for anomalies in the console."""

import random

import pytest
from shown_pages import Get, pages_of

from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline

LINE = """\
line: parts
sources: {s: {file: parts.csv}}
table: {key: key}
label: {column: state}
train: {task: anomaly, folds: 2}
"""


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Get:
    root = tmp_path_factory.mktemp("parts") / "factory"
    (root / "lines").mkdir(parents=True)
    (root / "lines" / "parts.yaml").write_text(LINE)
    chance = random.Random(4)
    rows = ["key,width,height,state"]
    for number in range(600):
        width, is_faulty = chance.gauss(0, 1), number % 12 == 0
        height = 4 - width if is_faulty else width
        rows.append(f"p{number},{width},{height + chance.gauss(0, 0.1)},{'faulty' if is_faulty else ''}")
    (root / "parts.csv").write_text("\n".join(rows) + "\n")
    with Factory.create(root) as factory:
        execute_inline(factory, "parts")
    return pages_of(root)


def test_a_version_does_not_say_that_rows_are_few_where_slices_are_not_looked_for(get):
    """The card says the same."""
    said = get("/lines/parts/versions/1").text

    assert "Good rows are not looked at by slices" in said
    assert "too few test rows" not in said


def test_its_decisions_have_a_value_and_people_can_say_what_is_faulty(get):
    offered = get("/lines/parts").links

    assert {f"/lines/parts/{page}" for page in ("value", "label", "labels")} <= {*offered}
