"""Who is forgotten is left out of feature views: of what is stored of them, of what they read, and of what requests get."""

import re

import pytest
from databases import at_postgres, share_features
from paid import FILE, LINE, write_factory
from templates import copied, made_once

from linewright.capabilities.care.forget import forget, resume
from linewright.capabilities.care.verify import verify_factory
from linewright.features.views.records import Records, records_path
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.release.view_maintenance import views_served
from linewright.line.retention.forgotten import begin
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.views.write_records import write_view
from linewright.serve.rows.lookup.feature_lookup import ViewLookup

HER = "CUSTOMER-00003"


def made(root):
    write_factory(root)
    for name in ("payments.csv", "orders.csv", "ask.csv"):
        path = root / name
        path.write_text(re.sub(r"\bC3\b", HER, path.read_text()))
    file = FILE.replace("key: order,", "key: order, subject: customer,")
    (root / "lines" / f"{LINE}.yaml").write_text(file)
    other = FILE.replace("line: orders", "line: other").replace(
        "key: order,", "key: order, exclude: [customer],"
    )
    (root / "lines" / "other.yaml").write_text(other)
    with Factory.create(root) as factory:
        execute_inline(factory, LINE)
        execute_inline(factory, "other")


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = copied(made_once(tmp_path_factory, "paid-forgotten", made), tmp_path / "factory")
    with Factory.open(root) as opened:
        yield opened


def views_of(factory):
    return [facts for line in (LINE, "other") for facts in views_served(factory, line)]


def looked_up(factory, facts, *customers):
    """Return what the endpoint gives of the view, and the digest of each record."""
    view = ViewLookup(factory.state, facts, now=factory.now)
    return [(one.record, one.missing) for _, one, _ in view.of(customers, factory.now())]


def test_forget_reaches_the_records_of_all_models_at_once(factory):
    """They are state like any other; its file of another customer is what it was."""
    views = views_of(factory)
    before = [looked_up(factory, facts, HER, "C4") for facts in views]
    assert all(one[0][0] for one in before)
    would = forget(factory, LINE, HER, dry_run=True)
    assert before == [looked_up(factory, facts, HER, "C4") for facts in views]

    gone = forget(factory, LINE, HER, dry_run=False)
    after = [looked_up(factory, facts, HER, "C4") for facts in views]

    assert (("customer_30d",), len({*views})) == (would.views, would.records) == (gone.views, gone.records)
    assert [(None, "view-absent")] * len(views) == [one[0] for one in after]
    assert [one[1] for one in before] == [one[1] for one in after]
    assert "feature views leave it out, for all lines: customer_30d, " in result_text(gone)
    assert () == gone.left
    assert () == verify_factory(factory).problems


def test_who_is_forgotten_does_not_come_back_with_the_rows_of_the_source(factory):
    """They stand there still: neither a run, nor the worker, nor a file of rows computes anything of them."""
    forget(factory, LINE, HER, dry_run=False)
    assert HER in (factory.root / "payments.csv").read_text()
    execute_inline(factory, LINE)
    for facts in views_of(factory):
        write_view(factory, facts)

    assert [(None, "view-absent")] * len(views_of(factory)) == [
        looked_up(factory, facts, HER)[0] for facts in views_of(factory)
    ]


def test_a_line_that_shares_the_view_reads_nothing_of_the_person_either(factory):
    """A view is computed once for all lines, so that the strictest of them counts; the other line runs again for it."""
    assert () == make_plan(factory, factory.line("other")).changes
    forget(factory, LINE, HER, dry_run=False)
    (change,) = make_plan(factory, factory.line("other")).changes[:1]

    assert "ingest" == change.step


def test_a_source_that_cannot_be_read_keeps_nobody_from_being_forgotten(factory):
    """Then all records go, until it can be read again."""
    (factory.root / "payments.csv").rename(factory.root / "away.csv")
    forget(factory, LINE, HER, dry_run=False)
    (facts, *_) = views_of(factory)

    assert 0 == Records(records_path(factory.state, facts)).header.entities
    assert [(None, "view-absent")] * 2 == looked_up(factory, facts, HER, "C4")
    (factory.root / "away.csv").rename(factory.root / "payments.csv")
    write_view(factory, facts)
    assert looked_up(factory, facts, HER, "C4")[0] == (None, "view-absent")
    assert looked_up(factory, facts, "C4")[0][0] is not None


def test_an_interrupted_removal_takes_the_records_too(factory):
    """By the hashes on the list alone: the value is known to nobody any more."""
    begin(factory, LINE, HER)
    assert 1 == resume(factory).ended

    assert [(None, "view-absent")] * len(views_of(factory)) == [
        looked_up(factory, facts, HER)[0] for facts in views_of(factory)
    ]


def test_forget_reaches_the_records_that_machines_share_on_postgresql(factory, shared, tmp_path):
    """The file of before goes there too, and each machine fetches the one without the person."""
    share_features(factory.root)
    share_features(tmp_path / "there")
    there = tmp_path / "there" / ".linewright"
    views = sorted({*views_of(factory)}, key=str)
    for facts in views:
        write_view(factory, facts)
        view = ViewLookup(there, facts, now=factory.now)
        view.refresh()
        assert [one.missing for _, one, _ in view.of((HER, "C4"), factory.now())] == [None, None]
    before = parts_of(shared)

    gone = forget(factory, LINE, HER, dry_run=False)

    assert gone.left == ()
    after = parts_of(shared)
    assert (len(after), after & before) == (len(views), set())
    for facts in views:
        view = ViewLookup(there, facts, now=factory.now)
        view.refresh()
        assert [one.missing for _, one, _ in view.of((HER, "C4"), factory.now())] == ["view-absent", None]


def test_records_that_cannot_be_written_again_are_withdrawn_on_postgresql(factory, shared):
    """Else another machine would fetch the person again."""
    share_features(factory.root)
    for facts in views_of(factory):
        write_view(factory, facts)
    (factory.root / "payments.csv").rename(factory.root / "away.csv")

    forget(factory, LINE, HER, dry_run=False)

    assert shared.execute("select count(*) from linewright.views").fetchone() == (0,)
    assert shared.execute("select count(*) from linewright.parts").fetchone() == (0,)


@pytest.fixture
def shared(postgres, monkeypatch):
    with at_postgres(postgres, monkeypatch) as database:
        yield database


def parts_of(database):
    """Return what the database has of files of records; each of these files is one part."""
    return {body for (body,) in database.execute("select body from linewright.parts").fetchall()}
