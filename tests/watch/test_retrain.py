"""Proposals: what makes a training due, and what holds it back."""

import pytest

from linewright.store.values import canonical_json, decode, digest_of
from linewright.watch.facts import Alerted, RetrainProposal
from linewright.watch.retrain_proposal import propose
from linewright.watch.retrain_text import proposal_in_words
from linewright.watch.spec import RetrainSpec

NOW, DAY_AGO, WEEK_AGO = (f"2026-11-{day}T00:00:00.000000Z" for day in (25, 24, 18))
SPEC = RetrainSpec.model_validate({"when": ["drift", "performance", {"labels": 2000}, {"every": "7d"}]})


def alert(monitor, hour=3, column="income"):
    return Alerted(
        at=f"2026-11-20T{hour:02d}:00:00.000000Z",
        by="up",
        because=f"{monitor} of {column}",
        line="claims",
        id=f"sha256:{monitor}{column}{hour}",
        package="sha256:aa",
        monitor=monitor,
        column=column,
        value=0.4,
        bar=0.2,
        evidence=f"sha256:w{hour}",
        since=f"2026-11-20T{hour - 2:02d}:00:00.000000Z",
    )


def proposed(*, when=SPEC, trained=DAY_AGO, **parts):
    return propose("claims", when, now=NOW, trained=trained, **parts)


def said(proposal, *alerts):
    return proposal_in_words(proposal, {one.id: one.because for one in alerts})


@pytest.mark.parametrize("monitor", ["drift", "prediction", "unseen", "missing"])
def test_drift_is_any_change_of_the_data(monitor):
    found = proposed(open_alerts=[alert(monitor)])

    assert found is not None
    assert (found.trigger, said(found, alert(monitor))) == ("drift", f"{monitor} of income")


@pytest.mark.parametrize("monitor", ["traffic", "contract"])
def test_traffic_and_breaches_call_for_people_and_not_for_a_training(monitor):
    assert proposed(open_alerts=[alert(monitor)]) is None


def test_answers_that_got_worse_are_told_first_whichever_alert_came_first():
    alerts = [alert("drift", 3), alert("drift", 4, "age"), alert("performance", 9)]
    found = proposed(open_alerts=alerts)

    assert found is not None
    assert said(found, *alerts) == "performance of income; drift of income; and 1 more"
    assert found.trigger == "drift"
    assert len(found.evidence) == 3


def test_evidence_is_oldest_first_and_named_once():
    alerts = [alert("drift", 9), alert("missing", 4), alert("drift", 4, "age")]
    found = proposed(open_alerts=alerts)

    assert found is not None
    assert found.evidence == ("sha256:w4", "sha256:w9")
    assert found.since == "2026-11-20T02:00:00.000000Z"
    assert said(found, *alerts) == "drift of age; missing of income; and 1 more"
    assert decode(RetrainProposal, canonical_json(found), digest=digest_of(found)) == found
    assert proposed(open_alerts=alerts[::-1]) == found


@pytest.mark.parametrize(
    ("parts", "trigger"),
    [
        ({}, None),
        ({"labels": 1999}, None),
        ({"labels": 2000}, "labels"),
        ({"labels": 2000, "trained": None}, "labels"),
        ({"trained": WEEK_AGO}, "every"),
        ({"trained": None}, None),
        ({"open_alerts": [alert("performance")]}, "performance"),
        ({"open_alerts": [alert("performance")], "labels": 5000, "trained": WEEK_AGO}, "performance"),
        ({"labels": 5000, "trained": "2026-11-24T00:00:00.000001Z"}, None),
        ({"labels": 5000, "when": RetrainSpec()}, None),
    ],
)
def test_the_first_condition_that_holds_is_the_trigger(parts, trigger):
    found = proposed(**parts)

    assert (found.trigger if found else None) == trigger


def test_a_proposal_after_a_further_training_is_another():
    first = proposed(open_alerts=[alert("drift")], trained=WEEK_AGO)

    assert digest_of(first) != digest_of(proposed(open_alerts=[alert("drift")]))
