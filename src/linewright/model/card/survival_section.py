"""Answers that are times: the share that is said to be left by each time, and the share that was."""

from collections.abc import Iterator

from linewright.charts import Axis, Line, LineChart, Point
from linewright.model.card.parts import CardFacts, Plot, Section, Statement, Table, say
from linewright.model.facts import LeftAt
from linewright.text.numbers import in_words

_THIRDS = ("curve.shortest", "curve.middle", "curve.longest")


def survival(facts: CardFacts) -> Section | None:
    """Return the mean curve of the test rows, the share that was left of them, and whether thirds of them come true."""
    found = facts.evaluation.left_at if facts.evaluation else ()
    if not found:
        return None
    whole = [one for one in found if one.third == 0]
    thirds = [one for one in found if one.third]
    return Section(
        name="curve",
        statements=tuple(_statements(facts, whole, thirds)),
        plots=(_plot(whole, facts.package.label),),
        lead=Table(
            head=("Third", "Time", "Rows", "Said to be left", "Was left", "95 % interval"),
            rows=tuple(
                (
                    say(_THIRDS[one.third - 1]),
                    in_words(one.time),
                    f"{one.rows:,}",
                    _share(one.said),
                    _share(one.seen),
                    f"{_share(one.low)} to {_share(one.high)}",
                )
                for one in thirds
            ),
        )
        if thirds
        else None,
        plain=Table(
            head=("Time", "Said to be left", "Was left", "95 % interval", "Brier score", "Without features"),
            rows=tuple(
                (
                    in_words(one.time),
                    _share(one.said),
                    _share(one.seen),
                    f"{_share(one.low)} to {_share(one.high)}",
                    in_words(one.brier or 0.0),
                    in_words(one.baseline or 0.0),
                )
                for one in whole
            ),
        ),
    )


def _statements(facts: CardFacts, whole: list[LeftAt], thirds: list[LeftAt]) -> Iterator[Statement]:
    cited = facts.evaluation_digest
    yield say("curve.read", cited, rows=whole[0].rows, last=whole[-1].time)
    off = [one for one in thirds if not one.low <= one.said <= one.high]
    if thirds:
        yield say("curve.off", cited, off=len(off), of=len(thirds))


def _plot(whole: list[LeftAt], label: str) -> Plot:
    said = [Point(at=0.0, value=1.0), *(Point(at=one.time, value=one.said) for one in whole)]
    seen = [
        Point(at=0.0, value=1.0),
        *(Point(at=one.time, value=one.seen, low=one.low, high=one.high) for one in whole),
    ]
    chart = LineChart(
        title="a plot",
        x=Axis(label=label),
        y=Axis(label="left", unit="%", holds=(0.0, 1.0)),
        lines=(Line(name="said", points=tuple(said)), Line(name="was", points=tuple(seen))),
        interval="95 % interval",
    )
    return Plot(
        title=say("curve.drawn"),
        note=say("curve.note"),
        says=say("curve.ends", first=whole[0], last=whole[-1]),
        chart=chart,
    )


def _share(value: float) -> str:
    return f"{value:.1%}"
