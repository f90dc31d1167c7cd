"""`check` names views that know what came after a row, and views that know nothing of the rows."""

import random

from paid import write, write_factory

from linewright.capabilities.lines.operations import check
from linewright.data.finding_text import finding_in_words
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory

LINE = """\
line: orders
sources: {orders: {file: orders.csv}}
table: {key: order, time: at}
features: [history]
label: {column: late, positive: "yes"}
"""
VIEW = """\
view: history
entity: customer
source: {file: outcomes.csv}
time: at
key: order
columns: {last_outcome: last(outcome), late_90d: count(outcome = 'late') over 90d}
"""


def write_outcomes(root):
    """One row an order, of the order's own time, that was written when the outcome was known, five days later."""
    chance = random.Random(4)
    orders, outcomes = [], []
    for number in range(700):
        day, customer = chance.randrange(1, 180), chance.randrange(80)
        late = chance.random() < 0.2 + 0.3 * (customer % 2)
        at, known = (
            f"2026-{1 + one // 28:02}-{1 + one % 28:02} {number % 24:02}:00:00" for one in (day, day + 5)
        )
        orders.append(
            [f"O{number}", f"C{customer}", at, f"{chance.uniform(1, 9):.2f}", "yes" if late else "no"]
        )
        outcomes.append([f"O{number}", f"C{customer}", at, known, "late" if late else "fine"])
    (root / "lines").mkdir(parents=True)
    (root / "features").mkdir()
    write(root / "orders.csv", "order,customer,at,basket,late", orders)
    write(root / "outcomes.csv", "order,customer,at,known,outcome", outcomes)
    (root / "lines" / "orders.yaml").write_text(LINE)


def found_in(root, view: str):
    (root / "features" / "history.yaml").write_text(view)
    with Factory.create(root) as factory:
        findings = check_line(factory, "orders").findings
    asked = (one for one in findings if one.check.startswith("view-") and one.severity != "note")
    return {one.columns or one.check: one for one in asked}


def test_a_planted_leak_is_found_and_its_view_named(tmp_path):
    """The row of the order itself is of the order's time: as of that moment it would tell how the order ends."""
    write_outcomes(tmp_path)
    found = found_in(tmp_path, VIEW)

    assert ("newest", "history") == (
        found["last_outcome",].evidence["form"],
        found["last_outcome",].evidence["view"],
    )
    assert "add known: COLUMN to features/history.yaml" in finding_in_words(found["last_outcome",])
    assert "view-known" in found
    always = VIEW.replace("time: at\n", "time: none\n").replace(
        ", late_90d: count(outcome = 'late') over 90d", ""
    )
    said = finding_in_words(found_in(tmp_path, always)["view-known"])
    assert "counts for all times" in said


def test_with_knowledge_time_the_same_view_leaks_nothing(tmp_path):
    """What was known then is an honest feature: how earlier orders ended."""
    write_outcomes(tmp_path)

    assert {} == found_in(tmp_path, VIEW.replace("time: at", "time: at\nknown: known"))


def test_a_check_of_views_can_be_switched_off(tmp_path):
    write_outcomes(tmp_path)
    (tmp_path / "lines" / "orders.yaml").write_text(LINE + "checks: {disable: [view-known, view-future]}\n")

    assert {} == found_in(tmp_path, VIEW)


def test_a_view_that_knows_none_of_the_rows_is_named_with_how_both_spell_an_entity(tmp_path):
    """Else all its columns are null, and nobody sees why."""
    write_factory(tmp_path, payments=80, orders=60)
    path = tmp_path / "payments.csv"
    path.write_text(path.read_text().replace(",C", ",customer-"))
    with Factory.create(tmp_path) as factory:
        found = [one for one in check_line(factory, "orders").findings if one.check == "view-absent"]

    assert [("customer",)] == [one.columns for one in found]
    assert "customer-" in finding_in_words(found[0])


def test_rows_that_get_nothing_of_a_view_are_counted(tmp_path):
    """A few customers without payments are no fault, but who reads on wants to know how many."""
    write_factory(tmp_path, payments=300, orders=60)
    with Factory.create(tmp_path) as factory:
        found = [one for one in check_line(factory, "orders").findings if one.check == "view-absent"]

    (one,) = found
    assert ("note", 60) == (one.severity, one.evidence["of"])
    assert 0 < int(str(one.evidence["rows"])) < 54
    assert (
        f"{one.evidence['rows']} of 60 rows get nothing of feature view 'customer_30d'"
        in finding_in_words(one)
    )


def test_a_note_about_a_view_is_told(tmp_path):
    """A view that gives nothing to some rows is worth a word, and no reason to end."""
    write_outcomes(tmp_path)
    (tmp_path / "features" / "history.yaml").write_text(
        VIEW.replace("time: at", "time: at\nknown: known").replace(
            ", late_90d: count(outcome = 'late') over 90d", ""
        )
    )
    with Factory.create(tmp_path) as factory:
        checked = check(factory, "orders")
    notes = [one for line in checked.lines for one in line.findings if one.severity == "note"]

    assert notes
    for one in notes:
        assert f"  note: {finding_in_words(one)}" in str(result_text(checked))
