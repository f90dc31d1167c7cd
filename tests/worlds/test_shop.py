"""The world `shop`: what it promises to those who judge recommenders by it."""

import numpy as np
import pytest

from linewright.errors import RequestError
from linewright.worlds.shop.world import NEVER, RANGES, Parameters, Ranges, ShopWorld, draw

SMALL = Parameters(
    customers=60,
    visits=25.0,
    items=40,
    arrivals=0.5,
    tastes=1.4,
    season=0.6,
    position=0.7,
    history_days=20,
    live_days=5,
)


@pytest.fixture(scope="module")
def world() -> ShopWorld:
    return ShopWorld(7, parameters=SMALL)


def test_everything_follows_from_the_seed(world):
    """Days may be looked at in any order, and what is taken of a list is the same each time."""
    again = ShopWorld(7, parameters=SMALL)
    last, first = again.day(24), again.day(0)
    lists = [list(world.items[:5])] * last.visits.height

    assert world.day(24).visits.equals(last.visits)
    assert world.day(0).baskets.equals(first.baskets)
    assert world.taken(world.day(24), lists) == again.taken(last, lists)
    assert not ShopWorld(8, parameters=SMALL).day(0).baskets.equals(first.baskets)


def test_parameters_are_drawn_from_ranges_that_stay():
    """Nobody moves them after a policy was tried."""
    assert Ranges() == RANGES
    assert (1.0, 1.6, 80, 24) == (
        RANGES.arrivals.low,
        RANGES.arrivals.high,
        RANGES.history_days.low,
        RANGES.live_days.low,
    )
    for name, value in vars(draw(3)).items():
        assert getattr(RANGES, name).low <= value <= getattr(RANGES, name).high


def test_an_item_is_taken_as_often_as_the_oracle_says(world):
    """So the true value of a list needs no guess."""
    said, happened = 0.0, 0
    for number in range(world.days):
        day = world.day(number)
        lists = [list(world.items[number : number + 10])] * day.visits.height
        said += sum(chance.sum() for chance in world.taking(day, lists))
        happened += sum(map(len, world.taken(day, lists)))

    assert said > 100
    assert abs(happened - said) < 3 * np.sqrt(said)


def test_the_first_positions_are_looked_at_most_and_others_do_not_matter(world):
    """An item at a position is as likely taken whatever stands at the others: what the estimate of a line assumes."""
    day = world.day(22)
    here = [list(world.items[:10])] * day.visits.height
    there = [[*world.items[10:19], world.items[9]]] * day.visits.height
    reversed_ = [list(world.items[9::-1])] * day.visits.height
    looks = world.looks(10)

    assert sorted(looks, reverse=True) == looks.tolist()
    for one, other, turned in zip(
        *(world.taking(day, lists) for lists in (here, there, reversed_)), strict=True
    ):
        assert one[9] == other[9]
        assert turned[0] * looks[9] == pytest.approx(one[9] * looks[0])


def test_an_item_is_not_sold_before_it_arrives(world):
    """A model that lists it knows the future."""
    first, last = world.day(0), world.day(world.days - 1)
    late = [item for item, liking in zip(world.items, first.liking[0], strict=True) if liking == NEVER]
    before = set(world.bought(range(1))["item"])

    assert late
    assert not before & set(late)
    assert (world.taking(first, [late[:3]] * first.visits.height)[0] == 0).all()
    assert (last.liking[0] > NEVER).all()


def test_nothing_beats_the_best_lists(world):
    """The ceiling by which a policy is judged."""
    day = world.day(23)
    best = world.value(day, world.best_lists(day, length=8))
    chance = np.random.default_rng(1)

    for _ in range(5):
        lists = [chance.permutation(world.items)[:8].tolist() for _ in range(day.visits.height)]
        assert world.value(day, lists) < best


def test_what_was_had_is_wanted_less_and_what_is_used_up_is_wanted_again():
    """Repeat purchases: a shop sells bread each week, and a lamp once."""
    world = ShopWorld(3, parameters=SMALL)
    events = world.bought(range(world.days))
    repeats = events.group_by("customer", "item", "kind").len()
    share = {
        kind: (repeats.filter(kind=kind)["len"] > 1).mean() for kind in repeats["kind"].unique().to_list()
    }

    assert share["bread"] > 2 * max(share[kind] for kind in ("lamps", "shoes", "toys") if kind in share)


def test_a_repeated_or_unknown_item_is_never_taken(world):
    """What a line shows may be wrong."""
    day = world.day(21)
    lists = [[world.items[0], world.items[0], "no such item"]] * day.visits.height

    assert all((chance[1:] == 0).all() for chance in world.taking(day, lists))


def test_there_is_no_day_beyond_the_last(world):
    """The message says which there are."""
    with pytest.raises(RequestError, match=r"no such day.*0 to 24"):
        world.day(25)
