"""The chart of a forecast: the recent values of a row, the forecast of the next ones with their intervals, and what came."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from linewright.charts import Axis, Line, LineChart, Point
from linewright.model.card.parts import CardFacts, Plot, Section, Statement, Table, say
from linewright.text.lists import read_numbers
from linewright.text.numbers import in_words

_SHOWN = 3
"""Recent values are drawn for so many times the steps ahead."""
_NAMES = ("recent values", "forecast", "90 % interval", "what came")


def forecast(facts: CardFacts) -> Section | None:
    """Return a forecast of a test row; `None` for models that say no steps."""
    example, window = facts.example, facts.package.encoder.window
    if example is None or window is None:
        return None
    answer = example.answer
    title = f"{facts.package.label} from {answer['times'][0]} to {answer['times'][-1]}"
    chart = fan_of(example.row, answer, None, title=title, names=_NAMES, axis="step; 1 is {time}")
    parts = (answer[name] for name in ("times", "prediction", "low", "high"))
    return Section(
        name="steps",
        statements=(
            say("steps.read", season=window.season, values=answer["recent_used"], horizon=len(window.steps)),
            *_of_sums(facts),
        ),
        lead=_sums(facts),
        plots=(
            Plot(
                title=say("steps.drawn"),
                note=say("steps.note"),
                says=say("steps.ends", answer=answer),
                chart=chart,
            ),
        ),
        plain=Table(
            head=("Time", "Forecast", "Low", "High"),
            rows=tuple(
                (str(time), *(in_words(one) for one in numbers))
                for time, *numbers in zip(*parts, strict=True)
            ),
        ),
    )


def _of_sums(facts: CardFacts) -> Iterator[Statement]:
    found = facts.evaluation.sums if facts.evaluation else ()
    if found:
        yield say("steps.sums", facts.evaluation_digest)
    for one in found:
        if one.shared == 1:
            yield say("steps.add_up", facts.evaluation_digest, keys=one.keys)


def _sums(facts: CardFacts) -> Table | None:
    """Return how good sums of forecasts are at each level; `None` if there are none."""
    found = facts.evaluation.sums if facts.evaluation else ()
    if not found:
        return None
    return Table(
        head=("Sum by", "Sums", "Times", "Error / naive error", "In the 90 % interval"),
        rows=tuple(
            (
                ", ".join(one.keys) or say("steps.all"),
                f"{one.sums:,}",
                f"{one.times:,}",
                "-" if one.error is None else in_words(one.error),
                "-" if one.coverage is None else f"{one.coverage:.0%}",
            )
            for one in found
        ),
    )


def fan_of(
    row: Mapping[str, Any],
    answer: Mapping[str, Any],
    label: str | None,
    *,
    title: str,
    names: Sequence[str],
    axis: str,
) -> LineChart:
    """Return a forecast as a chart, steps along the axis: 0 is the newest value.

    Examples
    --------
    >>> answer = {"prediction": [3.0], "low": [2.0], "high": [4.0], "times": ["2026-01-02"]}
    >>> chart = fan_of({"recent": [1.0, 2.0]}, answer, "[2.5]", title="x", names=("a", "b", "c", "d"), axis="1: {time}")
    >>> [[(point.at, point.value) for point in line.points] for line in chart.lines]
    [[(-1, 1.0), (0, 2.0)], [(1, 3.0)], [(1, 2.5)]]
    """
    said, low, high = answer["prediction"], answer["low"], answer["high"]
    recent = _numbers(row.get("recent"))[-_SHOWN * len(said) :]
    before = tuple(Point(at=place, value=value) for place, value in enumerate(recent, start=1 - len(recent)))
    ahead = tuple(
        Point(at=step, value=value, low=low[step - 1], high=high[step - 1])
        for step, value in enumerate(said, start=1)
    )
    lines = [Line(name=names[0], points=before), Line(name=names[1], points=ahead)]
    if label is not None:
        came = _numbers(label)[: len(said)]
        lines.append(
            Line(
                name=names[3],
                points=tuple(Point(at=step, value=one) for step, one in enumerate(came, start=1)),
            )
        )
    return LineChart(
        title=title,
        x=Axis(label=axis.replace("{time}", str(answer["times"][0]))),
        y=Axis(label=""),
        lines=tuple(line for line in lines if line.points),
        interval=names[2],
    )


def _numbers(cell: object) -> list[float | None]:
    """Return the numbers of a cell, whatever way they were sent in; `None` for one that is missing."""
    text = cell if isinstance(cell, str) else msgspec.json.encode(cast("list[Any]", cell or [])).decode()
    try:
        return [None if math.isnan(one) else one for one in read_numbers(text)]
    except ValueError:
        return []
