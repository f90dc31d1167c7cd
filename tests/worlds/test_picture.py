"""Pictures of a life: what they show is where the figures say, and no word hides another."""

import itertools
import re
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.charts.sheet import fitted, round_ticks, text_width
from linewright.text.sparkline import sparkline
from linewright.worlds import picture, story
from linewright.worlds.life import Day, Life, Moment
from linewright.worlds.picture import day_scale, money_scale, to_svg
from linewright.worlds.story import caption, first, stretches, tell, worth

SVG = "{http://www.w3.org/2000/svg}"
MARKED = ("attack", "alert", "promoted", "refused")
TEXTS = st.text(max_size=40)
MONEY = st.one_of(st.integers(-(10**7), 10**7), st.integers(-(10**25), 10**25), st.just(0))
MOMENTS = st.builds(
    Moment,
    day=st.integers(0, 60),
    kind=st.sampled_from(["attack", "alert", "proposed", "trained", "promoted", "refused"]),
    says=TEXTS,
)
LIVES = st.builds(
    lambda days, moments, **others: Life(
        days=tuple(msgspec.structs.replace(day, day=at) for at, day in enumerate(days)),
        moments=tuple(sorted(moments, key=lambda moment: moment.day)),
        **others,
    ),
    world=TEXTS,
    seed=st.integers(0, 10**6),
    is_attacked=st.booleans(),
    line=TEXTS,
    currency=st.sampled_from(["EUR", "USD"]),
    days=st.lists(
        st.builds(
            Day,
            day=st.just(0),
            date=st.one_of(st.just("2026-01-05"), TEXTS),
            payments=st.just(1),
            frauds=st.just(0),
            model=st.one_of(st.sampled_from(["payments@1", "payments@2", "payments@10"]), TEXTS),
            value=MONEY,
            never=MONEY,
            best=MONEY,
        ),
        max_size=60,
    ),
    moments=st.lists(MOMENTS, max_size=25),
)


def a_life(*, days=50, promoted=(29,), moments=(), gain=100_000, line="payments"):
    """Return a life that is attacked on day 14; each promotion serves from the next day on."""
    lived = tuple(
        Day(
            day=day,
            date=(date(2026, 1, 5) + timedelta(day)).isoformat(),
            payments=1300,
            frauds=20,
            model=f"{line}@{1 + sum(day > at for at in promoted)}",
            value=-300_000 + (gain if any(day > at for at in promoted) else 0),
            never=-300_000,
            best=-100_000,
        )
        for day in range(days)
    )
    made = (Moment(day=at, kind="promoted", says=f"Promoted on day {at}.") for at in promoted)
    happened = (
        Moment(day=14, kind="attack", says="Card testing begins."),
        Moment(day=17, kind="alert", says="The amount moved."),
        *made,
        *moments,
    )
    return Life(
        world="fraud",
        seed=1,
        is_attacked=True,
        line=line,
        currency="EUR",
        days=lived,
        moments=tuple(sorted(happened, key=lambda moment: moment.day)),
    )


def calm(days=50):
    life = a_life(days=days, promoted=())
    return msgspec.structs.replace(life, is_attacked=False, moments=())


def parsed(life):
    return ET.fromstring(to_svg(life))  # noqa: S314 -- our own output


def shapes(svg, kind):
    return [shape for shape in svg.iter() if kind in (shape.get("class") or "").split()]


def boxes(svg):
    """Where each text is, by the widths that the layout goes by."""
    found = []
    for text in svg.iter(f"{SVG}text"):
        size, x, y = (float(text.get(name)) for name in ("font-size", "x", "y"))
        width = text_width(text.text, size, is_bold=text.get("font-weight") == "600")
        left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
        found.append((left, y - 0.75 * size, left + width, y + 0.2 * size, text.text))
    return found


def is_apart(one, other):
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def numbers(shape, name="d"):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", shape.get(name))]


def marks(svg, kind):
    """Where the marks of a kind are: the day's place, and the row's."""
    return [tuple(numbers(mark, "transform")) for mark in shapes(svg, "mark") if mark in shapes(svg, kind)]


CASES = {
    "usual": a_life(),
    "calm": calm(),
    "one day": calm(days=1),
    "one day, attacked": a_life(days=1),
    "no day": msgspec.structs.replace(calm(), days=()),
    "many promotions": a_life(promoted=tuple(range(15, 45, 3))),
    "promoted daily": a_life(promoted=tuple(range(20, 30))),
    "all at once": a_life(
        promoted=(17,), moments=[Moment(day=17, kind=kind, says="now") for kind in ("alert", "refused")]
    ),
    "at the end": a_life(promoted=(47, 48, 49), moments=[Moment(day=49, kind="refused", says="late")]),
    "worse": a_life(gain=-100_000),
    "nothing at stake": msgspec.structs.replace(
        a_life(),
        days=tuple(msgspec.structs.replace(day, value=0, never=0, best=0) for day in a_life().days),
    ),
    "huge": a_life(gain=10**27),
    "a hundred and ten days": a_life(days=110),
}
each_case = pytest.mark.parametrize("life", CASES.values(), ids=CASES.keys())


@each_case
def test_no_text_covers_another_or_leaves_the_page(life):
    """A picture that cannot be read says nothing."""
    found = boxes(parsed(life))

    assert [] == [(one, other) for one, other in itertools.combinations(found, 2) if not is_apart(one, other)]
    assert [] == [box for box in found if box[0] < 0 or box[2] > picture.WIDTH or box[3] > picture.HEIGHT]


@each_case
def test_each_moment_has_its_mark_on_its_day(life):
    """All that happened is in the picture."""
    svg, days = parsed(life), day_scale(life)
    for kind in MARKED:
        wanted = [days.at(moment.day) for moment in life.moments if moment.kind == kind]
        assert wanted == pytest.approx([x for x, _ in marks(svg, kind)], abs=0.01)


@each_case
def test_each_kind_of_moment_has_a_row_of_its_own(life):
    """Marks of one day stand one above another, and none is within the plot."""
    svg = parsed(life)
    rows = {kind: {y for _, y in marks(svg, kind)} for kind in MARKED}
    given = [row for row in rows.values() if row]

    assert all(len(row) == 1 for row in given)
    assert len(given) == len(set.union(set(), *given))
    assert all(max(row) + 10 < min(numbers(shapes(svg, "grid")[-1])[1:2]) for row in given)


@each_case
def test_the_curves_end_where_the_totals_are(life):
    """The caption's sum is the height of the curve."""
    svg, totals = parsed(life), worth(life)
    line, best = shapes(svg, "gains")[0], shapes(svg, "best")[0]
    money = money_scale(life, min(numbers(one)[1] for one in shapes(svg, "grid")))

    assert money.at(totals.value - totals.never) == pytest.approx(numbers(line)[-1], abs=0.01)
    assert money.at(totals.best - totals.never) == pytest.approx(numbers(best)[-1], abs=0.01)
    assert picture.LEFT == numbers(line)[0]


@given(life=LIVES)
@settings(deadline=None, max_examples=60)
def test_any_life_can_be_drawn(life):
    """Names, sums and dates may be anything; the picture stays well-formed, still, equal and readable."""
    written = to_svg(life)
    svg = ET.fromstring(written)  # noqa: S314 -- our own output
    found = boxes(svg)

    assert to_svg(msgspec.json.decode(msgspec.json.encode(life), type=Life)) == written
    assert {"svg", "title", "desc", "style", "rect", "path", "text"} >= {
        shape.tag.removeprefix(SVG) for shape in svg.iter()
    }
    assert all(is_apart(one, other) for one, other in itertools.combinations(found, 2))
    assert sum(moment.kind in MARKED for moment in life.moments) == len(shapes(svg, "mark"))
    assert not [
        shape for shape in svg.iter() if re.search("nan|inf", shape.get("d", "") + shape.get("x", ""))
    ]


@pytest.mark.parametrize(
    "name", ['<script>alert("&")</script>', "a & b", "x' onload='y", "]]>", "a\x00b\x1b[2J"]
)
def test_names_cannot_become_markup(name):
    """A line's name is text, wherever it stands."""
    life = a_life(line=name, moments=[Moment(day=30, kind="refused", says=name)])
    svg = parsed(life)

    assert not list(svg.iter(f"{SVG}script"))
    assert re.sub("[\x00\x1b]", "\ufffd", name) in svg.find(f"{SVG}desc").text


def test_the_picture_needs_nothing_from_elsewhere():
    """It can be sent by mail, and it says its story to those who hear it."""
    written = to_svg(a_life())
    svg = ET.fromstring(written)  # noqa: S314 -- our own output

    assert "http" not in written.replace("http://www.w3.org/2000/svg", "")
    assert not {"href", "url(", "@import", "<script", "@font-face"} & set(
        re.findall(r"href|url\(|@\S+|<script", written)
    )
    assert "img" == svg.get("role")
    assert caption(a_life()) == svg.find(f"{SVG}title").text
    assert "Day 17, alert: The amount moved." in svg.find(f"{SVG}desc").text


def test_the_caption_tells_the_life_in_one_line():
    """Who reads one line, reads this one."""
    thin = story.THIN

    assert (
        "Attack on day 14 · first alert on day 17 · promotion on day 29 · "
        f"EUR 20{thin}000 more than never retraining"
    ) == caption(a_life())
    assert "Nothing happened, and nothing was done · worth the same as never retraining" == caption(calm())
    assert caption(a_life(gain=-50)).endswith(" · EUR 10 less than never retraining")
    assert "10 promotions from day 15 on" in caption(CASES["many promotions"])
    refused = a_life(promoted=(), moments=[Moment(day=20, kind="refused", says="No.")])
    assert "1 refused, none promoted" in caption(refused)


def test_a_life_in_which_nothing_happened_says_so():
    """Doing nothing, rightly, is a story too."""
    assert tell(calm()).endswith("Nothing happened, and nothing was done.")
    assert not shapes(parsed(calm()), "mark")


def test_the_ribbon_shows_who_answered_when():
    """Each stretch begins where the one before ends."""
    life = a_life(promoted=(9, 19))
    bands = shapes(parsed(life), "served")
    days = day_scale(life)

    assert [("payments@1", 0, 10), ("payments@2", 10, 20), ("payments@3", 20, 50)] == stretches(life)
    assert [days.at(day) for day in (0, 10, 20)] == pytest.approx(
        [float(band.get("x")) for band in bands], abs=0.01
    )


def test_the_first_of_a_kind_is_found():
    """Or nothing, where there was none."""
    life = a_life(moments=[Moment(day=18, kind="alert", says="Again.")])

    assert 17 == first(life, "alert").day
    assert first(life, "refused") is None


@given(text=TEXTS, room=st.floats(0, 300), size=st.floats(8, 20))
def test_a_text_is_cut_to_its_room(text, room, size):
    """A name of any length leaves its neighbours alone."""
    cut = fitted(text, room, size)

    assert text_width(cut, size) <= room
    assert not cut or cut.endswith("…") or len(cut) == len(" ".join(text.split()))


@given(
    low=st.integers(-(10**40), 10**40), high=st.integers(-(10**40), 10**40), unit=st.sampled_from([1, 100])
)
def test_axes_have_few_round_steps(low, high, unit):
    """At most five and the ends, and more than one."""
    low, high = min(low, high), max(low, high)
    ticks = round_ticks(low, high, unit=unit)

    assert 2 <= len(ticks) <= 7
    assert ticks[0] <= low
    assert high <= ticks[-1]
    assert str(ticks.step // unit).rstrip("0") in {"1", "2", "5"}


@given(values=st.lists(st.one_of(st.integers(-(10**25), 10**25), st.floats(-1e9, 1e9))))
def test_a_sparkline_goes_up_where_the_values_do(values):
    """One letter a value, from the lowest bar to the highest."""
    bars = sparkline(values)

    assert len(values) == len(bars)
    assert all(
        (one <= other) or (a >= b)
        for (a, one), (b, other) in itertools.pairwise(zip(values, bars, strict=True))
    )
