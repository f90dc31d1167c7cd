"""Charts show what they are given, harm no page, and no text hides another."""

import csv
import io
import itertools
import math
import re
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from chart_examples import HOSTILE, charts
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.charts import (
    Axis,
    Bar,
    BarChart,
    Confusion,
    DotChart,
    Histogram,
    Line,
    LineChart,
    Point,
    Quantiles,
    Reference,
    Reliability,
    Ribbon,
    Sample,
    ShareChart,
    Sparkline,
    Waterfall,
    to_csv,
    to_html,
    to_svg,
    to_table,
)
from linewright.charts.palette import COLOURS, SERIES
from linewright.charts.scales import number_ticks, time_ticks
from linewright.charts.sheet import printable, text_width
from linewright.errors import RequestError

CHARTS = charts()
SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.floats(-1e300, 1e300, allow_subnormal=False)


def parsed(svg: str) -> ET.Element:
    """Return the picture as elements."""
    # In HTML an <svg> is one without being told.
    return ET.fromstring(svg if "xmlns" in svg else svg.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1))  # noqa: S314


def boxes(svg: str) -> list[tuple[float, float, float, float, str]]:
    """Return left, top, right, bottom and text of each text."""
    found = []
    for text in parsed(svg).iter(f"{SVG}text"):
        x, y, size = (float(text.get(name)) for name in ("x", "y", "font-size"))
        wide = text_width(text.text, size, is_bold=text.get("font-weight") == "600")
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[text.get("text-anchor")]
        found.append((left, y - 0.75 * size, left + wide, y + 0.2 * size, text.text))
    return found


def check_drawn(svg: str) -> None:
    """Assert that all is inside the picture, that numbers are numbers, and that no text hides another."""
    root = parsed(svg)
    width, height = (float(part) for part in root.get("viewBox").split()[2:])
    drawn = boxes(svg)
    for left, top, right, bottom, text in drawn:
        assert left >= -0.6, text
        assert top >= -0.6, text
        assert right <= width + 0.6, text
        assert bottom <= height + 0.6, text
    for one, other in itertools.combinations(drawn, 2):
        apart = (
            one[2] <= other[0] + 0.01 or other[2] <= one[0] + 0.01 or one[3] <= other[1] or other[3] <= one[1]
        )
        assert apart, (one, other)
    for shape in root.iter():
        for name in ("x", "cx", "width"):
            if name in shape.attrib:
                assert -0.6 <= float(shape.get(name)) <= width + 0.6
        for name in ("y", "cy", "height"):
            if name in shape.attrib:
                assert -0.6 <= float(shape.get(name)) <= height + 0.6
    assert "nan" not in re.sub(r"<(title|desc|text)\b.*?</\1>", "", svg).lower()


@pytest.mark.parametrize("is_standalone", [False, True])
@pytest.mark.parametrize("width", [240, 340, 640, 1200])
@pytest.mark.parametrize("name", CHARTS)
def test_all_is_inside_the_picture_and_no_text_hides_another(name, width, is_standalone):
    """A label over another is read as neither."""
    check_drawn(to_svg(CHARTS[name], width=width, is_standalone=is_standalone))


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_has_a_name_and_a_description(name):
    """Who cannot see it hears the finding, and values."""
    root = parsed(to_svg(CHARTS[name]))

    assert root.get("role") == "img"
    assert [root[0].tag, root[1].tag] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == CHARTS[name].title.replace("\x00", "\ufffd")
    assert len(root[1].text) > 15


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_in_a_page_asks_for_nothing_that_its_policy_refuses(name):
    """`style-src 'self'` refuses attributes and elements of style; a script or a link would come from a name."""
    root = parsed(to_svg(CHARTS[name]))

    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "path",
        "rect",
        "circle",
        "text",
    }
    names = {name for one in root.iter() for name in one.attrib}
    assert not {
        name for name in names if name == "style" or name.startswith("on") or "href" in name or name == "id"
    }


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_is_small(name):
    """A whole page may have 100 KB, for several charts."""
    assert len(to_svg(CHARTS[name]).encode()) < (60_000 if "classes" in name or "matrix" in name else 16_000)


def test_long_lines_stay_small_and_keep_their_extremes():
    """Ten thousand windows are a line of a page too, and the one that was worst is in it."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    points = tuple(
        Point(at=start + timedelta(hours=n), value=9.0 if n == 5_003 else math.sin(n / 50))
        for n in range(10_000)
    )
    chart = LineChart(
        title="Long", x=Axis(label="hour"), y=Axis(label="PSI"), lines=(Line(name="a", points=points),)
    )

    svg = to_svg(chart)

    assert len(svg) < 40_000
    curve = next(d for d in re.findall(r' d="(M [^"]*)"', svg) if d.count("L") > 100)
    heights = [float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", curve)]
    assert min(heights) < 80 < sorted(heights)[5]


@pytest.mark.parametrize("name", CHARTS)
def test_table_and_csv_have_the_same_data(name):
    """What is read and what is downloaded is one thing."""
    table, rows = to_table(CHARTS[name]), list(csv.reader(io.StringIO(to_csv(CHARTS[name]))))

    assert len(table.rows) == len(rows) - 1
    assert all(len(row) == len(table.headings) for row in [*table.rows, *rows])
    assert len(set(table.headings)) == len(table.headings)


def test_a_csv_holds_no_formula():
    """A spreadsheet runs what begins so, whoever wrote the name of a column."""
    names = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1", "fine", "\r=1", "\n=1")
    chart = BarChart(
        title="t", axis=Axis(label="=x", unit="y"), bars=tuple(Bar(name=name, value=-1) for name in names)
    )

    head, *rows = csv.reader(io.StringIO(to_csv(chart), newline=""))

    assert head == ["name", "'=x (y)"]
    assert [row[0] for row in rows] == [name if name == "fine" else f"'{name}" for name in names]
    assert {row[1] for row in rows} == {"-1"}


def test_hostile_names_are_text():
    """Labels come from users' files."""
    for name in ("hostile", "hostile lines", "hostile matrix"):
        for is_standalone in (False, True):
            svg = to_svg(CHARTS[name], width=2000, is_standalone=is_standalone)
            assert "<script" not in svg
            assert "<img" not in svg
    assert [row[0] for row in to_table(CHARTS["hostile"]).rows] == list(HOSTILE)


@pytest.mark.parametrize("name", CHARTS)
def test_a_part_of_a_page_is_markup_of_ours_alone(name):
    """It goes into pages as it is: names of users are escaped in it, and rows have as many cells as the head."""
    page = parsed(f"<main>{to_html(CHARTS[name])}</main>".replace("<svg", f'<svg xmlns="{SVG[1:-1]}"'))
    table = to_table(CHARTS[name])

    assert {one.tag for one in page.iter() if not one.tag.startswith(SVG)} <= {
        "main",
        "div",
        "figure",
        "figcaption",
        "details",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert page.find("figure/figcaption").text == CHARTS[name].title.replace("\x00", "\ufffd")
    assert [one.text for one in page.iter("th")] == [printable(one) for one in table.headings]
    assert {len(row) for row in page.iter("tr")} == {len(table.headings)}


def test_a_phone_gets_a_picture_of_its_own():
    """A picture of 640 pixels on 340 has letters of six."""
    page = to_html(CHARTS["line"])

    assert re.findall(r'class="chart-(\w+)"><svg role="img" viewBox="0 0 (\d+)', page) == [
        ("wide", "640"),
        ("narrow", "340"),
    ]
    assert "chart-narrow" not in to_html(CHARTS["line"], is_standalone=True)
    assert len(to_html(CHARTS["line"]).encode()) < 24_000


def test_a_file_that_stands_alone_brings_both_schemes_and_only_for_itself():
    """In a notebook its style is that of the whole page: it names nothing but the picture."""
    style = parsed(to_svg(CHARTS["bars"], is_standalone=True)).find(f"{SVG}style").text

    assert "prefers-color-scheme:dark" in style
    assert set(re.findall(r"(?:^|[{}\n])\s*([^{}@\n]+)\{", style)) == {".linewright-chart"}


def test_missing_values_are_seen():
    """A gap is no zero, and no bridge."""
    svg = to_svg(CHARTS["hours"])

    assert svg.count("no value") >= 3
    assert "no value" in {cell for row in to_table(CHARTS["hours"]).rows for cell in row}
    assert "no value" in to_svg(CHARTS["contributions"])
    assert "nothing to show yet" in to_svg(CHARTS["empty line"])


WRONG = {
    "NaN": lambda: Point(at=1, value=math.nan),
    "infinite": lambda: Bar(name="a", value=math.inf),
    "huge": lambda: Reference(name="a", value=1e301),
    "half an interval": lambda: Point(at=1, value=1, low=0),
    "interval upside down": lambda: Bar(name="a", value=1, low=2, high=1),
    "no title": lambda: Sparkline(title=" ", values=()),
    "no zone": lambda: Line(name="a", points=(Point(at=datetime(2026, 1, 1), value=1),)),
    "mixed places": lambda: Line(
        name="a", points=(Point(at=1, value=1), Point(at=date(2026, 1, 1), value=1))
    ),
    "out of order": lambda: Line(name="a", points=(Point(at=2, value=1), Point(at=1, value=1))),
    "four lines": lambda: LineChart(
        title="t", x=Axis(label=""), y=Axis(label=""), lines=tuple(Line(name=n, points=()) for n in "abcd")
    ),
    "edges": lambda: Histogram(
        title="t", x=Axis(label=""), edges=(1, 1), samples=(Sample(name="a", counts=(1,)),)
    ),
    "counts": lambda: Histogram(
        title="t", x=Axis(label=""), edges=(1, 2), samples=(Sample(name="a", counts=()),)
    ),
    "no sample": lambda: Histogram(title="t", x=Axis(label=""), edges=(1, 2), samples=()),
    "negative count": lambda: Sample(name="a", counts=(-1,)),
    "quantiles": lambda: Quantiles(at=1, values=(2, 1)),
    "levels": lambda: Ribbon(title="t", x=Axis(label=""), y=Axis(label=""), levels=(0.5, 0.5), points=()),
    "levels and quantiles": lambda: Ribbon(
        title="t", x=Axis(label=""), y=Axis(label=""), levels=(0.5,), points=(Quantiles(at=1, values=()),)
    ),
    "not square": lambda: Confusion(title="t", classes=("a", "b"), counts=((1, 2),)),
    "too many classes": lambda: Confusion(title="t", classes=tuple(map(str, range(13))), counts=()),
    "narrow": lambda: to_svg(CHARTS["line"], width=100),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_drawn_is_refused(name):
    """A chart that is wrong is worse than none."""
    with pytest.raises(RequestError, match=r"."):
        WRONG[name]()


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(2, 8))
def test_ticks_hold_the_values_rise_evenly_and_differ(values, most):
    """A value beyond the last tick has no scale; two ticks with one text have none either."""
    ticks = number_ticks(values, Axis(label=""), most=most)
    places = [tick.value for tick in ticks]
    slack = 1e-9 * max(abs(min(values)), abs(max(values)))

    assert places[0] <= min(values) + slack
    assert places[-1] >= max(values) - slack
    assert 2 <= len(ticks) <= most + 3
    assert len({tick.text for tick in ticks}) == len(ticks)
    steps = [b - a for a, b in itertools.pairwise(places)]
    assert max(steps) - min(steps) <= 1e-6 * max(steps) + 1e-12 * max(map(abs, places))


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9990, 1, 1)),
    st.floats(1, 3e11),
    st.integers(3, 9),
    st.booleans(),
)
def test_ticks_of_time_lie_within_rise_and_say_different_things(start, span, most, is_days):
    """Days, months and years have different lengths, and none may be told twice."""
    low = (start.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    high = min(low + span, 253402300000.0)
    ticks = time_ticks(low, high, most=most, is_days=is_days)
    places = [tick.value for tick in ticks]

    assert len(ticks) <= most
    assert all(low <= place <= high for place in places)
    assert places == sorted(set(places))
    shown, day = [], ""
    for tick in ticks:
        day = tick.below or day
        shown.append((tick.text, day))
    assert len(set(shown)) == len(shown)


MAYBE = st.one_of(st.none(), NUMBERS, st.floats(-1, 1))
LABELS = st.text(max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(LABELS, MAYBE, st.booleans()), max_size=8),
    LABELS,
    st.integers(240, 900),
    st.booleans(),
)
def test_any_bars_are_drawn_within_the_picture(bars, label, width, is_share):
    """Names and values come from users' data."""
    chart = BarChart(
        title=f"t{label}",
        axis=Axis(label=label, unit="%" if is_share else ""),
        bars=tuple(Bar(name=name, value=value, is_marked=mark) for name, value, mark in bars),
    )

    check_drawn(to_svg(chart, width=width, is_standalone=True))
    check_drawn(to_svg(Waterfall(title="t", axis=chart.axis, steps=chart.bars), width=width))


PLACES = st.one_of(
    st.lists(st.integers(-(10**6), 10**6), max_size=8, unique=True),
    st.lists(st.dates(date(1900, 1, 1), date(2200, 1, 1)), max_size=8, unique=True),
    st.lists(
        st.datetimes(datetime(2020, 1, 1), datetime(2020, 1, 2), timezones=st.just(UTC)),
        max_size=8,
        unique=True,
    ),
)


@settings(max_examples=60, deadline=None)
@given(PLACES, st.data(), st.integers(240, 900))
def test_any_line_is_drawn_within_the_picture(places, data, width):
    """Whatever the places are and however they lie."""
    points = tuple(Point(at=at, value=data.draw(MAYBE)) for at in sorted(places))
    references = tuple(
        Reference(name=data.draw(LABELS), value=value) for value in data.draw(st.lists(NUMBERS, max_size=2))
    )
    chart = LineChart(
        title="t",
        x=Axis(label=data.draw(LABELS)),
        y=Axis(label="y"),
        lines=(Line(name=data.draw(LABELS), points=points),),
        references=references,
    )

    check_drawn(to_svg(chart, width=width))


COUNTS = st.lists(st.floats(0, 1e12), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(COUNTS, COUNTS, st.lists(LABELS, min_size=12, max_size=12), st.integers(240, 900))
def test_any_shares_are_drawn_within_the_picture(then, now, names, width):
    """Bins and categories, with rows or without any."""
    many = min(len(then), len(now))
    samples = (
        Sample(name=names[0], counts=tuple(then[:many])),
        Sample(name=names[1], counts=tuple(now[:many])),
    )
    edges = tuple(float(n**3) for n in range(many + 1))

    check_drawn(
        to_svg(Histogram(title="t", x=Axis(label=names[2]), edges=edges, samples=samples), width=width)
    )
    check_drawn(to_svg(ShareChart(title="t", categories=tuple(names[:many]), samples=samples), width=width))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.data(), st.integers(240, 900), st.booleans())
def test_any_matrix_is_drawn_within_the_picture(many, data, width, has_money):
    """A number of a cell is written whole, shortened, or not: a part of it would be another number."""
    names = st.text("abW \u4e2d<&", max_size=40)
    classes = tuple(data.draw(st.lists(names, min_size=many, max_size=many)))
    counts = ((data.draw(st.integers(0, 10**12)),) * many,) * many
    money = ((data.draw(NUMBERS),) * many,) * many if has_money else ()
    svg = to_svg(
        Confusion(title="t", classes=classes, counts=counts, money=money, currency="EUR"), width=width
    )

    check_drawn(svg)
    assert not [text for *_, text in boxes(svg) if re.fullmatch(r"[+\N{MINUS SIGN}]?[\d,.]+…", text)]


@settings(max_examples=40, deadline=None)
@given(PLACES, st.integers(1, 7), st.data(), st.integers(240, 900))
def test_any_ribbon_is_drawn_within_the_picture(places, many, data, width):
    """Odd and even numbers of quantiles, known values and unknown ones."""
    points = tuple(
        Quantiles(
            at=at,
            values=tuple(sorted(data.draw(st.tuples(*[NUMBERS] * many)))),
            observed=data.draw(MAYBE),
        )
        for at in sorted(places)
    )
    levels = tuple((n + 1) / (many + 1) for n in range(many))
    chart = Ribbon(title="t", x=Axis(label="x"), y=Axis(label="y"), levels=levels, points=points)

    check_drawn(to_svg(chart, width=width))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LABELS, st.sampled_from("abc"), MAYBE), max_size=9), st.integers(240, 900))
def test_any_dots_are_drawn_within_the_picture(dots, width):
    """Names that are in one series only have a row too."""
    bars = tuple(Bar(name=name, series=series, value=value, rows=7) for name, series, value in dots)

    check_drawn(to_svg(DotChart(title="t", axis=Axis(label="x"), bars=bars), width=width))


def _linear(colour: str) -> list[float]:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def _contrast(one: str, other: str) -> float:
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(_linear, (one, other))]
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_stand_out_from_the_paper(scheme):
    """WCAG 2.2: 4.5 for text, 3 for shapes."""
    paper = COLOURS["card"][scheme]

    for name in ("ink", "soft", *SERIES):
        assert _contrast(COLOURS[name][scheme], paper) >= 4.5


BLIND = {
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.01182, 0.04294, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.3039),
    ),
}
"""Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), severity 1."""


def _lab(linear: list[float]) -> tuple[float, float, float]:
    r, g, b = (min(max(c, 0), 1) for c in linear)
    cone = (
        (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3),
        (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3),
        (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3),
    )
    weights = (
        (0.2104542553, 0.793617785, -0.0040720468),
        (1.9779984951, -2.428592205, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.808675766),
    )
    return tuple(sum(w * c for w, c in zip(row, cone, strict=True)) for row in weights)


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("sight", ["all", *BLIND])
def test_series_are_told_apart_by_all_kinds_of_colour_vision(sight, scheme):
    """Distance in Oklab; 0.02 is just noticeable. Dashes differ too."""
    rows = BLIND.get(sight, ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    seen = [
        _lab([sum(w * c for w, c in zip(row, _linear(COLOURS[name][scheme]), strict=True)) for row in rows])
        for name in SERIES
    ]

    for one, other in itertools.combinations(seen, 2):
        assert math.dist(one, other) >= 0.06


def test_equal_charts_give_equal_bytes():
    """Pages are compared by their digest."""
    assert {name: to_svg(chart) for name, chart in charts().items()} == {
        name: to_svg(chart) for name, chart in CHARTS.items()
    }


def test_marks_stand_at_their_values():
    """The figure that a tick names is the figure of the dot on it."""
    chart = LineChart(
        title="t",
        x=Axis(label="x"),
        y=Axis(label="y"),
        lines=(Line(name="a", points=tuple(Point(at=n, value=float(n)) for n in range(5))),),
    )
    root = parsed(to_svg(chart))
    dots = [(float(one.get("cx")), float(one.get("cy"))) for one in root.iter(f"{SVG}circle")]
    ticks = {box[4]: box for box in boxes(to_svg(chart)) if box[4] in "01234"}

    assert [y for _, y in dots] == pytest.approx(
        [dots[0][1] + n * (dots[4][1] - dots[0][1]) / 4 for n in range(5)], abs=0.02
    )
    for n, (_, y) in enumerate(dots):
        if (tick := ticks.get(str(n))) and tick[0] < 20:
            assert (tick[1] + tick[3]) / 2 == pytest.approx(y, abs=2)


def test_reliability_needs_shares():
    """A probability of 1.2 is a mistake of who calls."""
    with pytest.raises(RequestError, match="from 0 to 1"):
        Reliability(
            title="t", bins=(CHARTS["reliability"].bins[0].__class__(predicted=1.2, observed=0, rows=1),)
        )
