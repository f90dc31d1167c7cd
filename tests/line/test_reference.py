"""What live rows are compared with is computed in a process of its own."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from linewright.engine.child import Child
from linewright.errors import Terminal, Transient
from linewright.line.execute import execute_inline
from linewright.line.reference import make_reference, make_reference_in_child, reference_for
from linewright.line.registry import find_model
from linewright.line.scoring import predict_file
from linewright.line.watching import close_window
from linewright.store.values import digest_of
from linewright.watch.facts import Reference, Watched

pytestmark = pytest.mark.usefixtures("started_as_users_do")
LINE = "tumours"


@pytest.fixture(scope="module")
def watched(tumours_once):
    """Give a factory whose line serves, has answered 40 rows an hour ago, and has closed no window yet."""
    factory, began = tumours_once, datetime(2026, 1, 19, 0, 10, tzinfo=UTC)
    path = factory.root / "lines" / f"{LINE}.yaml"
    kept = [one for one in path.read_text().splitlines() if not one.startswith("# watch:")]
    path.write_text("\n".join([*kept, "watch: {every: 1h}", ""]))
    factory.now = lambda: began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert execute_inline(factory, LINE).promoted
    asked = pl.read_csv(factory.root / "cancer.csv").drop("diagnosis").head(40)
    asked.write_csv(factory.root / "ask.csv")
    predict_file(factory, LINE, factory.root / "ask.csv", factory.root / "answers.csv")
    factory.now = lambda: (began + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return factory


def champion_of(factory):
    return find_model(factory, LINE)


def test_a_process_that_may_not_have_the_memory_costs_a_window_and_not_the_worker(watched):
    """All that a line ever answered is read for it: on a small machine that may be more than there is."""
    file = watched.root / "factory.yaml"
    whole = file.read_text()
    file.write_text(f"{whole}runs: {{memory: 64MiB}}\n")
    try:
        with pytest.raises(Terminal) as refused:
            close_window(watched, watched.line(LINE), make_reference=make_reference_in_child)
    finally:
        file.write_text(whole)

    assert "runs: {memory" in refused.value.hint
    assert [] == watched.metadata.events(Watched, line=LINE)


def test_a_worker_that_ends_does_not_wait_for_it(watched):
    """Whoever stops a factory gets it stopped, though it has read a year of answers to half."""
    with pytest.raises(Transient, match="this process ends"):
        make_reference_in_child(watched, watched.line(LINE), champion_of(watched), is_stopped=lambda: True)


def test_a_window_is_closed_with_what_the_process_has_computed_and_that_is_found_again(watched, monkeypatch):
    """The worker keeps nothing of the reading, and a champion costs one process, not one a window."""
    spec, champion, started = watched.line(LINE), champion_of(watched), []
    start = Child.__init__
    monkeypatch.setattr(Child, "__init__", lambda *a, **given: started.append(a[1:3]) or start(*a, **given))
    closed = close_window(watched, spec, make_reference=make_reference_in_child)
    found = reference_for(watched, spec, champion, make=make_reference_in_child)

    assert 40 == closed.n
    assert [("linewright.line.reference", (str(watched.root), f"{LINE}@1"))] == started
    assert digest_of(make_reference(watched, spec, champion)) == digest_of(found)
    assert found == watched.metadata.get(digest_of(found), Reference)
