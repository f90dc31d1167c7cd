"""Trainings at times of day, by cron, and when clocks are changed."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from linewright.text.schedule import read_schedule
from linewright.watch.facts import TimeCame
from linewright.watch.retrain_proposal import propose
from linewright.watch.retrain_text import proposal_in_words
from linewright.watch.spec import RetrainSpec

BERLIN = ZoneInfo("Europe/Berlin")
CHANGES = (date(2026, 3, 29), date(2026, 10, 25))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_time_that_clocks_jump_over_comes_as_much_later_and_one_that_they_show_twice_comes_once():
    nightly = read_schedule("02:30 Europe/Berlin")
    came = [utc("2026-03-28T00:00"), utc("2026-10-24T00:00")]
    found = []
    for start in came:
        instants = [nightly.following(start)]
        instants += [nightly.following(instants[0]), nightly.following(nightly.following(instants[0]))]
        found += [at.isoformat()[5:16] for at in instants]

    assert ["03-28T01:30", "03-29T01:30", "03-30T00:30"] == found[:3]
    assert ["10-24T00:30", "10-25T00:30", "10-26T01:30"] == found[3:]


def test_each_hour_comes_in_both_hours_that_clocks_show():
    hourly, at = read_schedule("15 * * * * Europe/Berlin"), utc("2026-10-25T00:00")
    found = []
    for _ in range(3):
        at = hourly.following(at)
        found.append(at.hour)

    assert [0, 1, 2] == found


@given(
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    change=st.sampled_from(CHANGES),
    before=st.integers(0, 3 * 86_400),
)
def test_a_daily_time_comes_once_a_day_also_when_clocks_are_changed(hour, minute, change, before):
    """Whoever asks at any moment is told of the same instants, forward and backward."""
    schedule = read_schedule(f"{hour:02}:{minute:02} Europe/Berlin")
    start = datetime.combine(change, datetime.min.time(), UTC) - timedelta(seconds=before)
    instants = [schedule.following(start)]
    for _ in range(6):
        instants.append(schedule.following(instants[-1]))

    days = [at.astimezone(BERLIN).date() for at in instants]
    assert all(one + timedelta(days=1) == other for one, other in pairwise(days))
    assert instants == [schedule.last(at) for at in instants]
    assert instants[:-1] == [schedule.last(at - timedelta(seconds=1)) for at in instants[1:]]
    for at in instants:
        local = at.astimezone(BERLIN)
        assert (local.hour, local.minute) == (hour, minute) or (local.date(), hour, local.hour) == (
            CHANGES[0],
            2,
            3,
        )


def field(least: int, most: int) -> st.SearchStrategy[str]:
    """Make a field of cron."""
    number = st.integers(least, most)
    span = (
        st.lists(number, min_size=2, max_size=2, unique=True)
        .map(sorted)
        .map(lambda two: f"{two[0]}-{two[1]}")
    )
    part = st.one_of(number.map(str), span, st.integers(2, 9).map(lambda step: f"*/{step}"))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=2).map(",".join))


@given(
    fields=st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(1, 5)),
    start=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),
)
def test_cron_is_what_others_take_it_for(fields, start):
    """In UTC, where clocks are never changed."""
    said, start = " ".join(fields), start.replace(tzinfo=UTC)
    if "*/" in fields[2] or "*/" in fields[4]:
        return  # whether a star with a step names the day is told in two ways
    others = croniter(said, start)

    assert others.get_next(datetime) == read_schedule(said).following(start)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("25:00", "this is no schedule"),
        ("tomorrow", "this is no schedule"),
        ("02:30 Europe/Berln", "no such time zone: Europe/Berln"),
        ("61 * * * *", "'61' is no minute from 0 to 59"),
        ("* * 5-1 * *", "'5-1' is no day"),
        ("0 0 30 2 *", "this never comes"),
        ("*/0 * * * *", "'\\*/0' is no minute"),
        ("1- * * * *", "'1-' is no minute"),
    ],
)
def test_what_is_no_schedule_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        read_schedule(text)


def due(now: str, trained: str | None, **more: str):
    nightly = RetrainSpec.model_validate({"when": [{"at": "02:30 Europe/Berlin"}], **more})
    return propose("claims", nightly, now=now, trained=trained)


def test_a_training_is_due_by_its_time_once_and_does_not_wait_for_the_cooldown():
    """A training that began at half past two and some seconds is no reason to begin a minute later each day."""
    proposal = due("2026-07-02T00:30:01.000000Z", "2026-07-01T00:30:05.000000Z")

    assert "every" == proposal.trigger
    assert TimeCame(schedule="02:30 Europe/Berlin", at="2026-07-02T00:30:00.000000Z") == proposal.reason
    assert "2026-07-02 00:30:00Z" in proposal_in_words(proposal, {})
    assert due("2026-07-02T00:29:59.000000Z", "2026-07-01T00:30:05.000000Z") is None
    assert due("2026-07-02T00:30:01.000000Z", "2026-07-02T00:30:00.500000Z") is None
    assert due("2026-07-02T00:30:01.000000Z", None) is None


def test_times_that_were_missed_are_made_up_for_by_one_training():
    proposal = due("2026-07-09T12:00:00.000000Z", "2026-07-01T00:30:05.000000Z")

    assert "2026-07-09T00:30:00.000000Z" == proposal.reason.at
    assert due("2026-07-09T12:10:00.000000Z", "2026-07-09T12:00:00.000000Z") is None
