"""Requests whose feature records a disk or a hand has changed."""

import pytest
from paid import LINE, write_factory
from templates import copied, made_once

from linewright.features.views.records import records_path
from linewright.line.factory import Factory
from linewright.line.release.view_maintenance import views_served
from linewright.line.runs.execute import execute_inline
from linewright.line.views.write_records import write_view

CUSTOMERS = [f"C{number}" for number in range(63)]


def made(root):
    write_factory(root)
    with Factory.create(root) as factory:
        execute_inline(factory, LINE)


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = copied(made_once(tmp_path_factory, "paid-inline", made), tmp_path / "factory")
    with Factory.open(root) as opened:
        yield opened


def records_of(factory):
    (facts,) = views_served(factory, LINE)
    return records_path(factory.state, facts)


def test_a_damaged_record_counts_as_absent_and_is_said_to_be_damaged(factory, endpoint_at):
    """In the place of an answer of 0.99 that nobody could tell from a right one."""
    path = records_of(factory)
    served = endpoint_at(factory.state)
    served.wait_for(lambda: served.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    rows = [{"customer": one, "basket": 20.0} for one in CUSTOMERS]
    before = served.predict(*rows, line=LINE)["predictions"]
    data = bytearray(path.read_bytes())
    for at in range(len(data) * 6 // 10, len(data) * 6 // 10 + 64):
        data[at] ^= 1 << 4
    draft = path.with_name("draft")
    draft.write_bytes(data)
    draft.replace(path)

    def changed():
        answers = served.predict(*rows, line=LINE)["predictions"]
        views = [one["features"]["customer_30d"] for one in answers]
        return [place for place, view in enumerate(views) if view.get("missing") == "view-damaged"], answers

    try:
        served.wait_for(lambda: changed()[0], within_s=10)
        places, after = changed()
        metrics = served.ask("GET", "/metrics")[2]
    finally:
        served.close()

    for place, (was, now) in enumerate(zip(before, after, strict=True)):
        view = now["features"]["customer_30d"]
        if place in places:
            assert view["record"] is None
            assert [
                f"the record of customer C{place} in feature view 'customer_30d' is damaged, and does not count (view-damaged)"
            ] == [one for one in now["warnings"] if "damaged" in one]
        else:
            assert was["features"]["customer_30d"]["record"] == view["record"]
            assert was["probabilities"] == now["probabilities"]
    assert 'linewright_damaged_records_total{view="customer_30d"}' in str(metrics)


def test_a_damaged_record_is_refused_where_absent_ones_are(factory, endpoint_at):
    """With 503, since the row is right and another time there is an answer."""
    path = records_of(factory)
    about = factory.root / "features" / "customer_30d.yaml"
    about.write_text(about.read_text() + "otherwise: refuse\n")
    write_view(factory, *views_served(factory, LINE))
    served = endpoint_at(factory.state)
    path.write_bytes(path.read_bytes()[:-4000] + bytes(3968) + path.read_bytes()[-32:])
    served.wait_for(lambda: served.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    try:
        asked = [
            served.ask("POST", f"/v1/lines/{LINE}/predict", {"rows": [{"customer": one, "basket": 20.0}]})
            for one in CUSTOMERS[:60]
        ]
    finally:
        served.close()

    assert 503 in {one[0] for one in asked}
    assert {200, 422, 503} >= {one[0] for one in asked}
    assert "is damaged" in str(next(one[2] for one in asked if one[0] == 503))
