"""Pictures of a life: what they show is where the figures say, and no word hides another."""

import itertools
import re
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.worlds import picture, story
from linewright.worlds.layout import day_scale, money_scale, plant, round_step, spread_out, text_width
from linewright.worlds.life import Day, Life, Moment
from linewright.worlds.picture import to_svg, to_terminal
from linewright.worlds.story import caption, first, gains, promotions, stretches, tell, worth

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
        width = text_width(text.text, size * (1.1 if text.get("font-weight") == "600" else 1))
        left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
        found.append((left, y - 0.75 * size, left + width, y + 0.2 * size, text.text))
    return found


def is_apart(one, other):
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def numbers(shape):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", shape.get("d"))]


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
def test_no_line_of_a_mark_runs_through_a_label(life):
    """A label beside its line belongs to that line alone."""
    svg = parsed(life)
    for line in shapes(svg, "lw-pole") + shapes(svg, "lw-mark"):
        x, low, high = numbers(line)
        struck = [box[4] for box in boxes(svg) if box[0] < x < box[2] and box[1] < low and box[3] > high]
        assert [] == struck


@each_case
def test_each_moment_has_its_mark_on_its_day(life):
    """All that happened is in the picture, also where its label had no room."""
    svg, days = parsed(life), day_scale(life, picture.LEFT, picture.RIGHT)
    for kind in MARKED:
        shown = [numbers(mark)[0] for mark in shapes(svg, f"lw-{kind}")]
        wanted = [days.at(moment.day) for moment in life.moments if moment.kind == kind]
        assert wanted == pytest.approx(shown, abs=0.01)


@each_case
def test_the_curves_end_where_the_totals_are(life):
    """The caption's sum is the height of the curve."""
    svg, totals = parsed(life), worth(life)
    line, best = shapes(svg, "lw-line")[0], shapes(svg, "lw-best")[0]
    sums = gains(life)
    tops = [numbers(mark)[2] for mark in shapes(svg, "lw-mark")] or [97]
    money = money_scale((*sums.line, *sums.best), picture.BOTTOM, min(tops))

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
    assert sum(moment.kind in MARKED for moment in life.moments) == len(shapes(svg, "lw-mark"))
    assert not [
        shape for shape in svg.iter() if re.search("nan|inf", shape.get("d", "") + shape.get("x", ""))
    ]


@given(life=LIVES, width=st.integers(48, 130), ascii=st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_life_can_be_told_to_a_terminal(life, width, ascii):  # noqa: A002 -- the parameter's name
    """No line is longer than asked, nothing steers the terminal, and ASCII is ASCII."""
    lines = to_terminal(life, width=width, ascii=ascii)

    assert all(line.isprintable() for line in lines)
    assert not ascii or all(line.isascii() for line in lines)
    assert not ascii or max(map(len, lines)) <= width
    assert lines == to_terminal(life, width=width, ascii=ascii)


@pytest.mark.parametrize(
    "name", ['<script>alert("&")</script>', "a & b", "x' onload='y", "]]>", "a\x00b\x1b[2J"]
)
def test_names_cannot_become_markup(name):
    """A line's name is text, wherever it stands."""
    life = a_life(line=name, moments=[Moment(day=30, kind="refused", says=name)])
    svg = parsed(life)

    assert "\x1b" not in "".join(to_terminal(life))
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
        "Attack on day 14 · first alert on day 17 · payments@2 promoted on day 29 · "
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
    assert not shapes(parsed(calm()), "lw-mark")
    assert "Nothing happened" in to_terminal(calm())[0]


@pytest.mark.parametrize("delay", [0, 1])
def test_a_promotion_is_named_by_the_model_that_answered_from_then_on(delay):
    """Whether it served on the same day or from the next."""
    life = a_life(promoted=(20, 21, 22))
    moved = tuple(
        msgspec.structs.replace(moment, day=moment.day + 1 - delay) if moment.kind == "promoted" else moment
        for moment in life.moments
    )

    made = promotions(msgspec.structs.replace(life, moments=moved))

    assert ["payments@2", "payments@3", "payments@4"] == [model for _, model in made]


def test_the_ribbon_shows_who_answered_when():
    """Each stretch begins where the one before ends."""
    life = a_life(promoted=(9, 19))
    bands = shapes(parsed(life), "lw-served")
    days = day_scale(life, picture.LEFT, picture.RIGHT)

    assert [("payments@1", 0, 10), ("payments@2", 10, 20), ("payments@3", 20, 50)] == stretches(life)
    assert [days.at(day) for day in (0, 10, 20)] == pytest.approx(
        [float(band.get("x")) for band in bands], abs=0.01
    )


def test_the_first_of_a_kind_is_found():
    """Or nothing, where there was none."""
    life = a_life(moments=[Moment(day=18, kind="alert", says="Again.")])

    assert 17 == first(life, "alert").day
    assert first(life, "refused") is None


def test_a_terminal_shows_marks_under_their_days():
    """Day 25 of 50 is in the middle."""
    lines = to_terminal(a_life(promoted=(25,)), width=78)
    plain = to_terminal(a_life(promoted=(25,)), width=78, ascii=True)
    room = 78 - 11

    assert 11 + room // 2 == next(line for line in lines if "promoted │" in line).index("▲")
    assert 11 + room // 2 == next(line for line in plain if "promoted |" in line).index("P")
    assert any(0x2800 < ord(letter) < 0x2900 for line in lines for letter in line)


@given(flags=st.lists(st.tuples(st.floats(100, 700), st.floats(5, 150)), max_size=12), rows=st.integers(1, 5))
def test_labels_are_placed_clear_of_each_other_or_not_at_all(flags, rows):
    """A crowd is told by fewer words, not by a heap."""
    placed = plant(flags, rows=rows, left=80, right=800)
    for one, other in itertools.combinations(placed or [], 2):
        sides = [
            (flag.x - 9 - flag.width, flag.x) if flag.is_left else (flag.x, flag.x + 9 + flag.width)
            for flag in (one, other)
        ]
        assert one.row != other.row or sides[0][1] <= sides[1][0] or sides[1][1] <= sides[0][0]


@given(wanted=st.lists(st.floats(0, 300), max_size=5))
def test_labels_at_line_ends_keep_apart_and_in_order(wanted):
    """Three curves that end together are still told apart."""
    found = spread_out(wanted, height=30, low=0, high=300)

    assert all(b - a >= 30 - 1e-6 for a, b in itertools.pairwise(sorted(found)))


@given(span=st.integers(1, 10**40))
def test_axes_have_few_round_steps(span):
    """At most five, and more than one."""
    step = round_step(span, 1, most=5)

    assert 1 <= -(-span // step) <= 5
    assert str(step).rstrip("0") in {"1", "2", "5"}
