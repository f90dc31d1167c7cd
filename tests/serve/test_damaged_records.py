"""Requests whose feature records a disk or a hand has changed."""

import time

import httpx
import pytest
from control import factory_up
from paid import LINE
from paid_records import CUSTOMERS, ROWS, copied_factory, damage, records_of

from linewright.features.views.records import Records, check_records
from linewright.line.factory import Factory
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.release.view_maintenance import views_served
from linewright.line.views.write_records import write_view


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    with Factory.open(copied_factory(tmp_path_factory, tmp_path / "factory")) as opened:
        yield opened


def test_a_damaged_record_counts_as_absent_and_is_said_to_be_damaged(factory, endpoint_at):
    """In the place of an answer of 0.99 that nobody could tell from a right one."""
    path = records_of(factory)
    served = endpoint_at(factory.state)
    served.wait_for(lambda: served.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    before = served.predict(*ROWS, line=LINE)["predictions"]
    damage(path)

    def changed():
        answers = served.predict(*ROWS, line=LINE)["predictions"]
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


def until(what, within_s=40):
    """Return what a function gives once it gives something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError("it never came to that")


def test_people_are_told_of_damage_and_the_file_is_made_again(tmp_path_factory, tmp_path):
    """The alert stays open until the records are whole: here until the source, which is away, is back."""
    root = copied_factory(tmp_path_factory, tmp_path / "factory")
    source, away = root / "payments.csv", root / "away.csv"
    with Factory.open(root) as factory:
        path = records_of(factory)

    def alerts():
        with Factory.open(root) as factory:
            return [one for one in open_alerts(factory, LINE) if one.monitor == "records"]

    with factory_up(root) as up:

        def missing():
            at = f"http://127.0.0.1:{up.port}/v1/lines/{LINE}/predict"
            said = httpx.post(at, json={"rows": ROWS}, timeout=20).json()
            return "view-damaged" in str(said["predictions"])

        until(lambda: path.exists() and not missing())
        entities = Records(path).header.entities
        source.rename(away)
        damage(path)
        until(missing)
        (alert,) = until(alerts)
        assert "customer_30d" in alert.because
        assert "are damaged: requests that need what is lost" in up.get("/api/v1/inbox").text
        away.rename(source)
        until(lambda: not alerts())
        check_records(path)
        until(lambda: not missing())

    assert entities == Records(path).header.entities
    assert ["records"] == [one.name.split(".")[-1] for one in path.parent.iterdir()]
