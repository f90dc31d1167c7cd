"""Sources at a glance: what is read, by whom, when it was read last, and what went wrong."""

import polars as pl
import pytest
from paid import FILE, VIEW, write_factory
from shown_pages import pages_of
from small import LINE, make_factory

from linewright.capabilities.sources.operations import sources
from linewright.errors import Denied, LinewrightError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.serve.access.rights import ROLES, Identity, Scope

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = make_factory(tmp_path_factory, tmp_path / "works")
    text = (root / "lines" / "claims.yaml").read_text()
    (root / "lines" / "twin.yaml").write_text(text.replace("line: claims", "line: twin"))
    (root / "lines" / "other.yaml").write_text(
        text.replace("line: claims", "line: other").replace(
            "{file: claims.csv}", "{sql: 'select * from t', at: env:OTHER_DB}"
        )
    )
    with Factory.open(root) as opened:
        yield opened


def test_each_source_tells_what_it_reads_and_how_the_last_read_went(factory, monkeypatch):
    """A source that no run has read says so, and a password is not part of what is read."""
    monkeypatch.setenv("OTHER_DB", "postgresql://ann:top-secret@db.example.com/shop")
    found = {one.line: one for one in sources(factory).sources}

    assert ("file", "claims.csv", ("twin",), 240) == (
        found[LINE].kind,
        found[LINE].reads,
        found[LINE].also,
        found[LINE].rows,
    )
    assert found[LINE].read_at
    assert found[LINE].fingerprint
    assert (None, None, "") == (found["twin"].read_at, found["twin"].fingerprint, found["twin"].trouble)
    assert ("sql", "a query on db.example.com/shop") == (found["other"].kind, found["other"].reads)


def test_a_read_that_failed_is_listed_with_the_last_one_that_succeeded(factory):
    (factory.root / "claims.csv").write_text("claim,amount\nC1,2\n")
    with pytest.raises(LinewrightError):
        execute_inline(factory, LINE)
    (found,) = sources(factory, LINE).sources

    assert "the table has no column 'fraud'" in found.trouble
    assert 240 == found.rows
    assert f"failed: {LINE}, claims: {found.trouble}" in (result_text(sources(factory, LINE)) or "")


def test_lines_of_others_are_not_named(factory):
    """Who may see one line learns nothing of the others that read the same."""
    scope = Scope(permissions=ROLES["viewer"], lines=frozenset({LINE}))
    with Factory.open(factory.root, identity=Identity(actor="ann", member="ann", scopes=(scope,))) as member:
        (found,), (same,) = sources(member, LINE).sources, sources(member).sources
        with pytest.raises(Denied):
            sources(member, "twin")

    assert ((), found) == (found.also, same)


def test_many_lines_are_listed_some_at_a_time_and_not_compared(factory, monkeypatch):
    """To compare lines each file is parsed, so that of a thousand a page would take seconds."""
    first = sources(factory, limit=1)
    rest = sources(factory, after=str(first.next))
    monkeypatch.setattr("linewright.capabilities.sources.operations.MOST_COMPARED", 2)
    found = sources(factory, limit=1)

    assert (LINE, ["other", "twin"]) == (first.next, [one.line for one in rest.sources])
    assert rest.next is None
    assert ((None,), LINE) == (tuple(one.also for one in found.sources), found.next)


def test_sources_of_feature_views_are_listed_with_the_rows_that_the_last_run_has_read(tmp_path):
    """Who asks what a line depends on is told of the views too, also if the file of one is wrong."""
    write_factory(tmp_path, payments=300, orders=150)
    twin = FILE.replace("line: orders", "line: twin").replace("[customer_30d]", "[customer_30d, broken]")
    (tmp_path / "lines" / "twin.yaml").write_text(twin)
    (tmp_path / "features" / "broken.yaml").write_text(VIEW.replace("view: customer_30d", "view: other"))
    with Factory.create(tmp_path) as factory:
        execute_inline(factory, "orders")
        found = sources(factory)
    own, of_view, _, unread = found.sources

    assert ["", "customer_30d", "", "customer_30d"] == [one.view for one in found.sources]
    assert (150, 300) == (own.rows, of_view.rows)
    assert ("file", "payments.csv", ("twin",)) == (of_view.kind, of_view.reads, of_view.also)
    assert (own.run, own.read_at, None) == (of_view.run, of_view.read_at, of_view.newest)
    assert None not in {own.newest, own.fingerprint, of_view.fingerprint}
    assert own.fingerprint != of_view.fingerprint
    assert (None, None, None) == (unread.read_at, unread.rows, unread.fingerprint)
    assert ["features/broken.yaml"] == [one.split(":")[0] for one in found.troubles]
    page = pages_of(tmp_path)("/sources")
    for said in ("Feature view customer_30d", "payments.csv", "features/broken.yaml"):
        assert said in page.text


def test_times_are_written_as_elsewhere_and_what_is_empty_takes_no_room(tmp_path):
    """A run of this process notes no times of its steps, and a column of dashes tells nobody anything."""
    write_factory(tmp_path, payments=300, orders=150)
    newest = pl.read_csv(tmp_path / "orders.csv")["at"].max()
    with Factory.create(tmp_path) as factory:
        execute_inline(factory, "orders")
        found = sources(factory)
    head, own, _ = (result_text(found) or "").splitlines()
    page = pages_of(tmp_path)("/sources").html

    assert ["line source kind reads last read rows newest row fingerprint"] == [" ".join(head.split())]
    assert f"{newest}Z" in own
    assert f'<time datetime="{str(newest).replace(" ", "T")}Z">' in page
    assert "Seconds" not in page
