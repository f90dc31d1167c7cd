"""Time, ids and seeds."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from linewright.store.clock import now_utc, seed_of, uuid7


def test_now_is_utc_with_microseconds():
    """Every event carries it, and every reader parses it."""
    read = datetime.fromisoformat(now_utc())

    assert timedelta(0) == read.utcoffset()
    assert abs(datetime.now(UTC) - read) < timedelta(seconds=5)  # noqa: TID251 -- the independent clock


def test_an_id_is_a_uuid_of_version_seven_that_says_when_it_was_made():
    """Prediction ids are looked up by time."""
    read = UUID(uuid7())
    made = datetime.fromtimestamp((read.int >> 80) / 1000, UTC)

    assert (7, RFC_4122) == (read.version, read.variant)
    assert abs(datetime.now(UTC) - made) < timedelta(seconds=5)  # noqa: TID251 -- the independent clock


def test_ids_differ_and_sort_by_time():
    """The log is append-only in the order of its ids."""
    made = [uuid7() for _ in range(10_000)]
    apart = made[::100]

    assert 10_000 == len(set(made))
    assert sorted(apart) == apart


@given(st.text())
def test_a_seed_fits_every_library_and_depends_on_the_digest_only(digest):
    """LightGBM, NumPy and scikit-learn all take a non-negative int32."""
    assert 0 <= seed_of(digest) < 2**31
    assert seed_of(digest) == seed_of(digest)
