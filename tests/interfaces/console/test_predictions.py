"""The answers of a line in the console: the latest, one by its key or id, and one computed again."""

import csv
import io
from urllib.parse import urlencode

import pytest
from shown_pages import HOSTILE, hostile_factory

from linewright.capabilities.overview.operations.history import PredictionLine, predictions
from linewright.line.factory import Factory
from linewright.line.predict import find_answers
from linewright.line.predict.batch import predict_file


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


def test_answers_are_found_by_what_was_predicted_and_how_probable(hostile, listed):
    """A fraud team begins its day with the likeliest of the positives."""

    def share(one: PredictionLine) -> float:
        return one.answer["probabilities"]["yes"]

    positives = [one for one in listed if one.answer["prediction"] == "yes"]
    with Factory.open(hostile) as factory:
        found = predictions(factory, "claims", answer="yes", order="probable", limit=3)
        rest = predictions(factory, "claims", answer="yes", order="probable", before=found.next)
        unlikely = predictions(factory, "claims", probability="/0.3")
        none = predictions(factory, "claims", answer="<script>alert(1)</script>")

    assert sorted(positives, key=share, reverse=True) == [*found.predictions, *rest.predictions]
    assert (len(positives), 20, True) == (found.found, found.looked_at, found.is_whole)
    assert rest.next is None
    assert [one for one in listed if share(one) <= 0.3] == list(unlikely.predictions)
    assert 0 == none.found


def test_answers_are_found_by_day(hostile, listed):
    day = listed[0].at[:10]
    with Factory.open(hostile) as factory:
        assert listed == predictions(factory, "claims", between=f"{day}/{day}").predictions
        assert listed == predictions(factory, "claims", between=f"{day}/").predictions
        earlier = predictions(factory, "claims", between="/2020-01-01")

    assert (0, 0) == (earlier.found, earlier.looked_at)


def test_a_search_is_bounded_and_says_how_far_it_looked(tmp_path_factory, tmp_path, monkeypatch):
    """With ten million answers in the log a page is as fast; days lead further back."""
    monkeypatch.setattr(find_answers, "MOST_LOOKED_AT", 5)
    root = hostile_factory(tmp_path_factory, tmp_path / "factory")
    with Factory.open(root) as factory:
        predict_file(factory, "claims", root / "ask.csv", root / "again.csv")
        found = predictions(factory, "claims", probability="0.0001/")

    assert (20, False) == (found.looked_at, found.is_whole)  # as one frame has them
    assert found.back_to == found.predictions[-1].at


def test_what_was_found_is_had_as_csv_that_a_spreadsheet_may_open(get):
    page = get("/lines/claims/predictions?answer=yes&order=probable")
    link = next(link for link in page.links if "data=0.csv" in link)
    sheet = get(link)
    rows = list(csv.DictReader(io.StringIO(sheet.html)))

    assert 200 == sheet.status
    assert "answer=yes" in link
    assert {"yes"} == {row["answer"] for row in rows}
    assert len(rows) > 2
    assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+-@"]
    assert 403 == get(link, role="viewer").status
    page.assert_harmless()


@pytest.mark.parametrize("hostile_text", HOSTILE)
def test_hostile_words_of_a_search_are_shown_as_texts(get, hostile_text):
    page = get(f"/lines/claims/predictions?{urlencode({'key': hostile_text, 'answer': hostile_text})}")

    assert 200 == page.status
    page.assert_harmless()


def test_a_row_that_was_answered_can_be_tried(get, listed):
    page = get(f"/predictions/{listed[0].id}")
    link = next(link for link in page.links if "/lines/claims/try?" in link)

    assert 200 == get(link).status
    get(link).assert_harmless()


@pytest.mark.parametrize(
    "query",
    ["model=x", "before=x&before=y", "other=1", "since=x", "least=2", "most=nan", "order=x"],
)
def test_what_an_address_cannot_say_is_refused(get, query):
    assert 422 == get(f"/lines/claims/predictions?{query}").status
