"""The answers of a line in the console: the latest, one by its key or id, and one computed again."""

import pytest

from linewright.line.factory import Factory
from linewright.operations.history import PredictionLine, predictions


@pytest.fixture(scope="module")
def listed(hostile) -> tuple[PredictionLine, ...]:
    """Give all answers of the line."""
    with Factory.open(hostile) as factory:
        return predictions(factory, "claims").predictions


def test_the_latest_answers_stand_with_their_truth(get, listed):
    page = get("/lines/claims/predictions")

    assert 200 == page.status
    assert 20 == len(listed)
    assert {f"/predictions/{one.id}?line=claims" for one in listed} <= set(page.links)
    assert 10 == page.text.count("not known yet")
    page.assert_harmless()


def test_pages_of_answers_hold_each_once(hostile, listed):
    """Who goes on by the link misses none and sees none twice."""
    with Factory.open(hostile) as factory:
        first = predictions(factory, "claims", limit=8)
        second = predictions(factory, "claims", limit=8, before=first.next)
        third = predictions(factory, "claims", limit=8, before=second.next)
        none = predictions(factory, "claims", by=7)

    assert listed == (*first.predictions, *second.predictions, *third.predictions)
    assert third.next is None
    assert () == none.predictions
    assert none.next is None


def test_an_answer_is_found_by_its_key_and_by_its_id(hostile, listed):
    one = listed[4]
    with Factory.open(hostile) as factory:
        assert (one,) == predictions(factory, "claims", key=one.key).predictions
        assert (one,) == predictions(factory, "claims", key=one.id).predictions


def test_a_prediction_shows_what_was_asked_and_by_whom_it_was_answered(get, listed):
    one = next(each for each in listed if each.label is not None)
    page = get(f"/predictions/{one.id}")

    assert 200 == page.status
    assert one.key in page.text
    assert "/lines/claims/versions/1" in page.links
    assert "the answer was" in page.text
    page.assert_harmless()


def test_a_replay_says_whether_it_is_the_same_answer_and_why(get, listed):
    page = get(f"/predictions/{listed[0].id}/replay")

    assert 200 == page.status
    assert "the same answer, to the bit" in page.text
    assert "<script>alert(2)</script>" in page.text
    page.assert_harmless()


def test_answers_are_for_those_who_may_see_rows(get, listed):
    """Neither a viewer nor who looks after another line sees them."""
    for path in ("/lines/claims/predictions", f"/predictions/{listed[0].id}"):
        assert 403 == get(path, role="viewer").status
    assert 403 == get("/lines/claims/predictions", role="engineer", lines=("other",)).status
    assert 404 == get(f"/predictions/{listed[0].id}", role="engineer", lines=("other",)).status
    assert not [link for link in get("/lines/claims", role="viewer").links if "/predictions" in link]


@pytest.mark.parametrize("query", ["model=x", "before=x&before=y", "other=1"])
def test_what_an_address_cannot_say_is_refused(get, query):
    assert 422 == get(f"/lines/claims/predictions?{query}").status
